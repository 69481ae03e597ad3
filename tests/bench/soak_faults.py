"""What is killed during a soak, and whether what the clients then saw is what may be seen.

An outage of an upstream may give its clients 502 and 503 of the upstream's own codes. A worker that is killed takes the
requests along that were under way on its connections, and no others. Redis may go without a single error, since the
limits count locally then. At any other time, and in any other way, a request that fails is a fault of the gateway.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.open_loop import Failure, Outcome

UPSTREAM, WORKER, REDIS = "upstream", "worker", "Redis"
SETTLE_S = 2.0
"""How long after its end a fault may still show: retries, reconnects."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What was killed and when, until it was there again; time.monotonic(). sources: the client ends of the
    connections that a killed worker had.
    """

    what: str
    began_s: float
    ended_s: float
    sources: frozenset[tuple[str, int]] = frozenset()

    def excuses(self, failure: Failure) -> bool:
        """Whether this request may fail in this way by this fault."""
        if not self.began_s <= failure.ended_s <= self.ended_s + SETTLE_S:
            return False
        if self.what == UPSTREAM:
            return failure.kind == "refused" and failure.status in (502, 503) and failure.code.startswith("upstream_")
        if self.what == WORKER:
            return failure.kind in ("no_reply", "torn") and failure.source in self.sources
        return False


@dataclass(slots=True)
class Account:
    """of_fault: per fault, the failures it excuses. unexcused: all others. done_twice: ids of POST requests that an
    upstream got more than once. unheard: ids answered well without any upstream having seen them.
    """

    of_fault: list[list[Failure]]
    unexcused: list[Failure] = field(default_factory=list)
    done_twice: list[str] = field(default_factory=list)
    unheard: int = 0

    @property
    def is_good(self) -> bool:
        return not self.unexcused and not self.done_twice and not self.unheard


def settle(faults: Sequence[Fault], outcome: Outcome, journal: Iterable[str]) -> Account:
    """Sort every failure under the fault that excuses it. journal: `METHOD id` of every request at an upstream."""
    account = Account([[] for _ in faults])
    for failure in outcome.failures:
        for fault, excused in zip(faults, account.of_fault, strict=True):
            if fault.excuses(failure):
                excused.append(failure)
                break
        else:
            account.unexcused.append(failure)
    arrived = Counter(journal)
    account.done_twice = [line for line, count in arrived.items() if count > 1 and line.startswith("POST ")]
    account.unheard = max(0, len(outcome.records) - len(arrived))
    return account


def count_kinds(failures: Iterable[Failure]) -> str:
    """`12 × 502 upstream_unreachable, 1 × no_reply`; `none`."""
    kinds = Counter(f"{each.status} {each.code}" if each.kind == "refused" else each.kind for each in failures)
    return ", ".join(f"{count:,} × {kind}" for kind, count in kinds.most_common()) or "none"


@dataclass(slots=True)
class Step:
    """Something to do at a point of the run. at_s: from its beginning."""

    at_s: float
    act: Callable[[], None]


class Timeline:
    """Steps in the order of their times."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = sorted(steps, key=lambda step: step.at_s)

    def run_due(self, elapsed_s: float) -> None:
        while self._steps and self._steps[0].at_s <= elapsed_s:
            self._steps.pop(0).act()


def fault_rows(faults: Sequence[Fault], account: Account, outcome: Outcome, began_s: float) -> list[list[str]]:
    """A row for each fault: when, how many requests were due meanwhile and answered, what failed, how late the rest."""
    header = ["killed (kill -9)", "from–until s", "good replies", "p99 ms", "failed as it may", "of these POST"]
    rows = [header]
    for fault, excused in zip(faults, account.of_fault, strict=True):
        good = outcome.records.between(fault.began_s, fault.ended_s + SETTLE_S)
        p99_ms = good.percentile_ms(99)
        rows.append(
            [
                fault.what,
                f"{fault.began_s - began_s:.0f}–{fault.ended_s - began_s:.1f}",
                f"{len(good):,}",
                "-" if p99_ms is None else f"{p99_ms:.1f}",
                count_kinds(excused),
                f"{sum(each.method == 'POST' for each in excused):,}",
            ]
        )
    return rows


def verdict_lines(account: Account, asked: int, answered: int) -> list[str]:
    """What has to hold, with yes or NO."""
    checks: Mapping[str, tuple[bool, str]] = {
        "every other request had the whole and right reply": (
            not account.unexcused,
            count_kinds(account.unexcused),
        ),
        "no POST reached an upstream twice": (not account.done_twice, f"{len(account.done_twice):,} did"),
        "no good reply without an upstream": (not account.unheard, f"{account.unheard:,} did"),
    }
    lines = [f"{asked:,} requests, {answered:,} good replies"]
    return lines + [f"{text}: {'yes' if holds else f'NO ({why})'}" for text, (holds, why) in checks.items()]
