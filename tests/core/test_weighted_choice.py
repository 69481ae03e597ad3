"""Hazard: a caller who is sent now here, now there; and a change of a weight that moves callers who need not move."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.weighted_choice import WeightedChoice

KEYS = [f"user:t{number % 7}/u{number}" for number in range(20_000)]
WEIGHTS = st.dictionaries(st.sampled_from(["crm", "crm-v2", "crm-v3", "crm-v4"]), st.integers(0, 100), min_size=1)
POSITIVE = WEIGHTS.filter(lambda weights: any(weights.values()))


def chosen(weights: dict[str, int], keys: list[str]) -> list[str]:
    choice = WeightedChoice(weights.items())
    return [choice.choose(key) for key in keys]


@pytest.mark.parametrize(
    "weights",
    [{"crm": 90, "crm-v2": 10}, {"crm": 1, "crm-v2": 1}, {"crm": 99, "crm-v2": 1}, {"a": 5, "b": 3, "c": 2, "d": 0}],
)
def test_shares_are_those_of_the_weights(weights: dict[str, int]) -> None:
    counts = Counter(chosen(weights, KEYS))
    total = sum(weights.values())
    for name, weight in weights.items():
        share = weight / total
        # Five standard deviations of a fair draw.
        slack = 5 * (share * (1 - share) / len(KEYS)) ** 0.5
        assert abs(counts[name] / len(KEYS) - share) <= slack, (name, counts)
    assert all(weights[name] for name in counts)


def test_the_choice_is_the_same_in_every_release() -> None:
    """All gateways of a fleet agree, also while half of them are another version."""
    choice = WeightedChoice([("crm", 9), ("crm-v2", 1)])
    assert [number for number in range(60) if choice.choose(f"user:t1/u{number}") == "crm-v2"] == [1, 18, 20, 21, 41]


@given(POSITIVE, st.permutations(range(4)), st.integers(1, 9), st.lists(st.text(), max_size=20))
def test_neither_order_nor_scale_counts(weights: dict[str, int], order: list[int], scale: int, keys: list[str]) -> None:
    names = [name for name in (["crm", "crm-v2", "crm-v3", "crm-v4"][index] for index in order) if name in weights]
    other = {name: weights[name] * scale for name in names}
    assert chosen(other, keys) == chosen(weights, keys)


@given(POSITIVE, st.sampled_from(["crm", "crm-v2", "crm-v3", "crm-v4"]), st.integers(0, 100))
def test_a_changed_weight_moves_keys_to_or_from_it_and_no_others(
    weights: dict[str, int], changed: str, weight: int
) -> None:
    after = {**weights, changed: weight}
    if not any(after.values()):
        return
    keys = KEYS[:300]
    for old, new in zip(chosen(weights, keys), chosen(after, keys), strict=True):
        if old != new:
            assert changed == (new if weight > weights.get(changed, 0) else old)


def test_from_5_to_10_of_100_moves_5_of_100_and_none_of_them_back() -> None:
    before = chosen({"crm": 95, "crm-v2": 5}, KEYS)
    after = chosen({"crm": 90, "crm-v2": 10}, KEYS)
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {("crm", "crm-v2")}
    assert 0.043 < len(moved) / len(KEYS) < 0.057


def test_without_any_weight_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="every weight is 0"):
        WeightedChoice([("crm", 0)])


def test_a_name_and_a_key_are_told_apart_and_any_text_is_a_key() -> None:
    choice = WeightedChoice([("a", 1), ("ab", 1)])
    assert choice.choose("\ud800") in {"a", "ab"}
    assert repr(choice) == "<WeightedChoice a 1, ab 1>"
