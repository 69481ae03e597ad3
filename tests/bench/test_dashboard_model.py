"""Hazard: the generator of dashboard traffic takes a stale reply for a good one, or a good one for stale."""

import random
from collections import Counter
from typing import Any

import pytest

from tests.bench.dashboard_model import (
    SERVICE_OF,
    Draws,
    Expectation,
    Mark,
    Read,
    Seen,
    Tenant,
    Write,
    Zipf,
    moment,
    new_record,
)


@pytest.fixture
def tenant() -> Tenant:
    made = Tenant("t")
    for number in range(3):
        made.add("deals", {"id": f"d{number}", "version": 1, "stage": "new"})
    return made


def change(mark: Mark, version: int, user: str, state: str = "won", at_s: float = 10.0) -> None:
    mark.begin()
    mark.end(Seen(version, at_s, user, state))


def item(record: str, version: int) -> dict[str, Any]:
    return {"id": record, "version": version}


def judged(expected: Expectation, reply: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(found.what, found.is_own) for found in expected.judge(reply)]


def test_a_record_is_at_least_as_new_as_the_last_confirmed_write(tenant: Tenant) -> None:
    change(tenant.marks["d0"], 2, "own")
    change(tenant.marks["d0"], 3, "other")
    expected = Expectation(tenant, "own", 11.0, "deals", "d0")
    change(tenant.marks["d0"], 4, "own")  # after the read began
    assert judged(expected, item("d0", 3)) == judged(expected, item("d0", 4)) == []
    assert judged(expected, item("d0", 2)) == [("an older state is shown", False)]
    assert judged(expected, item("d0", 1)) == [("an older state is shown", True)]
    assert expected.judge(item("d0", 1))[0].age_s == 1.0


def test_a_list_shows_the_last_state_of_each_record_and_what_is_new(tenant: Tenant) -> None:
    change(tenant.marks["d1"], 2, "own")
    tenant.created("deals", "d9", "own", 10.0)
    expected = Expectation(tenant, "own", 11.0, "deals")
    good = [item("d9", 1), item("d0", 1), item("d1", 2)]
    assert judged(expected, {"items": good}) == []
    assert judged(expected, {"items": [item("d9", 1), item("d1", 1)]}) == [("an older state is shown", True)]
    assert judged(expected, {"items": good[1:]}) == [("a new record is missing", True)]


def test_a_changed_record_is_in_the_list_of_its_state_unless_somebody_is_changing_it(tenant: Tenant) -> None:
    change(tenant.marks["d0"], 2, "other")
    expected = Expectation(tenant, "own", 11.0, "deals", state="won")
    assert judged(expected, {"items": []}) == [("a changed record is missing in its list", False)]
    assert judged(expected, {"items": [item("d0", 2)]}) == []
    tenant.marks["d0"].begin()
    assert judged(expected, {"items": []}) == []


def test_statistics_know_the_last_change(tenant: Tenant) -> None:
    early, late = "2026-11-24T10:00:00+00:00", "2026-11-24T10:00:01.500000+00:00"
    tenant.statistics.confirm(Seen(moment(late), 10.0, "own"))
    expected = Expectation(tenant, "own", 11.0)
    assert judged(expected, {"changed_at": late}) == []
    assert judged(expected, {"changed_at": early}) == [("an older state is shown", True)]
    assert judged(expected, {"changed_at": None}) == [("an older state is shown", True)]


@pytest.mark.parametrize("burst", [1, 3])
def test_a_write_is_one_of_ten_requests_however_they_come(burst: int) -> None:
    tenant = Tenant("t", ids={"departments": ["x"]})
    for collection in SERVICE_OF:
        record = {"id": collection, "version": 1, "status": "", "stage": "", "channel": ""}
        tenant.add(collection, record)
    draws = Draws(random.Random(1), records=1, exponent=1.0, write_share=0.1, burst=burst)
    kinds = Counter(type(step) for _ in range(20_000) for step in draws.steps(tenant))
    assert 0.09 < kinds[Write] / (kinds[Write] + kinds[Read]) < 0.11


def test_the_first_is_drawn_as_often_as_zipf_says() -> None:
    rng, zipf = random.Random(1), Zipf(4, 1.0)
    drawn = Counter(zipf.draw(rng) for _ in range(25_000))
    assert [round(drawn[rank] / 1_000) for rank in range(4)] == [12, 6, 4, 3]


def test_each_collection_has_a_record_to_create() -> None:
    tenant = Tenant("t", ids={"contacts": ["c"], "departments": ["d"]})
    assert new_record(tenant, "deals", 1)["contact_id"] == "c"
    assert new_record(tenant, "employees", 1)["department_id"] == "d"
    assert all(new_record(tenant, collection, 1) for collection in SERVICE_OF)
