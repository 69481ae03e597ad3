"""Whatever workers are asked, and whenever the store goes and comes back, with its memory or without: over any time all
workers together admit at most 1.1 times what the limit allows.

That holds for limits of at least twenty times the workers, below which one request of each comes on top. The workers
are the real `LocalLimits`; around them is a model of the store and of the phases of `stores/redis.py`, in
which everybody notices an outage and its end as late as the real ones do.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings, target
from hypothesis import strategies as st

from gateway.core.rate_limit import Window
from gateway.stores.local import LocalLimits, bucket_name
from gateway.stores.redis import LATE_FOR_S
from gateway.stores.redis_pulse import BEAT_S, HOLD_S, PROBE_S
from tests.support.limit_model import ModelStore

BEAT_MS, PROBE_MS, HOLD_MS = round(BEAT_S * 1000), round(PROBE_S * 1000), round(HOLD_S * 1000)
LATE_FOR_MS = round(LATE_FOR_S * 1000)
KEY = "plan:tenant:t1"


class Worker:
    """One worker. Its clock is its own; the store's is the world's."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.phase = "up"
        self.local = LocalLimits(lambda: world.now_ms + 1_000_000 * number, workers=world.worker_count)
        self.local.has_store()
        self.local.hears(None)
        self.began_ms = 0
        self.late_since_ms = 0
        self.late_asks = 0

    def hear(self, name: str, debts: list[int], at_ms: int) -> None:
        self.local.learn(name, debts, at_ms)

    def ask(self, cost: int) -> bool:
        world = self.world
        if self.phase == "returning":
            decision = self.local.gate(world.name, world.windows, cost)
            if not decision.is_allowed:
                return False
        if self.phase != "down":
            if world.is_there and not self.late_asks:
                return self.call(cost)
            self.late_asks = max(0, self.late_asks - 1)
            self.is_late()
        return self.local.take(KEY, world.windows, cost).is_allowed

    def is_late(self) -> None:
        """As after the deadline of a call."""
        now_ms = self.world.now_ms
        self.late_since_ms = self.late_since_ms or now_ms
        # A store that is late for one worker alone, and for long, is the one case that costs more (decisions/0014).
        if now_ms - self.late_since_ms >= LATE_FOR_MS and not self.world.is_there:
            self.fall()
        elif self.phase == "up":
            self.local.begin_outage(is_brief=True)

    def call(self, cost: int) -> bool:
        world = self.world
        self.late_since_ms = 0
        share = self.local.share(world.name, world.windows)
        is_allowed, debts = world.store.take(
            world.name, world.windows, cost, world.now_ms, share.debts, share.at_ms, max(0, share.owed)
        )
        share.owed = min(0, share.owed)
        share.learn(world.windows, debts, world.now_ms, self.local.now_ms())
        return is_allowed

    def fall(self) -> None:
        if self.phase == "up":
            self.local.begin_outage()
        self.phase = "down"

    def come_back(self) -> None:
        self.phase, self.began_ms = "returning", self.world.now_ms
        if self.local.owing():
            self.call(0)

    def pass_time(self) -> None:
        if self.phase == "returning" and self.world.is_there and self.world.now_ms - self.began_ms >= HOLD_MS:
            self.phase = "up"


@dataclass
class World:
    worker_count: int
    windows: tuple[Window, ...]
    now_ms: int = 1_700_000_000_000
    is_there: bool = True
    fell_ms: int = 0
    probes: list[tuple[int, Worker]] = field(default_factory=list)
    passed: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = bucket_name(KEY, self.windows)
        self.workers = [Worker(self, number) for number in range(self.worker_count)]
        self.store = ModelStore(lambda *news: [worker.hear(*news) for worker in self.workers] and None)

    def step(self, by_ms: int) -> None:
        """Time passes, in steps at which nobody misses anything."""
        until_ms = self.now_ms + by_ms
        while self.now_ms < until_ms:
            self.now_ms = min(until_ms, self.now_ms + 250)
            if not self.is_there and self.now_ms - self.fell_ms >= BEAT_MS:
                for worker in self.workers:
                    worker.fall()
            for due_ms, worker in list(self.probes):
                if self.is_there and due_ms <= self.now_ms:
                    self.probes.remove((due_ms, worker))
                    worker.come_back()
            for worker in self.workers:
                worker.pass_time()

    def go(self, is_noticed: bool) -> None:
        """is_noticed: connections break, as when the store is killed; else it only answers no more."""
        if not self.is_there:
            return
        self.is_there, self.fell_ms = False, self.now_ms
        self.probes.clear()
        for worker in self.workers:
            if is_noticed or worker.phase != "up":
                worker.fall()

    def come(self, is_empty: bool, skews_ms: list[int]) -> None:
        if self.is_there:
            return
        self.step(max(0, BEAT_MS - (self.now_ms - self.fell_ms)))
        self.is_there = True
        if is_empty:
            self.store.records.clear()
        # Within 250 ms of their time, so a probe's interval less that at most.
        self.probes = [
            (self.now_ms + skew_ms % (PROBE_MS - 250), worker)
            for skew_ms, worker in zip(skews_ms, self.workers, strict=True)
        ]

    def ask(self, number: int, cost: int, times: int) -> None:
        for _ in range(times):
            if self.workers[number % self.worker_count].ask(cost):
                self.passed.append((self.now_ms, cost))

    def flood(self, times: int) -> None:
        for number in range(self.worker_count):
            self.ask(number, 1, times)

    def late(self, number: int, asks: int) -> None:
        """The next asks of one worker are not answered in time, as those of the others are."""
        self.workers[number % self.worker_count].late_asks = asks

    def excess(self) -> float:
        """The worst of all intervals, as a part of what the limit allows in it."""
        worst = 0.0
        for limit, period_ms in self.windows:
            for first, (start_ms, _) in enumerate(self.passed):
                taken = 0
                for at_ms, cost in self.passed[first:]:
                    taken += cost
                    worst = max(worst, taken / (limit * (1 + (at_ms - start_ms) / period_ms)))
        return worst


events = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 3), st.integers(1, 2), st.sampled_from([1, 3, 400])),
    st.tuples(st.just("flood"), st.sampled_from([1, 5, 400])),
    st.tuples(st.just("late"), st.integers(0, 3), st.sampled_from([1, 5, 100])),
    st.tuples(st.just("step"), st.sampled_from([1, 300, 1_000, 2_000])),
    st.tuples(st.just("go"), st.booleans()),
    st.tuples(st.just("come"), st.booleans(), st.lists(st.integers(0, 2_000), min_size=4, max_size=4)),
)
windows_of_a_limit = st.lists(
    st.builds(Window, st.sampled_from([80, 81, 120]), st.sampled_from([10_000, 60_000, 3_600_000])),
    min_size=1,
    max_size=2,
).map(tuple)


@given(st.integers(1, 4), windows_of_a_limit, st.lists(events, max_size=25))
@settings(max_examples=600)
def test_never_more_than_a_tenth_over_the_limit(
    worker_count: int, windows: tuple[Window, ...], happened: list[tuple]
) -> None:
    world = World(worker_count, windows)
    for kind, *details in happened:
        if kind == "come":
            details[1] = details[1][:worker_count]
        getattr(world, kind)(*details)
    excess = world.excess()
    target(excess)
    assert excess <= 1.1 + 1e-9


def test_an_outage_alone_changes_nothing_for_one_worker() -> None:
    """One that is alone knows all: it goes on exactly where the store ended."""
    world = World(1, (Window(60, 60_000),))
    world.ask(0, 1, 40)
    world.go(is_noticed=True)
    world.ask(0, 1, 100)
    assert len(world.passed) == 60
    world.come(is_empty=True, skews_ms=[0])
    world.step(5_000)
    world.ask(0, 1, 100)
    assert len(world.passed) == 60 + 7  # the seconds that passed, and no burst
