"""Hazard: an endpoint gets more than its share, or none at all."""

import random
from collections import Counter
from dataclasses import dataclass

from gateway.core.balancing import SmoothRoundRobin, least_requests, random_two


@dataclass(eq=False)
class Place:
    name: str
    weight: int = 1
    in_flight: int = 0


def turns(balancer: SmoothRoundRobin, places: list[Place], count: int) -> str:
    return "".join(balancer.choose(places).name for _ in range(count))


def test_equal_endpoints_take_turns() -> None:
    places = [Place("a"), Place("b"), Place("c")]
    assert turns(SmoothRoundRobin({}), places, 7) == "abcabca"


def test_the_turns_of_a_heavy_endpoint_are_spread() -> None:
    places = [Place("a", 5), Place("b", 1), Place("c", 1)]
    assert turns(SmoothRoundRobin({}), places, 7) == "aabacaa"


def test_an_endpoint_that_was_left_out_comes_in_again() -> None:
    places = [Place("a"), Place("b")]
    balancer = SmoothRoundRobin({})
    assert turns(balancer, places[1:], 3) == "bbb"
    # It has paid for each turn at once, so nobody has to be made up to.
    assert turns(balancer, places, 4) == "abab"


def test_the_least_busy_by_weight_is_chosen() -> None:
    rng = random.Random(1)
    assert least_requests([Place("a", in_flight=1), Place("b"), Place("c", in_flight=2)], rng).name == "b"
    assert least_requests([Place("a", in_flight=1), Place("b", weight=4, in_flight=3)], rng).name == "b"


def test_equally_busy_ones_are_drawn_by_weight() -> None:
    rng = random.Random(1)
    places = [Place("a", weight=1), Place("b", weight=3, in_flight=2)]
    drawn = Counter(least_requests(places, rng).name for _ in range(4000))
    assert 2800 < drawn["b"] < 3200


def test_of_two_drawn_the_less_busy_is_chosen() -> None:
    rng = random.Random(1)
    places = [Place("idle"), Place("busy", in_flight=50)]
    drawn = Counter(random_two(places, rng).name for _ in range(1000))
    # Only a pair of busy and busy gives the busy one: one in four.
    assert 200 < drawn["busy"] < 300


def test_one_endpoint_is_every_choice() -> None:
    place = Place("only", in_flight=9)
    rng = random.Random(1)
    assert SmoothRoundRobin({}).choose([place]) is least_requests([place], rng) is random_two([place], rng) is place
