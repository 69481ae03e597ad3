"""Any members, any weights: who goes takes only its own keys along, and shares are as weights say."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.ketama import Ring

KEYS = [f"tenant-{number}" for number in range(2_000)]
names = st.lists(st.integers(0, 10_000).map(lambda n: f"10.0.{n // 256}.{n % 256}:80"), min_size=2, unique=True)
members = names.flatmap(
    lambda found: st.tuples(*(st.tuples(st.just(name), st.integers(1, 5)) for name in found[:7])).map(list)
)


def ring_of(listed: list[tuple[str, int]]) -> Ring[str]:
    return Ring((name, name, weight) for name, weight in listed)


@given(members, st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_one_that_goes_moves_only_its_own_keys(listed: list[tuple[str, int]], rng: "object") -> None:
    gone = rng.randrange(len(listed))  # type: ignore[attr-defined]
    rest = listed[:gone] + listed[gone + 1 :]
    everyone, others = [name for name, _ in listed], [name for name, _ in rest]
    whole, smaller = ring_of(listed), ring_of(rest)
    for key in KEYS:
        before = whole.choose(key, everyone)
        after = smaller.choose(key, others)
        assert after == before or before == listed[gone][0]
        # To leave it out for a while is the same as a ring without it, so it finds its keys where they were.
        assert whole.choose(key, others) == after


@given(members)
@settings(max_examples=15, deadline=None)
def test_a_greater_weight_only_draws_keys(listed: list[tuple[str, int]]) -> None:
    heavier = [(listed[0][0], listed[0][1] + 1), *listed[1:]]
    everyone = [name for name, _ in listed]
    before, after = ring_of(listed), ring_of(heavier)
    for key in KEYS:
        assert after.choose(key, everyone) in (before.choose(key, everyone), listed[0][0])


@given(members)
@settings(max_examples=15, deadline=None)
def test_shares_are_as_weights_say(listed: list[tuple[str, int]]) -> None:
    ring = ring_of(listed)
    everyone = [name for name, _ in listed]
    counts = Counter(ring.choose(f"key-{number}", everyone) for number in range(10_000))
    total = sum(weight for _, weight in listed)
    for name, weight in listed:
        # Four standard deviations of 160 points a unit of weight, and those of 10,000 keys.
        share = weight / total
        tolerance = 4 * (share / (160 * weight) ** 0.5 + (share * (1 - share) / 10_000) ** 0.5)
        assert abs(counts[name] / 10_000 - share) <= tolerance
