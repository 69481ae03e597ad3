import pytest

from gateway.core.rate_limit import Window
from gateway.stores.local import LocalLimits, bucket_name, windows_of

MINUTE = (Window(60, 60_000),)
NAME = bucket_name("plan:tenant:a", MINUTE)
AT_MS = 1_700_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000

    def __call__(self) -> int:
        return self.ms


def passed(local: LocalLimits, key: str = "plan:tenant:a") -> int:
    count = 0
    while local.take(key, MINUTE).is_allowed:
        count += 1
    return count


def test_a_name_says_where_a_cluster_keeps_it_and_which_windows_it_has() -> None:
    assert NAME == "limit:{plan:tenant:a}:60/60000"
    assert windows_of("limit:{a:b}c}:60/60000,1000/3600000") == (Window(60, 60_000), Window(1_000, 3_600_000))
    assert windows_of("limit:{workers}") == ()


def test_without_a_store_from_the_start_it_has_its_full_share() -> None:
    local = LocalLimits(Clock(), workers=4)
    local.begin_outage()
    assert passed(local) == 15
    assert repr(local) == "<LocalLimits 1/4 of 1 buckets>"


def test_falling_back_gives_no_second_burst() -> None:
    local = LocalLimits(Clock(), workers=4)
    local.has_store()
    local.hears(None)
    local.learn(NAME, [60 * 60_000], AT_MS)
    local.begin_outage()
    assert passed(local) == 0
    assert passed(local, "plan:tenant:b") == 15, "of whom nothing was heard, because there was nothing to hear"


@pytest.mark.parametrize("was_heard", [True, False])
def test_what_came_while_it_was_deaf_may_have_been_anything(was_heard: bool) -> None:
    clock = Clock()
    local = LocalLimits(clock, workers=4)
    local.has_store()
    local.hears(clock.ms)
    clock.ms += 60_000
    if not was_heard:
        local.is_deaf()
    local.begin_outage()
    assert passed(local) == (15 if was_heard else 1), "a minute of hearing tells all about a minute's limit"


def test_the_workers_are_those_at_the_beginning_of_the_outage() -> None:
    local = LocalLimits(Clock(), workers=1)
    local.has_store()
    local.live_workers = 3
    local.hears(None)
    local.begin_outage()
    local.live_workers = 1
    assert passed(local) == 20


def test_it_owes_what_it_admitted_alone() -> None:
    local = LocalLimits(Clock(), workers=20)
    assert passed(local) == 3
    local.gate(bucket_name("plan:tenant:b", MINUTE), MINUTE, 1)  # the store will have been asked
    local.take("plan:tenant:c", MINUTE, 0)
    assert [(name, share.owed) for name, _, share in local.owing()] == [(NAME, 3)]


def test_words_of_another_form_are_no_news() -> None:
    local = LocalLimits(Clock())
    local.learn("limit:{workers}", [1], AT_MS)
    local.learn(NAME, [1, 2], AT_MS)
    assert repr(local) == "<LocalLimits 1/1 of 0 buckets>"


def test_full_buckets_are_dropped_as_new_ones_come_and_what_is_owed_is_kept() -> None:
    clock = Clock()
    local = LocalLimits(clock, workers=2)
    local.take("owed", MINUTE)
    for number in range(100):
        local.learn(bucket_name(f"old:{number}", MINUTE), [60_000], AT_MS)
    clock.ms += 3_000
    for number in range(50):
        local.learn(bucket_name(f"new:{number}", MINUTE), [60_000], AT_MS)
    assert repr(local) == "<LocalLimits 1/2 of 51 buckets>"
    assert len(local.owing()) == 1


def test_what_is_asked_for_is_not_dropped_before_its_answer() -> None:
    local = LocalLimits(Clock(), workers=2)
    shares = [local.share(bucket_name(f"new:{number}", MINUTE), MINUTE) for number in range(50)]
    assert [local.share(bucket_name(f"new:{number}", MINUTE), MINUTE) for number in range(50)] == shares


def test_at_most_max_keys_are_kept() -> None:
    local = LocalLimits(Clock(), max_keys=10)
    for number in range(30):
        local.take(f"tenant:{number}", MINUTE)
    assert repr(local) == "<LocalLimits 1/1 of 10 buckets>"
