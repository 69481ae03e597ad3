"""Hazard: memory grows past its bound, or a scan drives out what is in use."""

import random
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.s3_fifo import S3Fifo


def test_what_was_put_is_found_until_it_is_removed() -> None:
    kept: S3Fifo[str, str] = S3Fifo(1_000)
    assert kept.put("a", "1", 100)
    assert (kept.get("a"), kept.peek("a"), "a" in kept, len(kept), kept.size) == ("1", "1", True, 1, 100)
    assert kept.put("a", "2", 150)
    assert (kept.get("a"), kept.size) == ("2", 150)
    assert kept.remove("a") == "2"
    assert (kept.get("a"), kept.remove("a"), len(kept), kept.size) == (None, None, 0, 0)


def test_what_is_larger_than_half_of_all_is_not_kept_nor_what_it_replaces() -> None:
    kept: S3Fifo[str, str] = S3Fifo(1_000)
    kept.put("a", "old", 10)
    assert not kept.put("a", "new", 501)
    assert kept.get("a") is None
    assert kept.size == 0


def test_what_was_asked_for_again_outlives_a_scan() -> None:
    kept: S3Fifo[int, int] = S3Fifo(100)
    for key in range(5):
        kept.put(key, key, 1)
        kept.get(key)
    for key in range(1_000, 2_000):
        kept.put(key, key, 1)
    assert [kept.peek(key) for key in range(5)] == [0, 1, 2, 3, 4]


def test_what_comes_back_soon_after_it_left_goes_to_the_main_queue() -> None:
    kept: S3Fifo[str, int] = S3Fifo(100)
    kept.put("a", 1, 1)
    for number in range(120):
        kept.put(f"scan {number}", number, 1)
        if "a" not in kept:
            break
    assert "a" not in kept
    kept.put("a", 2, 1)
    for number in range(95):
        kept.put(f"next {number}", number, 1)
    assert kept.peek("a") == 2


def test_only_what_had_to_go_is_told() -> None:
    gone: list[tuple[str, int]] = []
    kept: S3Fifo[str, int] = S3Fifo(10, lambda key, value: gone.append((key, value)))
    kept.put("replaced", 1, 5)
    kept.put("replaced", 2, 5)
    kept.remove("replaced")
    kept.put("cleared", 3, 5)
    kept.clear()
    assert gone == []
    kept.put("first", 4, 5)
    kept.put("second", 5, 5)
    kept.put("third", 6, 5)
    assert gone == [("first", 4)]
    assert repr(kept) == "<S3Fifo 2 entries, 10 of 10 bytes>"


_steps = st.lists(
    st.tuples(st.sampled_from(["put", "get", "remove", "clear"]), st.integers(0, 12), st.integers(1, 60)), max_size=120
)


@given(_steps)
def test_it_is_a_dict_that_forgets_and_never_holds_more_than_it_may(steps: list[tuple[str, int, int]]) -> None:
    evicted: set[int] = set()
    kept: S3Fifo[int, int] = S3Fifo(100, lambda key, value: evicted.add(key))
    model: dict[int, tuple[int, int]] = {}
    for number, (what, key, size) in enumerate(steps):
        if what == "put":
            evicted.discard(key)
            model[key] = number, size
            if not kept.put(key, number, size):
                evicted.discard(key)
                del model[key]
        elif what == "get":
            assert kept.get(key) in (None, model.get(key, (None, 0))[0])
        elif what == "remove":
            kept.remove(key)
            model.pop(key, None)
        else:
            kept.clear()
            model.clear()
        for gone in evicted:
            model.pop(gone, None)
        evicted.clear()
        assert {each: kept.peek(each) for each in kept} == {each: value for each, (value, _) in model.items()}
        assert kept.size == sum(size for _, size in model.values()) <= 100


def test_it_keeps_more_of_what_is_asked_for_than_the_least_recently_used() -> None:
    """Keys by a Zipf law, with scans in between, as a dashboard with an export has them."""
    rng = random.Random(1)
    population = [f"key {number}" for number in range(2_000)]
    weights = [1 / (rank + 1) ** 0.9 for rank in range(2_000)]
    keys = rng.choices(population, weights, k=30_000)
    for start in range(5_000, 30_000, 5_000):
        keys[start:start] = [f"export {start} {number}" for number in range(400)]
    kept: S3Fifo[str, int] = S3Fifo(200)
    recent: OrderedDict[str, int] = OrderedDict()
    hits = recent_hits = 0
    for key in keys:
        if kept.get(key) is None:
            kept.put(key, 1, 1)
        else:
            hits += 1
        if key in recent:
            recent.move_to_end(key)
            recent_hits += 1
        else:
            recent[key] = 1
            if len(recent) > 200:
                recent.popitem(last=False)
    assert hits > 1.1 * recent_hits
