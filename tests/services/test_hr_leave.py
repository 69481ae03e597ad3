"""Hazard: a balance of leave goes below nothing or loses days; leave counts days that nobody works."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream_services.hr.working_days import (
    MONDAY_TO_FRIDAY,
    WEEKDAYS,
    days_between,
    is_late,
    leave_days,
    minutes_worked,
    working_days,
)

from .conftest import Client
from .samples import make

DATES = st.dates(date(2024, 1, 1), date(2026, 12, 31))


async def send(hr: Client, method: str, path: str, expected: int, /, **body: Any) -> dict[str, Any]:
    """The reply to a request under /hr."""
    reply = await hr.request(method, f"/hr/{path}", json=body)
    assert reply.status == expected, await reply.text()
    told: dict[str, Any] = await reply.json()
    return told


async def kind_of_leave(hr: Client, days: str, *, is_paid: bool = True) -> str:
    """The id of a kind of leave."""
    made = await send(
        hr, "POST", "leave-types", 201, name="Leave", code=f"L{int(is_paid)}", days_per_year=days, is_paid=is_paid
    )
    return str(made["id"])


async def ask(hr: Client, employee: str, kind: str, first: str, last: str, **more: Any) -> str:
    """The id of a request."""
    body = {"employee_id": employee, "leave_type_id": kind, "first_day": first, "last_day": last, **more}
    return str((await send(hr, "POST", "leave-requests", 201, **body))["id"])


async def balance(hr: Client, employee: str) -> tuple[str, str]:
    """What is granted and used of the only balance of an employee."""
    reply = await hr.get(f"/hr/employees/{employee}/leave-balances")
    (found,) = (await reply.json())["items"]
    return found["granted"], found["used"]


# ---- days


@given(DATES, st.integers(0, 400), st.sets(DATES, max_size=40), st.sets(st.sampled_from(WEEKDAYS)))
def test_working_days_are_those_of_the_parts(first: date, length: int, holidays: set[date], week: set[str]) -> None:
    last, middle = first + timedelta(days=length), first + timedelta(days=length // 2)
    whole = working_days(first, last, week, holidays)
    parts = working_days(first, middle, week, holidays)
    parts += working_days(middle + timedelta(days=1), last, week, holidays)
    assert whole == parts
    assert 0 <= whole <= len(list(days_between(first, last))) == length + 1
    assert working_days(first, last, WEEKDAYS, ()) == length + 1
    assert leave_days(first, last, week, holidays, is_half=True) * 2 == whole


def test_known_days() -> None:
    assert leave_days(date(2025, 6, 6), date(2025, 6, 9), MONDAY_TO_FRIDAY, (), is_half=False) == 2
    assert leave_days(date(2025, 6, 6), date(2025, 6, 9), WEEKDAYS, {date(2025, 6, 9)}, is_half=False) == 3
    assert leave_days(date(2025, 6, 7), date(2025, 6, 8), MONDAY_TO_FRIDAY, (), is_half=False) == 0


@pytest.mark.parametrize(
    ("came", "starts", "grace", "late"),
    [("09:40", "09:30", 10, False), ("09:41", "09:30", 10, True), ("09:00", "09:30", 0, False),
     ("23:50", "22:00", 10, True), ("00:30", "22:00", 10, True), ("21:55", "22:00", 10, False),
     ("23:55", "00:05", 0, False)],
)  # fmt: skip
def test_who_is_late(came: str, starts: str, grace: int, late: bool) -> None:
    moment = datetime.fromisoformat(f"2025-06-02T{came}:00+00:00")
    assert is_late(moment, starts, grace) is late


@given(st.integers(0, 24 * 60), st.integers(0, 480))
def test_minutes_are_those_of_the_clock_less_the_break(minutes: int, break_minutes: int) -> None:
    start = datetime(2025, 6, 2, 9, 30, tzinfo=UTC)
    worked = minutes_worked(start, start + timedelta(minutes=minutes, seconds=59), break_minutes)
    assert worked == (minutes - break_minutes if minutes > break_minutes else minutes)


# ---- requests and balances


async def test_a_leave_counts_the_days_that_are_worked(hr: Client) -> None:
    place = await make(hr, "/hr/locations")
    shift = await send(
        hr, "POST", "shifts", 201, name="Six days", starts_at="09:00", ends_at="17:00",
        working_days=["sat", "mon", "tue", "wed", "thu", "fri"],
    )  # fmt: skip
    assert shift["working_days"] == ["mon", "tue", "wed", "thu", "fri", "sat"]
    employee = (await make(hr, "/hr/employees"))["id"]
    await send(hr, "PATCH", f"employees/{employee}", 200, location_id=place["id"], shift_id=shift["id"])
    elsewhere = await make(hr, "/hr/locations")
    for day, more in (
        ("2025-06-03", {}), ("2025-06-04", {"location_id": place["id"]}),
        ("2025-06-05", {"location_id": elsewhere["id"]}), ("2025-06-06", {"is_optional": True}),
    ):  # fmt: skip
        await send(hr, "POST", "holidays", 201, name="Holiday", day=day, **more)
    kind = await kind_of_leave(hr, "10")
    leave = await ask(hr, employee, kind, "2025-06-02", "2025-06-08")
    told = await send(hr, "POST", f"leave-requests/{leave}/approve", 200, note="Enjoy")
    assert (told["days"], told["status"], told["decision_note"], told["is_paid"]) == ("4.0", "approved", "Enjoy", True)
    assert await balance(hr, employee) == ("10.0", "4.0")
    half = await ask(hr, employee, kind, "2025-06-09", "2025-06-09", is_half_day=True)
    assert (await send(hr, "POST", f"leave-requests/{half}/approve", 200))["days"] == "0.5"
    assert await balance(hr, employee) == ("10.0", "4.5")


async def test_what_cannot_be_leave_names_its_field(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "10")
    for change, field in (
        ({"last_day": "2025-06-01"}, "last_day"),
        ({"last_day": "2026-01-02"}, "last_day"),
        ({"is_half_day": True}, "is_half_day"),
        ({"first_day": "2025-06-07", "last_day": "2025-06-08"}, "first_day"),  # a weekend
        ({"first_day": "2025-05-28"}, "first_day"),  # before they were employed
        ({"employee_id": kind}, "employee_id"),
    ):
        body = {"employee_id": employee, "leave_type_id": kind, "first_day": "2025-06-02", "last_day": "2025-06-03"}
        reply = await hr.post("/hr/leave-requests", json=body | change)
        assert (reply.status, [e["field"] for e in (await reply.json())["errors"]]) == (422, [field]), change


async def test_a_decision_is_made_once_and_cancelling_gives_the_days_back(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "3")
    leave = await ask(hr, employee, kind, "2025-06-02", "2025-06-03")
    overlap = await hr.post(
        "/hr/leave-requests",
        json={"employee_id": employee, "leave_type_id": kind, "first_day": "2025-06-03", "last_day": "2025-06-04"},
    )
    assert (overlap.status, (await overlap.json())["code"]) == (409, "overlaps")
    await send(hr, "POST", f"leave-requests/{leave}/approve", 200)
    for action in ("approve", "reject"):
        assert (await send(hr, "POST", f"leave-requests/{leave}/{action}", 409))["code"] == "illegal_transition"
    assert (await send(hr, "PATCH", f"leave-requests/{leave}", 409, reason="x"))["code"] == "illegal_transition"
    assert (await hr.delete(f"/hr/leave-requests/{leave}")).status == 409
    more = await ask(hr, employee, kind, "2025-06-09", "2025-06-10")
    assert (await send(hr, "POST", f"leave-requests/{more}/approve", 409))["code"] == "balance_too_small"
    assert (await send(hr, "GET", f"leave-requests/{more}", 200))["status"] == "pending"
    assert await balance(hr, employee) == ("3.0", "2.0")
    await send(hr, "POST", f"leave-requests/{leave}/cancel", 200)
    assert await balance(hr, employee) == ("3.0", "0.0")
    await send(hr, "POST", f"leave-requests/{more}/approve", 200)
    rejected = await ask(hr, employee, kind, "2025-06-02", "2025-06-03")
    assert (await send(hr, "POST", f"leave-requests/{rejected}/reject", 200, note="No"))["status"] == "rejected"
    assert await balance(hr, employee) == ("3.0", "2.0")


async def test_leave_that_came_back_overlaps_nothing_that_was_approved(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "9")
    first = await ask(hr, employee, kind, "2025-06-02", "2025-06-03")
    await hr.delete(f"/hr/leave-requests/{first}")
    second = await ask(hr, employee, kind, "2025-06-03", "2025-06-04")
    await send(hr, "POST", f"leave-requests/{second}/approve", 200)
    assert (await hr.post(f"/hr/leave-requests/{first}/restore")).status == 200
    assert (await send(hr, "POST", f"leave-requests/{first}/approve", 409))["code"] == "overlaps"
    assert await balance(hr, employee) == ("9.0", "2.0")


async def test_no_more_is_taken_than_there_is_however_many_approve_at_once(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "5")
    days = [f"2025-07-{number:02d}" for number in (1, 2, 3, 4, 7, 8, 9, 10, 11, 14)]
    leaves = [await ask(hr, employee, kind, day, day) for day in days]
    path = "/hr/leave-requests/{}/approve"
    replies = await asyncio.gather(*(hr.post(path.format(leave), json={}) for leave in (*leaves, *leaves)))
    assert [reply.status for reply in replies].count(200) == 5
    codes = {(await reply.json())["code"] for reply in replies if reply.status != 200}
    assert codes <= {"balance_too_small", "illegal_transition"}
    assert await balance(hr, employee) == ("5.0", "5.0")
    states = [(await send(hr, "GET", f"leave-requests/{leave}", 200))["status"] for leave in leaves]
    assert (states.count("approved"), states.count("pending")) == (5, 5)
    approved = [leave for leave, state in zip(leaves, states, strict=True) if state == "approved"]
    cancels = [f"/hr/leave-requests/{leave}/cancel" for leave in approved for _ in range(3)]
    replies = await asyncio.gather(*(hr.post(target, json={}) for target in cancels))
    assert [reply.status for reply in replies].count(200) == 5
    assert await balance(hr, employee) == ("5.0", "0.0")


async def test_two_cannot_ask_for_the_same_days_at_once(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "5")
    body = {"employee_id": employee, "leave_type_id": kind, "first_day": "2025-06-02", "last_day": "2025-06-03"}
    replies = await asyncio.gather(*(hr.post("/hr/leave-requests", json=body) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409, 409]


async def test_a_balance_is_granted_by_hand_and_never_less_than_was_used(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "1")
    made = await send(
        hr, "POST", "leave-balances", 201, employee_id=employee, leave_type_id=kind, year=2025, granted="2.5"
    )
    leave = await ask(hr, employee, kind, "2025-06-02", "2025-06-03")
    await send(hr, "POST", f"leave-requests/{leave}/approve", 200)
    assert await balance(hr, employee) == ("2.5", "2.0")
    where = f"leave-balances/{made['id']}"
    assert (await send(hr, "PATCH", where, 409, granted="1.5"))["code"] == "balance_used"
    assert (await send(hr, "PATCH", where, 200, granted="2"))["granted"] == "2.0"
    assert (await send(hr, "PATCH", where, 422, granted="2.25"))["code"] == "invalid"
    assert (await hr.delete(f"/hr/{where}")).status == 409


async def test_leave_that_is_not_paid_has_no_balance(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "0", is_paid=False)
    leave = await ask(hr, employee, kind, "2025-06-02", "2025-06-13")
    told = await send(hr, "POST", f"leave-requests/{leave}/approve", 200)
    assert (told["days"], told["is_paid"]) == (str(Decimal("10.0")), False)
    assert (await (await hr.get(f"/hr/employees/{employee}/leave-balances")).json())["items"] == []
