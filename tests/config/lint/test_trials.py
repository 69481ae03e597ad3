"""Hazard: what was switched on for a trial is still on when the trial is long over, and nobody is told."""

import pytest

from tests.config.lint.good_table import edited, found


def with_route(text: str) -> str:
    return edited(("to: crm}", f"to: crm, {text}}}"))


@pytest.mark.parametrize(
    ("fault", "does"),
    [
        ("{status: 503, percent: 5%}", '5% of the requests to "crm" fail with 503'),
        ("{delay: 250ms}", '100% of the requests to "crm" wait 0.25s'),
        ("{delay: 2s, status: 500, percent: 10%}", '10% of the requests to "crm" wait 2s and fail with 500'),
    ],
)
def test_a_fault_that_is_on_says_what_it_does_and_how_it_ends(fault: str, does: str) -> None:
    assert found(with_route(f"fault: {fault}")) == [
        f"12 fault: fault_left_on: {does}, because the table says so; take fault out when the trial is over"
    ]


def test_one_in_defaults_is_told_of_each_route_that_has_it() -> None:
    text = edited(
        ("  auth: main\n", "  auth: main\n  fault: {status: 503}\n"),
        ("routes:\n", "routes:\n- {id: hr, match: /hr/*, to: crm, fault: none}\n"),
        ("tests:\n", "tests:\n- {get: /hr/x, expect: {route: hr}}\n"),
    )
    assert found(text) == [
        (
            '8 fault: fault_left_on: 100% of the requests to "crm" fail with 503, because the table says so; '
            "take fault out of defaults, or write fault: none on the route, when the trial is over"
        )
    ]


@pytest.mark.parametrize("fault", ["none", "{status: 503, percent: 0%}"])
def test_one_that_is_off_is_nothing_to_speak_of(fault: str) -> None:
    assert found(with_route(f"fault: {fault}")) == []


HR = ("upstreams:\n", 'upstreams:\n  hr: {endpoints: ["http://127.0.0.1:8102"]}\n')


def test_an_upstream_without_a_share_is_told() -> None:
    assert found(edited(("to: crm}", "split: [{to: crm, weight: 1}, {to: hr, weight: 0}]}"), HR)) == [
        (
            '13 0: no_share: weight 0: "hr" gets no requests of "crm"; give it a weight, or take it out if it is not '
            "to come back"
        )
    ]
    assert found(edited(("to: crm}", "to: crm, mirror: {to: hr, percent: 0%}}"), HR)) == [
        '13 0%: no_share: 0%: nothing of "crm" is copied to "hr"; give it a share, or take mirror out'
    ]


@pytest.mark.parametrize(
    ("match", "is_told"),
    [
        ("/crm/*", True),
        ("{path: /crm/*, methods: [GET, DELETE]}", True),
        ("{path: /crm/*, methods: [GET, HEAD]}", False),
    ],
)
def test_copies_of_writes_are_told(match: str, is_told: bool) -> None:
    text = edited(("match: /crm/*, to: crm}", f"match: {match}, to: crm, mirror: {{to: hr, percent: 5%}}}}"), HR)
    told = (
        '13 hr: mirrored_writes: writes to "crm" are copied as well, and "hr" carries them out a second time; '
        'give "hr" data of its own, or let only a route with methods: [GET, HEAD] have the mirror'
    )
    assert found(text) == ([told] if is_told else [])
