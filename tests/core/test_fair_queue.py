"""Hazard: who asks most waits least, or what matters most is refused first."""

import pytest

from gateway.core.fair_queue import FairQueue

NOW_S = 1000.0


def queue_of(size_max: int, *items: tuple[str, str, int]) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue(size_max, 4)
    for item, flow, priority in items:
        assert queue.push(item, flow, priority) is None
    return queue


def drained(queue: FairQueue[str], now_s: float = NOW_S) -> list[str]:
    items = []
    while (item := queue.pop(now_s)) is not None:
        items.append(item)
    return items


def used(turns: int, flow: str = "much", others: int = 4) -> FairQueue[str]:
    """In which a flow has had so many turns just now, and others one each."""
    queue: FairQueue[str] = FairQueue(200, 4)
    for name in [*[f"other{number}" for number in range(others)], *[flow] * turns]:
        queue.push("x", name, 2)
        queue.pop(NOW_S)
    return queue


def test_who_has_had_no_more_than_others_is_served_in_the_order_of_arrival() -> None:
    queue = queue_of(9, ("a1", "a", 2), ("b1", "b", 2), ("a2", "a", 2), ("c1", "c", 2))
    assert repr(queue) == "<FairQueue 4/9 [0, 0, 4, 0]>"
    assert drained(queue) == ["a1", "b1", "a2", "c1"]
    assert queue.size == 0


def test_who_has_had_more_than_an_equal_share_goes_after_all_others() -> None:
    queue = used(100)
    for item, flow in (("much1", "much"), ("much2", "much"), ("new1", "new"), ("new2", "new"), ("other", "other1")):
        queue.push(item, flow, 2)
    assert drained(queue) == ["new1", "new2", "other", "much1", "much2"]


def test_of_those_that_have_had_more_the_least_goes_first() -> None:
    queue = used(100)
    for _ in range(60):
        queue.push("x", "less", 2)
        queue.pop(NOW_S)
    queue.push("much", "much", 2)
    queue.push("less", "less", 2)
    assert drained(queue) == ["less", "much"]


@pytest.mark.parametrize("turns", [2, 3])
def test_what_chance_explains_is_not_more(turns: int) -> None:
    queue = used(turns)
    queue.push("a", "much", 2)
    queue.push("b", "new", 2)
    assert drained(queue) == ["a", "b"]


def test_what_was_had_fades() -> None:
    queue = used(100)
    queue.push("much", "much", 2)
    queue.push("new", "new", 2)
    assert drained(queue, NOW_S + 10.0) == ["much", "new"]


def test_who_has_gone_is_forgotten() -> None:
    queue = used(1, others=150)
    queue.push("x", "new", 2)
    queue.pop(NOW_S + 10.0)
    assert list(queue._served) == ["new"]


def test_what_matters_more_goes_first() -> None:
    queue = queue_of(9, ("low", "a", 3), ("normal", "a", 2), ("critical", "b", 0), ("high", "a", 1))
    assert drained(queue) == ["critical", "high", "normal", "low"]


def test_where_it_is_full_the_latest_of_the_longest_goes() -> None:
    queue = queue_of(4, ("a1", "a", 2), ("a2", "a", 2), ("a3", "a", 2), ("b1", "b", 2))
    assert queue.push("c1", "c", 2) == "a3"
    assert queue.push("a4", "a", 2) == "a4"
    assert drained(queue) == ["a1", "a2", "b1", "c1"]


def test_where_all_have_as_much_the_newcomer_goes() -> None:
    queue = queue_of(2, ("a1", "a", 2), ("b1", "b", 2))
    assert queue.push("c1", "c", 2) == "c1"
    assert queue.size == 2


def test_what_matters_least_goes_first_and_never_for_what_matters_less() -> None:
    queue = queue_of(2, ("low", "a", 3), ("high", "a", 1))
    assert queue.push("normal", "b", 2) == "low"
    assert queue.push("low", "c", 3) == "low"
    assert queue.push("critical", "c", 0) == "normal"
    assert queue.push("critical2", "d", 0) == "high"
    assert queue.push("critical3", "e", 0) == "critical3"
    assert drained(queue) == ["critical", "critical2"]


def test_who_gives_up_waits_no_more() -> None:
    queue = queue_of(4, ("a1", "a", 2), ("a2", "a", 2))
    one = "a1"
    assert queue.remove(one, "a", 2)
    assert not queue.remove(one, "a", 2)
    assert not queue.remove("x", "nobody", 2)
    assert drained(queue) == ["a2"]


def test_without_room_for_anybody_everybody_is_refused() -> None:
    assert queue_of(0).push("a1", "a", 0) == "a1"
