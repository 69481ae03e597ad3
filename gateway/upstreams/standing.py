"""Whether an endpoint gets requests, and why: its probes, its ejections and its slow start, put together.

Each worker judges for itself. Every change is one line in the log, with its reason, and one call of the owner, which
works out anew who gets requests: a request then finds that ready.
"""

import asyncio
import logging
import time
from typing import Protocol

from gateway.core.ejection import CONNECTION_CAUSES, COUNTED, EjectionRecord
from gateway.core.health import Health, ProbeRecord
from gateway.core.slow_start import STEPS, share
from gateway.upstreams.endpoint_series import EndpointSeries
from gateway.upstreams.shape import Care

_log = logging.getLogger("gateway")


class Owner(Protocol):
    """The upstream in force that the endpoint belongs to."""

    def may_eject(self) -> bool:
        """Whether one more of its endpoints may go."""

    def refresh(self) -> None:
        """Something changed that a choice of endpoints goes by."""


class Standing:
    """One endpoint's, in one worker.

    upstream, endpoint: how the log names it. share: of its weight, less than 1 amid a slow start. why: the reason of
    the last change, "" before the first. since_s: wall clock, when that was.
    """

    __slots__ = (
        "_back",
        "_loop",
        "_names",
        "_series",
        "_step",
        "_warming_since_s",
        "care",
        "ejections",
        "owner",
        "probes",
        "share",
        "since_s",
        "why",
    )

    def __init__(self, upstream: str, endpoint: str, loop: asyncio.AbstractEventLoop, series: EndpointSeries) -> None:
        self._names = {"upstream": upstream, "endpoint": endpoint}
        self._loop = loop
        self._series = series
        self._back: asyncio.TimerHandle | None = None
        self._step: asyncio.TimerHandle | None = None
        self._warming_since_s = 0.0
        self.care = Care()
        self.owner: Owner | None = None
        self.probes = ProbeRecord()
        self.ejections = EjectionRecord()
        self.share = 1.0
        self.why = ""
        self.since_s = time.time()

    @property
    def is_in(self) -> bool:
        """Whether it gets requests as long as any endpoint of its upstream does."""
        return not self.ejections.is_out and self.probes.state is not Health.UNWELL

    @property
    def is_unwell(self) -> bool:
        """Whether its probes fail."""
        return self.probes.state is Health.UNWELL

    @property
    def state(self) -> str:
        """In one word: up, warming, ejected, unhealthy."""
        if self.is_unwell:
            return "unhealthy"
        if self.ejections.is_out:
            return "ejected"
        return "warming" if self.share < 1.0 else "up"

    def look_after(self, care: Care, owner: Owner) -> None:
        """These rules from here on. What was found out stays, except where a rule is gone that it came of."""
        self.care = care
        self.owner = owner
        was_in = self.is_in
        if care.health is None and self.probes.state is not Health.UNKNOWN:
            self.probes = ProbeRecord()
        if care.eject is None:
            if self.ejections.is_out:
                self._stop_waiting()
            self.ejections = EjectionRecord()
        if care.slow_start_s is None and self.share < 1.0:
            self._stop_warming()
        if self.is_in and not was_in:
            self._changed("the rule that kept it out is gone", logging.INFO)

    def probed(self, failure: str) -> None:
        """Take a probe's result in. failure: what was wrong, "" where it was good."""
        rule = self.care.health
        if rule is None:
            return
        (self._series.failed_probes if failure else self._series.good_probes).inc()
        was_unwell = self.is_unwell
        has_turned = self.probes.note(rule, is_good=not failure)
        in_row = self.probes.in_row
        if failure:
            if has_turned:
                self._stop_warming()
                row = "a probe" if in_row == 1 else f"{in_row} probes in a row"
                self._changed(f"{row} failed, the last with: {failure}", logging.WARNING)
        elif self.ejections.is_out and self.ejections.cause in CONNECTION_CAUSES and in_row >= rule.healthy_after:
            # Whether requests are answered well a probe cannot tell, and that takes its time; this it can.
            self._bring_back(f"it takes connections again, good probes in a row: {in_row}")
        elif has_turned and was_unwell:
            self._warm_up()
            rest = ", but it is still ejected" if self.ejections.is_out else ""
            self._changed(f"good probes in a row: {in_row}{rest}", logging.INFO)

    def succeeded(self) -> None:
        """A request got an answer that does not count against it. Worth a call only where `ejections.failures`."""
        self.ejections.succeeded()
        self._refresh()

    def failed(self, cause: str) -> None:
        """An attempt ended so. A cause that is not in `core.ejection.COUNTED` counts as a success, except "busy", which
        says nothing of the endpoint.
        """
        rule = self.care.eject
        if rule is None:
            return
        record = self.ejections
        if cause not in COUNTED:
            if record.failures and cause != "busy":
                self.succeeded()
            return
        record.failed(cause)
        if record.failures >= rule.errors and self.is_in and self.owner is not None and self.owner.may_eject():
            failures = record.failures
            out_s = record.eject(self._loop.time(), rule)
            self.probes.doubt()
            self._stop_warming()
            self._series.ejections.inc()
            self._back = self._loop.call_later(out_s, self._bring_back, "its time is over")
            row = "a request" if failures == 1 else f"{failures} requests in a row"
            self._changed(f"{row} failed, the last with: {cause}; ejected for {out_s:g} s", logging.WARNING)
        elif record.failures == 1:
            self._refresh()

    def close(self) -> None:
        """The endpoint is gone."""
        self._stop_waiting()
        self._stop_warming()
        self.owner = None
        self._series.clear()

    def _bring_back(self, why: str) -> None:
        self._stop_waiting()
        self.ejections.bring_back(self._loop.time())
        if not self.is_unwell:
            self._warm_up()
        self._changed(why, logging.INFO)

    def _stop_waiting(self) -> None:
        if self._back is not None:
            self._back.cancel()
            self._back = None

    def _warm_up(self) -> None:
        """Begin a slow start, where there is one."""
        slow_start_s = self.care.slow_start_s
        if slow_start_s is None or self.ejections.is_out:
            return
        self._stop_warming()
        self._warming_since_s = self._loop.time()
        self._warm_on()

    def _warm_on(self) -> None:
        slow_start_s = self.care.slow_start_s
        if slow_start_s is None:
            self._stop_warming()
            return
        self.share = share(self._loop.time() - self._warming_since_s, slow_start_s)
        self._step = self._loop.call_later(slow_start_s / STEPS, self._warm_on) if self.share < 1.0 else None
        self._refresh()

    def _stop_warming(self) -> None:
        if self._step is not None:
            self._step.cancel()
            self._step = None
        self.share = 1.0

    def _changed(self, why: str, level: int) -> None:
        self.why = why
        self.since_s = time.time()
        verdict = "gets requests" if self.is_in else "gets no requests"
        if self.state == "warming":
            verdict = "gets a growing share of requests"
        extra = {**self._names, "state": self.state}
        _log.log(level, "upstream %s: %s %s: %s", *self._names.values(), verdict, why, extra=extra)
        self._refresh()

    def _refresh(self) -> None:
        if self.owner is not None:
            self.owner.refresh()

    def __repr__(self) -> str:
        return f"<Standing {self.state}>"
