"""Hazard: one worker's view passes for that of all, or what two workers see is shown as one thing."""

from gateway.admin.upstream_pages import upstream_rows


def seen(endpoint: str, state: str = "up", why: str = "", since: float = 0.0, **more: object) -> dict[str, object]:
    numbers = dict.fromkeys(("in_rotation", "in_flight", "open", "idle", "waiting", "ejections", "failures"), 1)
    row = {"upstream": "crm", "endpoint": endpoint, "state": state, "why": why, "since": since, "weight": 2.0}
    return {**row, **numbers, "addresses": [], **more}


def test_workers_that_agree() -> None:
    rows = upstream_rows([[seen("a:1"), seen("b:1")], [seen("a:1", failures=4), seen("b:1")]])
    assert [row["endpoint"] for row in rows] == ["a:1", "b:1"]
    assert rows[0] == {
        "upstream": "crm",
        "endpoint": "a:1",
        "state": "up",
        "workers": {"up": 2},
        "why": "",
        "since": "1970-01-01T00:00:00+00:00",
        "weight": 2.0,
        "failures": 4,
        **dict.fromkeys(("in_rotation", "in_flight", "open", "idle", "waiting", "ejections"), 2),
        "addresses": [],
        "shares": [],
    }


def test_workers_that_do_not_and_the_last_change_that_one_of_them_saw() -> None:
    (row,) = upstream_rows(
        [
            [seen("a:1", since=90.0, addresses=["192.0.2.2"])],
            [seen("a:1", "ejected", "3 requests failed", 60.0, in_rotation=0, weight=0.5, addresses=["192.0.2.1"])],
        ]
    )
    assert (row["state"], row["workers"], row["in_rotation"]) == ("mixed", {"ejected": 1, "up": 1}, 1)
    assert (row["why"], row["since"]) == ("3 requests failed", "1970-01-01T00:01:00+00:00")
    assert (row["weight"], row["addresses"]) == (0.5, ["192.0.2.1", "192.0.2.2"])


def test_who_gets_a_part_of_a_route_is_shown() -> None:
    (row,) = upstream_rows([[seen("a:1", shares=["deals: 10%"])], [seen("a:1", shares=["deals: 10%"])]])
    assert row["shares"] == ["deals: 10%"]


def test_no_worker_no_row() -> None:
    assert upstream_rows([]) == []
