"""Hazard: requests that go elsewhere, or are copied to somebody else, in a change that looks like nothing."""

import pytest

from tests.explain.tables import said

HEAD = """\
version: 1
defaults: {auth: none}
upstreams:
  one: {endpoints: ["http://127.0.0.1:1"]}
  two: {endpoints: ["http://127.0.0.1:2"]}
  three: {endpoints: ["http://127.0.0.1:3"]}
routes:
"""


def table(*actions: str) -> str:
    return HEAD + "".join(f"- {{id: r{index}, match: /r{index}, {action}}}\n" for index, action in enumerate(actions))


def split(**weights: int) -> str:
    return f"split: [{', '.join(f'{{to: {name}, weight: {weight}}}' for name, weight in weights.items())}]"


COPIED = "to: one, mirror: {to: two, percent: 5%}"


@pytest.mark.parametrize(
    ("old", "new", "there", "back"),
    [
        (
            "to: one",
            split(one=90, two=10),
            ["breaking: 10% of r0 goes to two"],
            ["breaking: two gets nothing of r0 any more", "neutral: 100% of r0 goes to one, not 90%"],
        ),
        (
            split(one=95, two=5),
            split(one=50, two=50),
            ["neutral: 50% of r0 goes to two, not 5%"],
            ["neutral: 95% of r0 goes to one, not 50%"],
        ),
        (
            split(one=9, two=1),
            split(one=9, three=1),
            ["breaking: 10% of r0 goes to three", "breaking: two gets nothing of r0 any more"],
            ["breaking: 10% of r0 goes to two", "breaking: three gets nothing of r0 any more"],
        ),
        (
            split(one=1, two=0),
            split(one=1, two=1),
            ["breaking: 50% of r0 goes to two"],
            ["breaking: two gets nothing of r0 any more", "neutral: 100% of r0 goes to one, not 50%"],
        ),
        (
            "respond: {text: a}",
            split(one=3, two=1),
            ["breaking: r0 goes to one 75%, two 25%", "breaking: r0 loses respond"],
            ["breaking: r0 answers itself", "neutral: r0 gets respond"],
        ),
        (
            "to: one",
            COPIED,
            ["widening: 5% of r0 is copied to two, bodies and credentials included"],
            ["neutral: r0 is not copied to two any more"],
        ),
        (
            COPIED,
            COPIED.replace("5%", "50%"),
            ["widening: 50% of r0 is copied to two, not 5%"],
            ["neutral: 5% of r0 is copied to two, not 50%"],
        ),
        (
            COPIED,
            COPIED.replace("two", "three"),
            [
                "widening: 5% of r0 is copied to three, bodies and credentials included",
                "neutral: r0 is not copied to two any more",
            ],
            [
                "widening: 5% of r0 is copied to two, bodies and credentials included",
                "neutral: r0 is not copied to three any more",
            ],
        ),
    ],
)
def test_each_change_and_its_way_back(old: str, new: str, there: list[str], back: list[str]) -> None:
    assert said(table(old), table(new)) == there
    assert said(table(new), table(old)) == back


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (split(one=90, two=10), split(two=10, one=90)),
        (split(one=90, two=10), split(one=9, two=1)),
        (split(one=7), "to: one"),
        (split(one=1, two=0), "to: one"),
        (COPIED, "mirror: {percent: 5%, to: two}, to: one"),
    ],
)
def test_order_and_scale_are_no_change(old: str, new: str) -> None:
    assert said(table(old), table(new)) == said(table(new), table(old)) == []


def test_the_same_of_several_routes_is_one_line() -> None:
    assert said(table("to: one", "to: one"), table(COPIED, COPIED)) == [
        "widening: 5% of 2 routes is copied to two, bodies and credentials included"
    ]
    assert said(table(COPIED, COPIED), table("to: one", "to: one")) == [
        "neutral: 2 routes are not copied to two any more"
    ]


def test_policies_of_a_split_route_are_compared_as_ever() -> None:
    both = split(one=1, two=1)
    assert said(table(both), table(f"{both}, timeout: {{connect: 2s}}, limit: 5/s")) == [
        "breaking: r0 gets a limit",
        "neutral: timeout.connect of r0: 1s -> 2s",
    ]
