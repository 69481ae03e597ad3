import time

from gateway.core.rate_limit import Window
from gateway.stores.memory import FULL_FOR_MS, MemoryLimits, wall_ms

MINUTE = (Window(60, 60_000),)


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def test_sixty_of_sixty_one_pass_and_a_second_gives_one_back() -> None:
    clock = Clock()
    store = MemoryLimits(clock)
    decisions = [store.take("tenant:a", MINUTE) for _ in range(61)]
    assert [decision.is_allowed for decision in decisions] == [True] * 60 + [False]
    assert decisions[0].windows[0].remaining == 59
    assert decisions[60].windows[0].retry_after_ms == 1_000
    clock.ms += 999
    assert not store.take("tenant:a", MINUTE).is_allowed
    clock.ms += 1
    assert store.take("tenant:a", MINUTE).is_allowed


def test_other_windows_of_a_key_are_other_buckets() -> None:
    store = MemoryLimits(Clock())
    for _ in range(60):
        store.take("tenant:a", MINUTE)
    assert store.take("tenant:a", (Window(5, 1_000),)).windows[0].remaining == 4
    assert not store.take("tenant:a", MINUTE).is_allowed


def test_full_buckets_are_dropped_as_new_keys_come() -> None:
    clock = Clock()
    store = MemoryLimits(clock)
    for number in range(100):
        store.take(f"old:{number}", MINUTE)
    clock.ms += 1_000 + FULL_FOR_MS
    for number in range(50):
        store.take(f"new:{number}", MINUTE)
    assert repr(store) == "<MemoryLimits 50 of 100000>"


def test_at_most_max_keys_are_kept_and_the_deepest_debt_stays() -> None:
    store = MemoryLimits(Clock(), max_keys=10)
    for _ in range(60):
        store.take("attacker", MINUTE)
    for number in range(200):
        store.take(f"passer-by:{number}", MINUTE)
    assert repr(store) == "<MemoryLimits 10 of 10>"
    assert not store.take("attacker", MINUTE).is_allowed


async def test_closed_it_has_forgotten_everything() -> None:
    store = MemoryLimits(Clock())
    store.take("tenant:a", MINUTE)
    await store.close()
    assert repr(store) == "<MemoryLimits 0 of 100000>"


def test_the_wall_clock_is_in_milliseconds_of_the_epoch() -> None:
    before_ms = time.time_ns() // 1_000_000
    now_ms = wall_ms()
    assert before_ms - 1 <= now_ms <= time.time_ns() // 1_000_000 + 1
