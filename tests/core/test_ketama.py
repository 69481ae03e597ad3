"""Hazard: a ring that nobody is found on, and keys that another order of the same members moves."""

import pytest

from gateway.core.ketama import Ring

MEMBERS = [(name, name, 1) for name in "abc"]


def test_a_key_has_one_member_whatever_the_order_of_the_members() -> None:
    ring, other = Ring(MEMBERS), Ring(MEMBERS[::-1])
    keys = [f"t{number}" for number in range(200)]
    assert [ring.choose(key, "abc") for key in keys] == [other.choose(key, "abc") for key in keys]
    assert {ring.choose(key, "abc") for key in keys} == set("abc")


def test_members_that_are_no_candidates_are_passed_over() -> None:
    ring = Ring(MEMBERS)
    assert {ring.choose(f"t{number}", ["b"]) for number in range(50)} == {"b"}


def test_without_a_candidate_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        Ring(MEMBERS).choose("t1", [])


def test_any_text_is_a_key() -> None:
    assert Ring(MEMBERS).choose("\udcff\x00", "abc") in "abc"


def test_great_weights_do_not_make_a_ring_without_end() -> None:
    ring = Ring([("a", "a", 1000), ("b", "b", 1)])
    assert len(ring._hashes) <= 17_000
    assert {ring.choose(f"t{number}", "ab") for number in range(20_000)} == {"a", "b"}
