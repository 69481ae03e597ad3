"""How many requests an upstream gets at once, found from how long they take. Pure.

A gradient limit (after Netflix's concurrency-limits and TCP Vegas). A window of latencies is compared with what the
upstream takes when it is at ease: while it is no slower than `_TOLERANCE` times that, the limit grows by a part of its
square root, which is the queue that it allows; where it is slower, the limit shrinks in that ratio. So it ends about a
third above what the upstream does at once.

What "at ease" is, is only learnt when the upstream is: when it gets faster, when little is under way, and in a probe, a
window now and then in which a limit that is used up is lowered. An average of all latencies, which others take, would
creep up with the very load that it is to find.
"""

from math import sqrt
from typing import Final, NamedTuple

_WINDOW_S: Final = 0.1
_SAMPLES: Final = 10
_TOLERANCE: Final = 1.25
_SMOOTHING: Final = 0.4
_GROWTH: Final = 0.25
# Until the upstream was slower once, as fast as this.
_GROWTH_FIRST: Final = 1.0
_LEARNING: Final = 0.3
# Windows until the first probe; four times as many until the next one, up to so many. Most is learnt at the beginning.
_PROBE_FIRST: Final = 10
_PROBE_EVERY: Final = 300
# Of the limit, in a probe. Where the limit is right, this is what the upstream does at once, so nobody waits for it.
# The first probes look further down, for the limit may begin anywhere.
_PROBED: Final = 0.7
_PROBED_FIRST: Final = 0.35
_FIRST_PROBES: Final = 160
_DROP: Final = 0.9


class LimitSettings(NamedTuple):
    """The bounds of the limit, 1 <= least <= most, and where it begins."""

    least: int
    most: int
    initial: int


class AdaptiveLimit:
    """One upstream's. now_s: any steady clock. `limit` is how many may be under way at this moment."""

    __slots__ = (
        "_dropped",
        "_ended_s",
        "_estimate",
        "_growth",
        "_is_probing",
        "_most_in_flight",
        "_probe_after",
        "_samples",
        "_settings",
        "_sum_s",
        "_windows",
        "baseline_s",
        "limit",
    )

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._estimate = float(min(settings.most, max(settings.least, settings.initial)))
        self.limit = int(self._estimate)
        # What the upstream takes when it is at ease; 0 where that is not known.
        self.baseline_s = 0.0
        self._ended_s = 0.0
        self._sum_s = 0.0
        self._samples = 0
        self._dropped = 0
        self._most_in_flight = 0
        self._windows = 0
        self._probe_after = _PROBE_FIRST
        self._growth = _GROWTH_FIRST
        self._is_probing = False

    def record(self, latency_s: float, in_flight: int, now_s: float, *, is_dropped: bool = False) -> None:
        """An attempt has ended. in_flight: with it. is_dropped: it says that there was too much (a timeout, a 503);
        how long it took says nothing then.
        """
        if is_dropped:
            self._dropped += 1
        elif self._is_probing and now_s - latency_s < self._ended_s:
            # It set out before the probe, among all the others.
            return
        else:
            self._sum_s += latency_s
            self._samples += 1
        if in_flight > self._most_in_flight:
            self._most_in_flight = in_flight
        if now_s - self._ended_s < _WINDOW_S or self._samples + self._dropped < _SAMPLES:
            return
        self._end_window()
        self._ended_s = now_s
        self._sum_s = 0.0
        self._samples = self._dropped = self._most_in_flight = 0

    def _end_window(self) -> None:
        estimate = self._estimate
        is_at_ease = self._is_probing or self._most_in_flight * 2 <= estimate
        if self._dropped * 10 >= self._samples + self._dropped:
            estimate *= _DROP
        elif self._samples:
            latency_s = self._sum_s / self._samples
            if self.baseline_s == 0.0 or self._is_probing:
                self.baseline_s = latency_s
            elif is_at_ease or latency_s < self.baseline_s:
                # In part only: a window is a sample, and the least of many samples is no mean.
                self.baseline_s += _LEARNING * (latency_s - self.baseline_s)
            if not is_at_ease:
                gradient = max(0.5, min(1.0, _TOLERANCE * self.baseline_s / max(latency_s, 1e-9)))
                if gradient < 1.0:
                    self._growth = _GROWTH
                wanted = estimate * gradient + self._growth * sqrt(estimate)
                estimate += _SMOOTHING * (wanted - estimate)
        self._estimate = min(float(self._settings.most), max(float(self._settings.least), estimate))
        self._windows += 1
        # A limit that holds nothing back needs no probe, and a probe would hold something back.
        share = 1.0
        is_used_up = self._most_in_flight >= self.limit
        self._is_probing = is_used_up and not self._is_probing and self._windows >= self._probe_after
        if self._is_probing:
            self._windows = 0
            self._probe_after = min(_PROBE_EVERY, 4 * self._probe_after)
            share = _PROBED_FIRST if self._probe_after <= _FIRST_PROBES else _PROBED
        self.limit = max(self._settings.least, int(self._estimate * share))

    def __repr__(self) -> str:
        return f"<AdaptiveLimit {self.limit} baseline={1000 * self.baseline_s:.1f} ms>"
