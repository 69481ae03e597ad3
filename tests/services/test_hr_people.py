"""Hazard: somebody is hired twice, attends twice a day, reports to themselves; a report counts who is not there."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from upstream_services.hr.reports import PeriodQuery, attrition_of
from upstream_services.kit.model import utc_now

from .conftest import Client
from .samples import make
from .test_hr_leave import ask, kind_of_leave, send


def at(days_ago: int, clock: str) -> str:
    """A moment of a day that is past, by the clock of UTC."""
    return f"{utc_now().date() - timedelta(days=days_ago)}T{clock}:00Z"


# ---- the people


async def test_nobody_is_under_themselves(hr: Client) -> None:
    top, middle, low = [(await make(hr, "/hr/employees"))["id"] for _ in range(3)]
    await send(hr, "PATCH", f"employees/{middle}", 200, manager_id=top)
    await send(hr, "PATCH", f"employees/{low}", 200, manager_id=middle)
    for one, manager in ((top, low), (top, middle), (top, top)):
        told = await send(hr, "PATCH", f"employees/{one}", 422, manager_id=manager)
        assert told["errors"][0]["field"] == "manager_id"
    team = await send(hr, "GET", f"employees/{top}/employees", 200)
    assert [one["id"] for one in team["items"]] == [middle]
    assert (await hr.delete(f"/hr/employees/{top}")).status == 409


async def test_who_leaves_gives_back_what_they_were_lent(hr: Client) -> None:
    employee = (await make(hr, "/hr/employees"))["id"]
    asset = (await make(hr, "/hr/assets"))["id"]
    lent = await send(hr, "POST", f"assets/{asset}/assign", 200, employee_id=employee)
    assert (lent["status"], lent["employee_id"]) == ("assigned", employee)
    assert (await send(hr, "POST", f"assets/{asset}/assign", 409, employee_id=employee))["code"] == "illegal_transition"
    assert (await send(hr, "POST", f"assets/{asset}/retire", 409))["code"] == "illegal_transition"
    assert (await hr.delete(f"/hr/assets/{asset}")).status == 409
    assert (await send(hr, "POST", f"employees/{employee}/offboard", 409))["code"] == "holds_assets"
    await send(hr, "POST", f"assets/{asset}/return", 200)
    early = await send(hr, "POST", f"employees/{employee}/offboard", 422, left_on="2025-05-31")
    assert early["errors"][0]["field"] == "left_on"
    left = await send(hr, "POST", f"employees/{employee}/offboard", 200, left_on="2025-08-31")
    assert (left["status"], left["left_on"]) == ("left", "2025-08-31")
    assert (await send(hr, "POST", f"employees/{employee}/offboard", 409))["code"] == "illegal_transition"
    assert (await send(hr, "POST", f"assets/{asset}/assign", 409, employee_id=employee))["code"] == "illegal_transition"
    assert (await send(hr, "POST", f"assets/{asset}/retire", 200))["status"] == "retired"


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("/hr/locations", {"time_zone": "Asia/Atlantis"}, "time_zone"),
        ("/hr/locations", {"time_zone": "../etc/passwd"}, "time_zone"),
        ("/hr/shifts", {"starts_at": "24:00"}, "starts_at"),
        ("/hr/shifts", {"working_days": []}, "working_days"),
        ("/hr/shifts", {"working_days": ["mon", "mon"]}, "working_days"),
        ("/hr/employees", {"left_on": "2025-05-31"}, "left_on"),
        ("/hr/pay-profiles", {"pan": "abcpe1234f"}, "pan"),
        ("/hr/pay-profiles", {"professional_tax_state": "atlantis"}, "professional_tax_state"),
        ("/hr/payroll-runs", {"month": "2025-13"}, "month"),
        ("/hr/reviews", {"period_end": "2025-05-31"}, "period_end"),
        ("/hr/goals", {"progress": 101}, "progress"),
    ],
)
async def test_fields_at_fault_are_named(hr: Client, path: str, change: dict[str, Any], field: str) -> None:
    record = await make(hr, path)
    reply = await hr.patch(f"{path}/{record['id']}", json=change)
    told = await reply.json()
    assert (reply.status, told["errors"][0]["field"].partition(".")[0]) == (422, field)


# ---- attendance


async def test_a_day_of_attendance(hr: Client) -> None:
    shift = await send(
        hr, "POST", "shifts", 201, name="Day", starts_at="09:30", ends_at="18:00", break_minutes=30, grace_minutes=10
    )
    employee = (await make(hr, "/hr/employees"))["id"]
    await send(hr, "PATCH", f"employees/{employee}", 200, shift_id=shift["id"])
    # 04:11 in UTC is 09:41 in Kolkata.
    came = await send(hr, "POST", "attendance/check-in", 201, employee_id=employee, at=at(2, "04:11"))
    assert (came["is_late"], came["minutes"], came["status"]) == (True, None, "present")
    went = await send(hr, "POST", "attendance/check-out", 200, employee_id=employee, at=at(2, "12:11"))
    assert (went["id"], went["minutes"], went["version"]) == (came["id"], 450, 2)
    again = await hr.post("/hr/attendance/check-in", json={"employee_id": employee, "at": at(2, "13:00")})
    assert (again.status, (await again.json())["code"]) == (409, "checked_in")
    none = await hr.post("/hr/attendance/check-out", json={"employee_id": employee, "at": at(2, "14:00")})
    assert (none.status, (await none.json())["code"]) == (409, "not_checked_in")
    early = await send(hr, "POST", "attendance/check-in", 201, employee_id=employee, at=at(1, "04:10"), is_remote=True)
    assert (early["is_late"], early["status"]) == (False, "remote")
    fixed = await send(hr, "PATCH", f"attendance/{came['id']}", 200, check_in=at(2, "04:00"))
    assert (fixed["is_late"], fixed["minutes"]) == (False, 461)
    listed = await send(hr, "GET", f"employees/{employee}/attendance?sort=-day", 200)
    assert [one["id"] for one in listed["items"]] == [early["id"], came["id"]]


async def test_a_night_is_of_the_day_it_began_and_the_day_is_the_places(hr: Client) -> None:
    place = await send(hr, "POST", "locations", 201, name="Auckland", code="AKL", time_zone="Pacific/Auckland")
    employee = (await make(hr, "/hr/employees"))["id"]
    night = await send(hr, "POST", "attendance/check-in", 201, employee_id=employee, at=at(3, "17:00"))
    assert night["day"] == str(utc_now().date() - timedelta(days=3))  # 22:30 in Kolkata
    went = await send(hr, "POST", "attendance/check-out", 200, employee_id=employee, at=at(2, "01:00"))
    assert (went["id"], went["minutes"]) == (night["id"], 480)
    await send(hr, "PATCH", f"employees/{employee}", 200, location_id=place["id"])
    there = await send(hr, "POST", "attendance/check-in", 201, employee_id=employee, at=at(2, "20:00"))
    assert there["day"] == str(utc_now().date() - timedelta(days=1))  # the next morning in Auckland
    left = (await make(hr, "/hr/employees"))["id"]
    await send(hr, "POST", f"employees/{left}/offboard", 200)
    assert (await send(hr, "POST", "attendance/check-in", 409, employee_id=left))["code"] == "illegal_transition"


async def test_who_checks_in_five_times_at_once_is_there_once(hr: Client) -> None:
    employee = (await make(hr, "/hr/employees"))["id"]
    body = {"employee_id": employee, "at": at(1, "06:00")}
    replies = await asyncio.gather(*(hr.post("/hr/attendance/check-in", json=body) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409, 409]
    body["at"] = at(1, "10:00")
    replies = await asyncio.gather(*(hr.post("/hr/attendance/check-out", json=body) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]


async def test_times_that_cannot_be_are_named(hr: Client, other: str) -> None:
    employee = (await make(hr, "/hr/employees"))["id"]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for body, field in (
        ({"at": tomorrow}, "at"), ({"at": at(9, "06:00")}, "at"), ({"at": "2025-06-02T09:00:00"}, "at"),
        ({"employee_id": "00000000-0000-0000-0000-000000000000"}, "employee_id"),
    ):  # fmt: skip
        for path in ("check-in", "check-out"):
            reply = await hr.post(f"/hr/attendance/{path}", json={"employee_id": employee} | body)
            assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field), (path, body)
    stranger = await hr.post("/hr/attendance/check-in", json={"employee_id": employee}, headers={"X-Tenant-Id": other})
    assert (stranger.status, (await stranger.json())["errors"][0]["field"]) == (422, "employee_id")
    by_hand = {"employee_id": employee, "day": "2025-06-02"}
    for change, field in (
        ({"check_out": "2025-06-02T09:00:00Z"}, "check_in"),
        ({"check_in": "2025-06-02T09:00:00Z", "check_out": "2025-06-02T08:00:00Z"}, "check_out"),
        ({"check_in": "2025-06-02T09:00:00Z", "check_out": "2025-06-03T09:00:01Z"}, "check_out"),
        ({"check_in": "2025-06-02T09:00:00Z", "status": "absent"}, "status"),
    ):
        reply = await hr.post("/hr/attendance", json=by_hand | change)
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field), change


# ---- hiring


async def a_candidate(hr: Client, **opening: Any) -> tuple[str, str]:
    """The ids of a candidate and the opening."""
    made = await make(hr, "/hr/job-openings")
    if opening:
        await send(hr, "PATCH", f"job-openings/{made['id']}", 200, **opening)
    body = {"job_opening_id": made["id"], "name": "Bina", "email": "bina@x.example"}
    return (await send(hr, "POST", "candidates", 201, **body))["id"], made["id"]


async def test_a_candidate_becomes_an_employee_once(hr: Client) -> None:
    designation = (await make(hr, "/hr/designations"))["id"]
    candidate, opening = await a_candidate(hr, openings=2, designation_id=designation)
    body = {"joined_on": "2025-07-01", "salary": "50000.00"}
    replies = await asyncio.gather(*(hr.post(f"/hr/candidates/{candidate}/hire", json=body) for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]
    told = await next(reply for reply in replies if reply.status == 200).json()
    (employee,) = (await send(hr, "GET", "employees", 200))["items"]
    assert employee.items() >= {
        "id": told["employee_id"], "name": "Bina", "email": "bina@x.example", "joined_on": "2025-07-01",
        "status": "active", "designation_id": designation,
    }.items()  # fmt: skip
    hired = await send(hr, "GET", f"candidates/{candidate}", 200)
    assert (hired["outcome"], hired["employee_id"]) == ("hired", employee["id"])
    place = await send(hr, "GET", f"job-openings/{opening}", 200)
    assert (place["filled"], place["status"]) == (1, "open")
    for method, path, change in (
        ("PATCH", "", {"name": "C"}), ("DELETE", "", {}), ("POST", "/reject", {}), ("POST", "/reopen", {}),
    ):  # fmt: skip
        reply = await hr.request(method, f"/hr/candidates/{candidate}{path}", json=change)
        assert reply.status == 409, (method, path)
    assert (await send(hr, "PATCH", f"job-openings/{opening}", 200, openings=1))["openings"] == 1


async def test_no_more_are_hired_than_there_are_places_and_none_by_half(hr: Client) -> None:
    first, opening = await a_candidate(hr)
    body = {"job_opening_id": opening, "name": "Chitra", "email": "chitra@x.example"}
    second = (await send(hr, "POST", "candidates", 201, **body))["id"]
    salary = {"joined_on": "2025-07-01", "salary": "50000.00"}
    replies = await asyncio.gather(*(hr.post(f"/hr/candidates/{one}/hire", json=salary) for one in (first, second)))
    assert sorted(reply.status for reply in replies) == [200, 409]
    assert (await send(hr, "GET", f"job-openings/{opening}", 200))["status"] == "closed"
    third, _ = await a_candidate(hr)
    taken = (await make(hr, "/hr/employees"))["email"]
    clash = await send(hr, "POST", f"candidates/{third}/hire", 409, **salary, email=taken)
    assert clash["code"] == "not_unique"
    assert (await send(hr, "GET", f"candidates/{third}", 200))["outcome"] == "open"


async def test_candidates_are_rejected_and_reopened(hr: Client) -> None:
    candidate, _ = await a_candidate(hr)
    told = await send(hr, "POST", f"candidates/{candidate}/reject", 200, reason="No visa")
    assert (told["outcome"], told["outcome_reason"]) == ("rejected", "No visa")
    hire = await send(hr, "POST", f"candidates/{candidate}/hire", 409, joined_on="2025-07-01", salary="1.00")
    assert hire["code"] == "decided"
    assert (await send(hr, "POST", f"candidates/{candidate}/reopen", 200))["outcome"] == "open"


async def test_an_interview_is_held_once_and_not_before_its_time(hr: Client) -> None:
    interview = (await make(hr, "/hr/interviews"))["id"]
    verdict = {"rating": 4, "recommendation": "hire", "feedback": "Good"}
    early = await send(hr, "POST", f"interviews/{interview}/complete", 422, **verdict)
    assert early["errors"][0]["field"] == "scheduled_at"
    await send(hr, "PATCH", f"interviews/{interview}", 200, scheduled_at=at(1, "10:00"))
    held = await send(hr, "POST", f"interviews/{interview}/complete", 200, **verdict)
    assert held.items() >= (verdict | {"status": "done"}).items()
    for action, body in (("complete", verdict), ("cancel", {})):
        assert (await send(hr, "POST", f"interviews/{interview}/{action}", 409, **body))["code"] == "illegal_transition"
    other = (await make(hr, "/hr/interviews"))["id"]
    assert (await send(hr, "POST", f"interviews/{other}/cancel", 200))["status"] == "cancelled"


# ---- growth


async def test_a_review_goes_to_the_employee_and_stays(hr: Client) -> None:
    review = await make(hr, "/hr/reviews")
    where = f"reviews/{review['id']}"
    myself = await send(hr, "PATCH", where, 422, reviewer_id=review["employee_id"])
    assert myself["errors"][0]["field"] == "reviewer_id"
    assert (await send(hr, "POST", f"{where}/submit", 409))["code"] == "incomplete"
    assert (await send(hr, "POST", f"{where}/acknowledge", 409))["code"] == "illegal_transition"
    await send(hr, "PATCH", where, 200, rating=4)
    assert (await send(hr, "POST", f"{where}/submit", 200))["status"] == "submitted"
    assert (await send(hr, "PATCH", where, 409, rating=5))["code"] == "illegal_transition"
    assert (await hr.delete(f"/hr/{where}")).status == 409
    assert (await send(hr, "POST", f"{where}/acknowledge", 200))["rating"] == 4


async def test_a_goal_is_reached_or_given_up(hr: Client) -> None:
    goal = f"goals/{(await make(hr, '/hr/goals'))['id']}"
    done = await send(hr, "POST", f"{goal}/complete", 200)
    assert (done["status"], done["progress"]) == ("done", 100)
    assert (await send(hr, "POST", f"{goal}/drop", 409))["code"] == "illegal_transition"
    assert (await send(hr, "PATCH", goal, 409, title="x"))["code"] == "illegal_transition"
    assert (await send(hr, "POST", f"{goal}/reopen", 200))["closed_at"] is None
    assert (await send(hr, "POST", f"{goal}/reopen", 409))["code"] == "illegal_transition"
    assert (await send(hr, "POST", f"{goal}/drop", 200))["status"] == "dropped"


# ---- reports


async def test_headcount_and_attrition_count_who_is_there(hr: Client) -> None:
    one, two = [(await make(hr, "/hr/departments")) for _ in range(2)]
    for number, (department, joined, left) in enumerate(
        ((one, "2024-01-01", None), (one, "2024-01-01", "2025-06-30"), (one, "2025-06-30", None),
         (two, "2024-01-01", "2025-01-31"), (two, "2025-05-01", "2025-05-31"), (two, "2025-08-01", None))
    ):  # fmt: skip
        body = {"name": "A", "email": f"a{number}@x.example", "salary": "1.00", "department_id": department["id"]}
        more = {"left_on": left, "status": "left"} if left else {"designation": "Lead"}
        await send(hr, "POST", "employees", 201, **body, joined_on=joined, **more)
    found = await send(hr, "GET", "reports/headcount?on=2025-06-30", 200)
    assert (found["total"], found["departments"]) == (3, [{"name": one["name"], "count": 3}])
    assert found["locations"] == [{"name": "none", "count": 3}]
    assert found["designations"] == [{"name": "Lead", "count": 2}, {"name": "none", "count": 1}]
    assert (await send(hr, "GET", "reports/headcount?on=2025-07-01", 200))["total"] == 2
    told = await send(hr, "GET", "reports/attrition?since=2025-01-01&until=2025-06-30", 200)
    assert told["total"] == {"name": "all", "at_start": 3, "joined": 2, "left": 3, "at_end": 2, "rate": 120.0}
    by_name = {line["name"]: line for line in told["departments"]}
    assert by_name[one["name"]] == {
        "name": one["name"], "at_start": 2, "joined": 1, "left": 1, "at_end": 2, "rate": 50.0,
    }  # fmt: skip
    assert (await hr.get("/hr/reports/headcount?on=0001-01-01")).status == 422
    assert (await hr.get("/hr/reports/attrition?since=yesterday")).status == 422


def test_the_rate_of_nobody_is_none() -> None:
    assert attrition_of("x", 0, 0, 0).rate is None
    assert PeriodQuery(until=date(2024, 2, 29)).bounds() == (date(2023, 2, 28), date(2024, 2, 29))


async def test_the_reports_of_the_day(hr: Client) -> None:
    employee, kind = (await make(hr, "/hr/employees"))["id"], await kind_of_leave(hr, "9")
    for body in (
        {"day": "2025-06-02", "check_in": "2025-06-02T04:00:00Z", "check_out": "2025-06-02T12:00:00Z"},
        {"day": "2025-06-03", "status": "absent"}, {"day": "2025-07-01"},
    ):  # fmt: skip
        await send(hr, "POST", "attendance", 201, employee_id=employee, **body)
    report = await send(hr, "GET", "reports/attendance?month=2025-06", 200)
    (line,) = report["employees"]
    assert {name: line[name] for name in ("employee_id", "present", "absent", "late", "minutes")} == {
        "employee_id": employee, "present": 1, "absent": 1, "late": 0, "minutes": 480,
    }  # fmt: skip
    await ask(hr, employee, kind, "2025-06-04", "2025-06-05")
    await a_candidate(hr, openings=3)
    stats = await send(hr, "GET", "dashboard/stats", 200)
    assert stats == {
        "employees": 1, "joined_this_month": 0, "left_this_month": 0, "on_leave_today": 0, "present_today": 0,
        "leave_pending": 1, "openings": 3, "candidates_open": 1, "interviews_coming": 0, "assets_assigned": 0,
    }  # fmt: skip
    tables = await send(hr, "GET", "reports/statutory-tables?on=2025-04-01", 200)
    by_law = {table["law"]: table for table in tables["tables"]}
    assert by_law["income_tax.new"]["since"] == "2025-04-01"
    assert "Finance Act 2025" in by_law["income_tax.new"]["source"]
    assert by_law.keys() >= {"provident_fund", "state_insurance", "professional_tax.karnataka", "income_tax.old"}
