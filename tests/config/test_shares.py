"""Hazard: a share that nobody can draw, or a copy that goes round in a circle, found out by clients."""

import pytest

from gateway.config.compile import check_table, no_upstream
from gateway.config.describe import describe_routes
from gateway.config.load import read_table
from gateway.config.offline import offline_services
from gateway.config.partial import admit
from gateway.config.problems import TableInvalid
from gateway.config.reload import route_meanings
from gateway.config.shares import SplitPart, percent_text, share_of, split_text
from gateway.config.snapshot import Snapshot
from gateway.config.source import from_memory

HEAD = """\
version: 1
defaults: {auth: none}
upstreams:
  crm: {endpoints: ["http://127.0.0.1:1"]}
  crm-v2: {endpoints: ["http://127.0.0.1:2"]}
routes:
- id: a
  match: /a
"""


def table(text: str) -> Snapshot:
    read_file, find_files = from_memory({"routes.yaml": HEAD + text})
    return check_table("routes.yaml", environ={}, read_file=read_file, find_files=find_files)


MISTAKES = {
    "  split: [{to: crm, weight: 9}, {to: crm-v3, weight: 1}]\n": [
        '9:38: unknown_upstream: there is no upstream "crm-v3"; did you mean "crm-v2"?'
    ],
    "  split: [{to: crm, weight: -1}]\n": ["9:29: invalid_value: must be at least 0"],
    "  split: [{to: crm, weight: 10%}]\n": ["9:29: wrong_type: a whole number is wanted here, not text"],
    "  split: [{to: crm, weight: 0}, {to: crm-v2, weight: 0}]\n": [
        "9:10: invalid_split: every weight is 0, so no upstream gets a request; give one a weight of 1 or more"
    ],
    "  split: [{to: crm, weight: 1}, {to: crm, weight: 2}]\n": [
        '9:10: invalid_split: "crm" stands here twice; give it one weight'
    ],
    "  split: []\n": ["9:10: invalid_value: at least 1 entry is wanted here"],
    "  split:\n": [
        (
            '9:3: wrong_type: "split" says nothing; write upstreams with their weights, like split: '
            "[{to: crm, weight: 90}, {to: crm-v2, weight: 10}]"
        )
    ],
    "  split: [{to: crm}]\n": ['9:11: missing_key: "weight" is missing here; write weight: 10'],
    "  split: [{to: crm, weight: 1}]\n  to: crm\n": [
        "9:3: too_many_actions: a route does one thing, and here are to and split"
    ],
    "  to: crm\n  mirror: {to: crm, percent: 5%}\n": [
        '10:16: mirror_to_itself: "crm" gets these requests already; copies are for another upstream'
    ],
    "  split: [{to: crm, weight: 1}, {to: crm-v2, weight: 0}]\n  mirror: {to: crm-v2, percent: 5%}\n": [
        '10:16: mirror_to_itself: "crm-v2" gets these requests already; copies are for another upstream'
    ],
    "  to: crm\n  mirror: {to: crn-v2, percent: 5%}\n": [
        '10:16: unknown_upstream: there is no upstream "crn-v2"; did you mean "crm-v2"?'
    ],
    "  to: crm\n  mirror: {to: crm-v2, percent: 101%}\n": ["10:33: bad_percent: 101% is more than 100%"],
    "  to: crm\n  mirror: {to: crm-v2, percent: -1%}\n": [
        "10:33: bad_percent: '-1%' is not a percent: write it like 20%"
    ],
    "  to: crm\n  mirror: {to: crm-v2}\n": ['10:11: missing_key: "percent" is missing here; write percent: 20%'],
    "  to: crm\n  mirror: crm-v2\n": [
        (
            "10:11: wrong_type: a mapping of keys and values is wanted here, not text; write it like "
            "mirror: {to: crm-v2, percent: 20%}"
        )
    ],
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_told_at_their_place_with_what_to_do(text: str) -> None:
    with pytest.raises(TableInvalid) as told:
        table(text)
    assert [str(problem).removeprefix("routes.yaml:") for problem in told.value.problems] == MISTAKES[text]


def test_a_mirror_with_nothing_to_copy_is_a_warning() -> None:
    snapshot = table("  respond: {text: hi}\n  mirror: {to: crm, percent: 5%}\n")
    (problem,) = snapshot.warnings
    assert (problem.code, problem.line) == ("without_effect", 10)
    assert [plugin.name for plugin in snapshot.routes[0].plugins] == ["respond"]


def quarantined(text: str, **replaced: str) -> list[str]:
    head = HEAD.replace("version: 1\n", "version: 1\ngateway: {on_invalid: partial}\n")
    for old, new in replaced.items():
        head = head.replace(old, new)
    read_file, find_files = from_memory({"routes.yaml": head + text})
    loaded = read_table("routes.yaml", environ={}, read_file=read_file, find_files=find_files)
    return sorted(entry.route for entry in admit(loaded, offline_services(loaded), no_upstream).quarantined)


def test_a_broken_split_is_quarantined_with_its_route_alone() -> None:
    good = "- {id: b, match: /b, to: crm, mirror: {to: crm-v2, percent: 5%}}\n"
    assert quarantined(f"  split: [{{to: crm, weight: 0}}]\n{good}") == ["a"]


def test_a_broken_upstream_takes_along_every_route_that_names_it_anywhere() -> None:
    text = (
        "  split: [{to: crm, weight: 9}, {to: crm-v2, weight: 1}]\n"
        "- {id: b, match: /b, to: crm, mirror: {to: crm-v2, percent: 5%}}\n"
        "- {id: c, match: /c, to: crm}\n"
    )
    assert quarantined(text, **{"http://127.0.0.1:2": "ftp://127.0.0.1:2"}) == ["a", "b"]


def test_a_change_of_any_of_its_upstreams_changes_what_a_route_means() -> None:
    """So that `watch` goes by the requests of that route."""
    text = (
        "  split: [{to: crm, weight: 9}]\n"
        "- {id: b, match: /b, to: crm, mirror: {to: crm-v2, percent: 5%}}\n"
        "- {id: c, match: /c, to: crm-v2}\n"
    )

    def meanings(head: str) -> dict[str, str]:
        read_file, find_files = from_memory({"routes.yaml": head + text})
        return route_meanings(read_table("routes.yaml", environ={}, read_file=read_file, find_files=find_files))

    before = meanings(HEAD)
    changed = {number: meanings(HEAD.replace(f"127.0.0.1:{number}", "127.0.0.1:9")) for number in (1, 2)}
    assert {name for name in before if changed[1][name] != before[name]} == {"a", "b"}
    assert {name for name in before if changed[2][name] != before[name]} == {"b", "c"}


def test_gateway_routes_shows_who_gets_what() -> None:
    snapshot = table(
        "  split: [{to: crm, weight: 9}, {to: crm-v2, weight: 1}]\n"
        "- {id: b, match: /b, to: crm, mirror: {to: crm-v2, percent: 5%}}\n"
        "- {id: c, match: /c, to: crm}\n"
    )
    assert [row.action for row in describe_routes(snapshot)] == [
        "-> crm 90%, crm-v2 10%",
        "-> crm; copies 5% to crm-v2",
        "-> crm",
    ]


def test_shares_in_words() -> None:
    parts = tuple(SplitPart(to=name, weight=weight) for name, weight in (("a", 2), ("b", 1), ("c", 0)))
    assert split_text(parts) == "a 66.67%, b 33.33%, c 0%"
    assert (share_of(parts, "d"), percent_text(0.005)) == (0.0, "0.5%")
