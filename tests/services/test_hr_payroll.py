"""Hazard: a run is computed twice or by half, changes after it was locked, or pay is seen by who must not see it."""

import asyncio
import io
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from openpyxl import load_workbook
from sqlalchemy import func, select

from upstream_services.hr import payroll_job
from upstream_services.hr.models import Employee
from upstream_services.hr.pay_models import Payslip
from upstream_services.hr.payroll import STATES
from upstream_services.kit.jobs import worker as worker_module
from upstream_services.kit.jobs.context import BELL
from upstream_services.kit.keys import DATABASE

from .conftest import Client
from .samples import make
from .test_hr_leave import ask, kind_of_leave, send


async def ended(hr: Client, path: str) -> dict[str, Any]:
    """A job when it has ended."""
    while True:
        found: dict[str, Any] = await (await hr.get(path)).json()
        if found["state"] in ("done", "dead"):
            return found


async def a_run(hr: Client, month: str) -> str:
    """The id of a run that was computed."""
    run = (await send(hr, "POST", "payroll-runs", 201, month=month))["id"]
    await computed(hr, run)
    return str(run)


async def computed(hr: Client, run: str) -> dict[str, Any]:
    """Computes a run; the job when it has ended well."""
    reply = await hr.post(f"/hr/payroll-runs/{run}/compute")
    assert reply.status == 202, await reply.text()
    found = await ended(hr, reply.headers["Location"])
    assert found["state"] == "done", found["error"]
    return found


async def locked(hr: Client, month: str) -> str:
    """The id of a run that was locked."""
    run = await a_run(hr, month)
    await send(hr, "POST", f"payroll-runs/{run}/approve", 200)
    await send(hr, "POST", f"payroll-runs/{run}/lock", 200)
    return run


async def slips(hr: Client, run: str) -> list[dict[str, Any]]:
    """The payslips of a run."""
    items: list[dict[str, Any]] = (await send(hr, "GET", f"payroll-runs/{run}/payslips", 200))["items"]
    return items


async def an_employee(hr: Client, salary: str, **more: Any) -> str:
    """The id of somebody who is paid."""
    department = (await make(hr, "/hr/departments"))["id"]
    body = {"department_id": department, "name": "Asha Rao", "joined_on": "2025-01-01", "salary": salary}
    made = await send(hr, "POST", "employees", 201, **(body | {"email": f"{department}@x.example"} | more))
    return str(made["id"])


def test_nothing_leads_out_of_locked() -> None:
    assert all("locked" not in allowed for allowed, _ in STATES.values())
    assert [action for action, (_, result) in STATES.items() if result == "locked"] == ["lock"]


async def test_a_month_of_pay(hr: Client) -> None:
    employee = await an_employee(hr, "60000.00")
    await an_employee(hr, "20000.00", joined_on="2025-06-16")
    await an_employee(hr, "20000.00", joined_on="2025-07-01")
    await an_employee(hr, "20000.00", left_on="2025-05-31", status="left")
    await send(
        hr, "POST", "pay-profiles", 201, employee_id=employee, pan="ABCPE1234F", professional_tax_state="karnataka"
    )
    unpaid = await kind_of_leave(hr, "0", is_paid=False)
    leave = await ask(hr, employee, unpaid, "2025-05-29", "2025-06-03")  # two working days of it in June
    await send(hr, "POST", f"leave-requests/{leave}/approve", 200)
    await send(
        hr, "POST", "salary-structures", 201, employee_id=employee, effective_from="2025-05-01", basic="30000.00",
        house_rent_allowance="12000.00", special_allowance="18000.00",
    )  # fmt: skip
    run = await a_run(hr, "2025-06")
    one, two = sorted(await slips(hr, run), key=lambda slip: slip["gross"], reverse=True)
    expected = {
        "employee_id": employee, "employee_name": "Asha Rao", "month": "2025-06", "paid_days": "28.0",
        "unpaid_days": "2.0", "basic": "28000.00", "house_rent_allowance": "11200.00", "special_allowance": "16800.00",
        "gross": "56000.00", "pf_employee": "1800.00", "esi_employee": "0.00", "professional_tax": "200.00",
        "tds": "0.00", "deductions": "2000.00", "net": "54000.00", "pf_employer": "550.00",
        "pension_employer": "1250.00", "employer_cost": "57950.00", "annual_income": "596000.00", "tax_regime": "new",
    }  # fmt: skip
    assert {name: one[name] for name in expected} == expected
    assert (two["paid_days"], two["gross"], two["pf_employee"], two["esi_employee"]) == (
        "15.0", "10000.00", "600.00", "75.00",
    )  # fmt: skip
    told = await send(hr, "GET", f"payroll-runs/{run}", 200)
    assert (told["status"], told["employees"], told["gross"], told["net"]) == ("computed", 2, "66000.00", "63325.00")
    register = await send(hr, "GET", "reports/payroll-register?month=2025-06", 200)
    assert (register["status"], register["total"]["gross"], register["total"]["net"]) == (
        "computed", told["gross"], told["net"],
    )  # fmt: skip
    assert [line["name"] for line in register["employees"]] == ["Asha Rao", "Asha Rao"]
    empty = await send(hr, "GET", "reports/payroll-register?month=2025-07", 200)
    assert (empty["status"], empty["employees"], empty["total"]["net"]) == (None, [], "0.00")


async def test_many_who_compute_at_once_start_one_job(hr: Client) -> None:
    await an_employee(hr, "60000.00")
    run = (await send(hr, "POST", "payroll-runs", 201, month="2025-06"))["id"]
    replies = await asyncio.gather(*(hr.post(f"/hr/payroll-runs/{run}/compute") for _ in range(5)))
    found = [await ended(hr, reply.headers["Location"]) for reply in replies if reply.status == 202]
    assert {reply.status for reply in replies} <= {202}
    assert {job["state"] for job in found} == {"done"}
    assert len(await slips(hr, run)) == 1
    first = await slips(hr, run)
    again = await computed(hr, run)
    assert again["result"] == {"payroll_run_id": run, "payslips": 1}
    second = await slips(hr, run)
    ignored = {"id", "created_at", "updated_at"}
    assert [{k: v for k, v in slip.items() if k not in ignored} for slip in first] == [
        {k: v for k, v in slip.items() if k not in ignored} for slip in second
    ]


async def test_who_computes_while_the_last_step_is_taken_waits_for_nothing(
    hr: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step has its job and wants the run; who computes has the run and must not want the job."""
    await an_employee(hr, "60000.00")
    run = (await send(hr, "POST", "payroll-runs", 201, month="2025-06"))["id"]
    whole, of_run, replies = payroll_job._add_up, payroll_job._run_of, []

    async def meeting(session: Any, row: Any) -> None:
        replies.extend(await asyncio.gather(*(hr.post(f"/hr/payroll-runs/{run}/compute") for _ in range(3))))
        await whole(session, row)

    async def unlocked(session: Any, given: Any, *, lock: bool = False) -> Any:
        return await of_run(session, given)

    monkeypatch.setattr(payroll_job, "_run_of", unlocked)
    monkeypatch.setattr(payroll_job, "_add_up", meeting)
    await computed(hr, run)
    assert [reply.status for reply in replies] == [202, 202, 202]
    assert len({reply.headers["Location"] for reply in replies}) == 1


async def test_a_computation_that_dies_in_the_middle_pays_nobody_twice(
    hr: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "BACKOFF_S", 0.001)
    monkeypatch.setattr(payroll_job, "BATCH", 2)
    for _ in range(5):
        await an_employee(hr, "60000.00")
    whole, calls = payroll_job._payslips_of, []

    async def failing(*arguments: Any) -> Any:
        calls.append(arguments[2])
        if len(calls) in (2, 4):
            raise ConnectionError("as it was told")
        return await whole(*arguments)

    monkeypatch.setattr(payroll_job, "_payslips_of", failing)
    run = (await send(hr, "POST", "payroll-runs", 201, month="2025-06"))["id"]
    found = await computed(hr, run)
    assert (found["failures"], found["attempts"], found["done"], found["total"]) == (2, 3, 5, 5)
    assert [len(batch) for batch in calls] == [2, 2, 2, 1, 1]
    paid = [slip["employee_id"] for slip in await slips(hr, run)]
    assert len(paid) == len(set(paid)) == 5
    assert (await send(hr, "GET", f"payroll-runs/{run}", 200))["gross"] == "300000.00"


async def test_a_locked_run_and_its_payslips_never_change(hr: Client) -> None:
    employee = await an_employee(hr, "150000.00")
    unpaid = await kind_of_leave(hr, "0", is_paid=False)
    taken = await ask(hr, employee, unpaid, "2025-06-10", "2025-06-10")
    await send(hr, "POST", f"leave-requests/{taken}/approve", 200)
    asked = await ask(hr, employee, unpaid, "2025-06-11", "2025-06-11")
    run = await locked(hr, "2025-06")
    before = (await send(hr, "GET", f"payroll-runs/{run}", 200), await slips(hr, run))
    (slip,) = before[1]
    for method, path, body in (
        ("POST", f"payroll-runs/{run}/compute", {}), ("POST", f"payroll-runs/{run}/approve", {}),
        ("POST", f"payroll-runs/{run}/reopen", {}), ("POST", f"payroll-runs/{run}/lock", {}),
        ("PATCH", f"payroll-runs/{run}", {"notes": "x"}), ("PATCH", f"payroll-runs/{run}", {"month": "2025-07"}),
        ("DELETE", f"payroll-runs/{run}", {}), ("DELETE", f"employees/{employee}", {}),
        ("POST", "payroll-runs", {"month": "2025-05"}), ("POST", "payroll-runs", {"month": "2025-06"}),
        ("POST", f"leave-requests/{asked}/approve", {}), ("POST", f"leave-requests/{taken}/cancel", {}),
    ):  # fmt: skip
        reply = await hr.request(method, f"/hr/{path}", json=body)
        assert reply.status == 409, (method, path, await reply.text())
    for method in ("PATCH", "DELETE", "POST", "PUT"):
        assert (await hr.request(method, f"/hr/payslips/{slip['id']}", json={})).status == 405
        assert (await hr.request(method, "/hr/payslips", json={})).status == 405
    await send(hr, "PATCH", f"employees/{employee}", 200, salary="1.00", name="Another")
    assert (await send(hr, "GET", f"payroll-runs/{run}", 200), await slips(hr, run)) == before


async def test_runs_go_their_way_and_months_are_locked_in_their_order(hr: Client) -> None:
    await an_employee(hr, "150000.00")
    run = (await send(hr, "POST", "payroll-runs", 201, month="2025-06"))["id"]
    for action in ("approve", "lock", "reopen"):
        assert (await send(hr, "POST", f"payroll-runs/{run}/{action}", 409))["code"] == "illegal_transition"
    later = (await send(hr, "POST", "payroll-runs", 201, month="2025-07"))["id"]
    assert (await send(hr, "POST", f"payroll-runs/{later}/compute", 409))["code"] == "earlier_run_open"
    await computed(hr, run)
    approved = await hr.post(f"/hr/payroll-runs/{run}/approve", headers={"X-User-Id": "u-7"})
    assert (await approved.json())["approved_by"] == "u-7"
    reopened = await send(hr, "POST", f"payroll-runs/{run}/reopen", 200)
    assert (reopened["status"], reopened["gross"], reopened["approved_by"]) == ("draft", "0.00", None)
    assert await slips(hr, run) == []
    await computed(hr, run)
    await send(hr, "POST", f"payroll-runs/{run}/approve", 200)
    await send(hr, "POST", f"payroll-runs/{run}/lock", 200)
    await computed(hr, later)
    (first,), (second,) = await slips(hr, run), await slips(hr, later)
    # Of 10 months from June: 13,50,000 or so is taxed; what June took, July goes on from.
    assert first["annual_income"] == second["annual_income"] == "1500000.00"
    assert (first["annual_tax"], first["tds"], second["tds"]) == ("97500.00", "9750.00", "9750.00")
    deleted = (await send(hr, "POST", "payroll-runs", 201, month="2025-08"))["id"]
    await hr.delete(f"/hr/payroll-runs/{deleted}")
    await send(hr, "POST", f"payroll-runs/{later}/approve", 200)
    await send(hr, "POST", f"payroll-runs/{later}/lock", 200)
    await locked(hr, "2025-09")
    await hr.post(f"/hr/payroll-runs/{deleted}/restore")
    assert (await send(hr, "POST", f"payroll-runs/{deleted}/compute", 409))["code"] == "payroll_locked"
    early = await hr.post("/hr/payroll-runs", json={"month": "2023-03"})
    assert (early.status, (await early.json())["errors"][0]["field"]) == (422, "month")


async def test_what_changed_since_is_computed_again_before_it_is_approved_or_locked(hr: Client) -> None:
    employee, unpaid = await an_employee(hr, "60000.00"), await kind_of_leave(hr, "0", is_paid=False)
    structure = {"employee_id": employee, "effective_from": "2025-06-01", "basic": "9000.00"}
    made = (await send(hr, "POST", "salary-structures", 201, **structure))["id"]
    leave = await ask(hr, employee, unpaid, "2025-06-10", "2025-06-10")
    outside = await ask(hr, employee, unpaid, "2025-07-10", "2025-07-10")
    run = await a_run(hr, "2025-06")
    changes = (
        ("PATCH", f"employees/{employee}", {"salary": "70000.00"}),
        ("PATCH", f"salary-structures/{made}", {"basic": "8000.00"}),
        ("DELETE", f"salary-structures/{made}", {}),
        ("POST", "pay-profiles", {"employee_id": employee, "professional_tax_state": "gujarat"}),
        ("POST", f"leave-requests/{leave}/approve", {}),
        ("POST", f"leave-requests/{leave}/cancel", {}),
    )
    for method, path, body in changes:
        assert (await hr.request(method, f"/hr/{path}", json=body)).status < 300, path
        assert (await send(hr, "POST", f"payroll-runs/{run}/approve", 409))["code"] == "out_of_date", path
        await computed(hr, run)
    await send(hr, "POST", f"leave-requests/{outside}/approve", 200)
    await send(hr, "POST", f"payroll-runs/{run}/approve", 200)
    await send(hr, "PATCH", f"employees/{employee}", 200, salary="80000.00")
    assert (await send(hr, "POST", f"payroll-runs/{run}/lock", 409))["code"] == "out_of_date"
    await send(hr, "POST", f"payroll-runs/{run}/reopen", 200)
    await computed(hr, run)
    for action in ("approve", "lock"):
        await send(hr, "POST", f"payroll-runs/{run}/{action}", 200)
    (slip,) = await slips(hr, run)
    assert (slip["gross"], slip["professional_tax"]) == ("80000.00", "200.00")


async def test_leave_without_pay_and_the_lock_see_each_other(hr: Client) -> None:
    unpaid = await kind_of_leave(hr, "0", is_paid=False)
    for month in ("2025-06", "2025-07", "2025-08"):
        employee = await an_employee(hr, "60000.00")
        leave = await ask(hr, employee, unpaid, f"{month}-11", f"{month}-11")
        run = await a_run(hr, month)
        await send(hr, "POST", f"payroll-runs/{run}/approve", 200)
        one, two = await asyncio.gather(
            hr.post(f"/hr/payroll-runs/{run}/lock"), hr.post(f"/hr/leave-requests/{leave}/approve", json={})
        )
        assert sorted((one.status, two.status)) == [200, 409], month
        if one.status == 409:
            await send(hr, "POST", f"payroll-runs/{run}/reopen", 200)
            await computed(hr, run)
            for action in ("approve", "lock"):
                await send(hr, "POST", f"payroll-runs/{run}/{action}", 200)


async def test_insurance_goes_on_to_the_end_of_its_period(hr: Client) -> None:
    employee = await an_employee(hr, "20000.00")
    for since, basic in (("2025-04-01", "20000.00"), ("2025-06-01", "30000.00")):
        await send(
            hr, "POST", "salary-structures", 201, employee_id=employee, effective_from=since, basic=basic, has_pf=False
        )
    june = (await slips(hr, await a_run(hr, "2025-06")))[0]
    assert (june["gross"], june["esi_employee"], june["pf_employee"]) == ("30000.00", "225.00", "0.00")
    october = (await slips(hr, await locked(hr, "2026-10")))[0]  # another year: June need not be locked for it
    assert october["esi_employee"] == "0.00"


async def test_pay_changes_with_a_month(hr: Client) -> None:
    employee = await an_employee(hr, "20000.00")
    body = {"employee_id": employee, "effective_from": "2025-06-02", "basic": "1.00"}
    told = await send(hr, "POST", "salary-structures", 422, **body)
    assert told["errors"][0]["field"] == "effective_from"
    made = await send(hr, "POST", "salary-structures", 201, **(body | {"effective_from": "2025-06-01"}))
    changed = await send(hr, "PATCH", f"salary-structures/{made['id']}", 200, other_allowance="2.50")
    assert (made["gross"], changed["gross"]) == ("1.00", "3.50")


# ---- who sees what


async def test_no_reply_about_an_employee_shows_their_pay(hr: Client, tenant: str) -> None:
    employee = await an_employee(hr, "98765.43")
    replies = [
        await hr.get(f"/hr/employees/{employee}"), await hr.get("/hr/employees"), await hr.get("/hr/employees.csv"),
        await hr.patch(f"/hr/employees/{employee}", json={"salary": "98765.43"}), await hr.get("/hr/dashboard/stats"),
    ]  # fmt: skip
    for reply in replies:
        text = await reply.text()
        assert reply.status == 200
        assert "98765" not in text
        assert "salary" not in text
    for params in ({"fields": "salary"}, {"sort": "salary"}, {"salary_min": "1"}):
        assert (await hr.get("/hr/employees", params=params)).status == 422
    export = await hr.post("/hr/employees/export", json={"format": "csv"})
    path = export.headers["Location"]
    assert (await ended(hr, path))["state"] == "done"
    assert "98765" not in await (await hr.get(f"{path}/file")).text()
    async with hr.app[DATABASE].transaction(tenant) as session:
        assert str(await session.scalar(select(Employee.salary))) == "98765.43"


async def test_a_job_that_dies_over_pay_does_not_tell_it(
    hr: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "BACKOFF_S", 0.001)
    await an_employee(hr, "98765.43")
    run = (await send(hr, "POST", "payroll-runs", 201, month="2025-06"))["id"]
    whole = payroll_job._payslips_of

    async def wrong(*arguments: Any) -> Any:
        made = await whole(*arguments)
        made[0].tax_regime = "none of these"  # longer than its column
        return made

    monkeypatch.setattr(payroll_job, "_payslips_of", wrong)
    reply = await hr.post(f"/hr/payroll-runs/{run}/compute")
    found = await ended(hr, reply.headers["Location"])
    assert (found["state"], "value too long" in found["error"]) == ("dead", True)
    assert "98765" not in found["error"]
    assert "98765" not in caplog.text
    monkeypatch.setattr(payroll_job, "_payslips_of", whole)
    await send(hr, "POST", f"jobs/{found['id']}/retry", 200)
    assert (await ended(hr, reply.headers["Location"]))["state"] == "done"
    assert (await send(hr, "GET", f"payroll-runs/{run}", 200))["gross"] == "98765.43"


async def test_a_payslip_on_paper_and_the_register(hr: Client, other: str) -> None:
    await an_employee(hr, "60000.00", name="Zoë Rao")
    run = await a_run(hr, "2025-06")
    (slip,) = await slips(hr, run)
    paper = await hr.get(f"/hr/payslips/{slip['id']}/pdf")
    content = await paper.read()
    assert (paper.status, paper.content_type, content[:5]) == (200, "application/pdf", b"%PDF-")
    assert paper.headers["Content-Disposition"] == 'attachment; filename="payslip-2025-06.pdf"'
    sheet = load_workbook(io.BytesIO(await (await hr.get(f"/hr/payroll-runs/{run}/register")).read())).active
    assert sheet is not None
    head, line = ([cell.value for cell in row] for row in sheet.iter_rows())
    assert dict(zip(head, line, strict=True)).items() >= {"employee_name": "Zoë Rao", "gross": 60000}.items()
    (job,) = (await send(hr, "GET", "jobs", 200))["items"]
    assert job["has_file"] is False
    assert "60000" not in str(job)
    stranger = {"X-Tenant-Id": other}
    for path in (
        f"payslips/{slip['id']}", f"payslips/{slip['id']}/pdf", f"payroll-runs/{run}", f"payroll-runs/{run}/register",
        f"payroll-runs/{run}/payslips", f"employees/{slip['employee_id']}/payslips",
    ):  # fmt: skip
        assert (await hr.get(f"/hr/{path}", headers=stranger)).status == 404, path
    assert (await hr.post(f"/hr/payroll-runs/{run}/compute", headers=stranger)).status == 404
    for path in ("payslips", "reports/payroll-register?month=2025-06"):
        assert slip["id"] not in await (await hr.get(f"/hr/{path}", headers=stranger)).text()
        assert slip["employee_id"] not in await (await hr.get(f"/hr/{path}", headers=stranger)).text()


class Inbox:
    """A mail server that keeps what it takes."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.messages.append(envelope)
        return "250 taken"


async def test_payslips_are_mailed_once_and_of_locked_runs_only(hr: Client, tenant: str, unused_tcp_port: int) -> None:
    addresses = {"a@x.example", "b@x.example"}
    for address in addresses:
        await an_employee(hr, "60000.00", email=address)
    run = await a_run(hr, "2025-06")
    assert (await send(hr, "POST", f"payroll-runs/{run}/send", 409))["code"] == "illegal_transition"
    await send(hr, "POST", f"payroll-runs/{run}/approve", 200)
    await send(hr, "POST", f"payroll-runs/{run}/lock", 200)
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=unused_tcp_port)
    controller.start()
    try:
        worker = hr.app[BELL]._worker
        assert worker is not None
        worker._mailer = worker_module.Mailer(f"smtp://127.0.0.1:{unused_tcp_port}", "no-reply@suite.example")
        replies = [await hr.post(f"/hr/payroll-runs/{run}/send") for _ in range(3)]
        assert len({reply.headers["Location"] for reply in replies}) == 1
        found = await ended(hr, replies[0].headers["Location"])
        assert (found["state"], found["result"]["mails"]) == ("done", 2), found["error"]
    finally:
        await asyncio.to_thread(controller.stop)
    assert {message.rcpt_tos[0] for message in inbox.messages} == addresses
    assert len(inbox.messages) == 2
    assert all(b"payslip-2025-06.pdf" in message.content for message in inbox.messages)
    async with hr.app[DATABASE].transaction(tenant) as session:
        assert await session.scalar(select(func.count(Payslip.id))) == 2
