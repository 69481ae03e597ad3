"""Hazard: an operator changes the wrong line, because he is told the wrong place or shown a secret."""

from typing import Any

from gateway.explain.origins import place_of, policy_rows, scrubbed, size_text
from gateway.explain.rehearsal import Rehearsal
from tests.explain.material import ENVIRON, TABLE, load

REHEARSAL = Rehearsal(load())


def rows(route_id: str, rehearsal: Rehearsal = REHEARSAL) -> dict[str, dict[str, Any]]:
    route = next(each for each in rehearsal.snapshot.routes if each.info.id == route_id)
    return {row["policy"]: row for row in policy_rows(rehearsal.snapshot, rehearsal.loaded, route)}


def line_of(text: str, after: str = "version") -> int:
    lines = TABLE.splitlines()
    start = next(number for number, line in enumerate(lines) if after in line)
    return next(number for number, line in enumerate(lines[start:], start + 1) if text in line)


def test_each_policy_says_where_it_stands() -> None:
    found = rows("records")
    assert list(found) == [
        *("headers", "auth", "limit", "rewrite", "body_max", "timeout.connect", "timeout.total", "timeout.idle"),
        *("timeout.send", "retry.attempts", "retry.on", "retry.budget", "hedge", "priority"),
    ]
    assert {name: row["from"] for name, row in found.items()} == {
        "headers": f"route at routes.yaml:{line_of('headers:', 'id: records')}:3",
        "auth": f"defaults at routes.yaml:{line_of('auth: main')}:3",
        "limit": f"defaults at routes.yaml:{line_of('limit: {plan')}:3",
        "rewrite": f"defaults at routes.yaml:{line_of('rewrite:')}:3",
        "body_max": "built in",
        "timeout.connect": f"route at routes.yaml:{line_of('timeout:', 'id: records')}:13",
        "timeout.total": f"defaults at routes.yaml:{line_of('timeout:')}:13",
        "timeout.idle": "built in",
        "timeout.send": "built in",
        "retry.attempts": f"route at routes.yaml:{line_of('retry:')}:11",
        "retry.on": "built in",
        "retry.budget": "built in",
        "hedge": "built in",
        "priority": "built in",
    }
    assert [found[name]["value"] for name in ("timeout.connect", "timeout.total", "retry.attempts", "body_max")] == [
        *("2s", "9s", 3, "10MiB"),
    ]
    assert found["auth"]["section"] == f"auth at routes.yaml:{line_of('main: {jwt')}:3"


def test_what_is_switched_off_says_where_and_what_is_left_out_is_told_with_its_unit() -> None:
    assert (rows("open")["auth"]["value"], rows("open")["auth"]["from"]) == (
        "none",
        f"route at routes.yaml:{line_of('auth: none')}:3",
    )
    left_out = rows("lists")["cache"]["left_out"]
    assert (left_out["max_size"], left_out["stale"], left_out["layers"]) == ("1MiB", "0s", ["l1", "l2"])
    assert "ttl" not in left_out
    assert rows("lists")["retry"] == {
        "policy": "retry",
        "stage": "upstream",
        "value": "none",
        "from": "built in",
        "left_out": {},
    }


def test_body_max_comes_from_the_nearest_that_says_it() -> None:
    table = Rehearsal(load(f"{TABLE}gateway: {{limits: {{body_max: 5KiB}}}}\n"))
    assert (rows("lists", table)["body_max"]["value"], rows("lists", table)["body_max"]["from"]) == (
        "5KiB",
        f"gateway.limits at routes.yaml:{len(TABLE.splitlines()) + 1}:20",
    )


def test_secrets_are_shown_as_references() -> None:
    value = rows("records")["headers"]["value"]
    assert value == {"request": {"set": {"X-Key": "${env:KEY}"}}}
    assert scrubbed(REHEARSAL.loaded, f"x-key: {ENVIRON['KEY']}") == "x-key: ${env:KEY}"


def test_a_key_that_is_not_there_has_no_place() -> None:
    assert place_of(REHEARSAL.loaded, ("plans", "gold")) is None
    assert str(place_of(REHEARSAL.loaded, ("plans", "pro"))) == f"routes.yaml:{line_of('pro:')}:3"


def test_sizes_have_the_largest_unit_without_a_rest() -> None:
    assert [size_text(size) for size in (0, 1, 1024, 1025, 3 << 20, 1 << 30)] == [
        *("0B", "1B", "1KiB", "1025B", "3MiB", "1GiB"),
    ]
