"""Any weights, any subsets: nobody is starved, and shares are as weights say."""

import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.balancing import SmoothRoundRobin, least_requests, random_two


@dataclass(eq=False)
class Place:
    weight: int
    in_flight: int = 0


weights = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(weights)
@settings(max_examples=60, deadline=None)
def test_each_round_gives_everyone_exactly_its_weight(weights: list[int]) -> None:
    places = [Place(weight) for weight in weights]
    balancer = SmoothRoundRobin({})
    for _ in range(3):
        chosen = Counter(id(balancer.choose(places)) for _ in range(sum(weights)))
        assert [chosen[id(place)] for place in places] == weights


@given(weights, st.lists(st.integers(1, 63), max_size=40))
@settings(max_examples=60, deadline=None)
def test_whatever_was_left_out_when_nobody_is_starved_afterwards(weights: list[int], subsets: list[int]) -> None:
    places = [Place(weight) for weight in weights]
    balancer = SmoothRoundRobin({})
    for mask in subsets:
        offered = [place for index, place in enumerate(places) if mask >> index & 1] or places
        assert balancer.choose(offered) in offered
    debt = 2 * (len(subsets) + 1) * sum(weights)
    chosen = {id(balancer.choose(places)) for _ in range(debt)}
    assert chosen == {id(place) for place in places}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=1, max_size=8), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_least_requests_is_never_beaten(endpoints: list[tuple[int, int]], seed: int) -> None:
    places = [Place(*endpoint) for endpoint in endpoints]
    chosen = least_requests(places, random.Random(seed))
    loads = [(place.in_flight + 1) / place.weight for place in places]
    assert (chosen.in_flight + 1) / chosen.weight == min(loads)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=2, max_size=8), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_random_two_never_takes_the_busier_of_its_two(endpoints: list[tuple[int, int]], seed: int) -> None:
    places = [Place(*endpoint) for endpoint in endpoints]
    chosen = random_two(places, random.Random(seed))
    drawn = random.Random(seed).choices(places, [place.weight for place in places], k=2)
    assert chosen in drawn
    assert (chosen.in_flight + 1) / chosen.weight == min((place.in_flight + 1) / place.weight for place in drawn)
