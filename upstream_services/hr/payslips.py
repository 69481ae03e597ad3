"""Payslips on paper: as PDF, by mail, and the register of a month as a workbook.

Files about pay are replies of their own paths, never files of jobs: whoever may see jobs need not see pay.
"""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.models import Employee, Job
from upstream_services.hr.pay_models import PayProfile, PayrollRun, Payslip
from upstream_services.hr.payroll import payroll_runs, payslips
from upstream_services.hr.payroll_job import PayrollIn
from upstream_services.kit import documents
from upstream_services.kit.errors import conflict
from upstream_services.kit.jobs.declare import JobOut, enqueue, job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import load, path_id, reading, transaction
from upstream_services.kit.views import json_reply

EARNINGS = (
    ("Basic", "basic"), ("House rent allowance", "house_rent_allowance"), ("Special allowance", "special_allowance"),
    ("Other allowance", "other_allowance"), ("Gross", "gross"),
)  # fmt: skip
DEDUCTIONS = (
    ("Provident fund", "pf_employee"), ("State insurance (ESI)", "esi_employee"),
    ("Professional tax", "professional_tax"), ("Income tax (TDS)", "tds"), ("Deductions", "deductions"),
)  # fmt: skip
REGISTER = (
    *("employee_name", "employee_id", "paid_days", "basic", "house_rent_allowance", "special_allowance"),
    *("other_allowance", "gross", "pf_employee", "esi_employee", "professional_tax", "tds", "deductions", "net"),
    *("pf_employer", "pension_employer", "insurance_employer", "pf_charges", "esi_employer", "employer_cost"),
)
REGISTER_MAX = 20_000  # payslips of a workbook


def pdf_of(payslip: Payslip, pan: str | None) -> bytes:
    """A payslip as a page: earnings beside deductions, and what is paid."""
    rows = [
        (earning, getattr(payslip, one), deduction, getattr(payslip, other))
        for (earning, one), (deduction, other) in zip(EARNINGS, DEDUCTIONS, strict=True)
    ]
    before = [
        f"Employee: {payslip.employee_name}",
        f"PAN: {pan or 'not known'}",
        f"Paid days: {payslip.paid_days} of {payslip.days_in_month}",
        f"Income tax: {payslip.tax_regime} regime, {payslip.annual_tax} for the year",
        f"Net pay: INR {payslip.net}",
    ]
    return documents.pdf(f"Payslip {payslip.month}", ("Earning", "INR", "Deduction", "INR"), rows, before=before)


async def _pan_of(session: AsyncSession, employee_id: uuid.UUID) -> str | None:
    found: str | None = await session.scalar(select(PayProfile.pan).where(PayProfile.employee_id == employee_id))
    return found


def _file(content: bytes, name: str, kind: str) -> web.Response:
    headers = {"Content-Type": documents.MEDIA_TYPES[kind], "Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=content, headers=headers)


@operation("GET", "payslips/{id}/pdf", media_type=documents.MEDIA_TYPES["pdf"])
async def payslip_pdf(request: web.Request) -> web.Response:
    """A payslip as PDF."""
    async with reading(request) as session:
        payslip = await load(session, payslips, path_id(request, payslips.noun))
        pan = await _pan_of(session, payslip.employee_id)
    content = await asyncio.to_thread(pdf_of, payslip, pan)
    return _file(content, f"payslip-{payslip.month}.pdf", "pdf")


@operation("GET", "payroll-runs/{id}/register", media_type=documents.MEDIA_TYPES["xlsx"])
async def run_register(request: web.Request) -> web.Response:
    """The register of a run as a workbook."""
    async with reading(request) as session:
        run = await load(session, payroll_runs, path_id(request, payroll_runs.noun))
        of_run = select(*(getattr(Payslip, name) for name in REGISTER)).where(Payslip.payroll_run_id == run.id)
        rows: Sequence[Any] = (await session.execute(of_run.order_by(Payslip.employee_name).limit(REGISTER_MAX))).all()
    content = await asyncio.to_thread(documents.xlsx, REGISTER, rows, title=f"Payroll {run.month}")
    return _file(content, f"payroll-{run.month}.xlsx", "xlsx")


@job("payroll.send", input=PayrollIn)
async def send_payslips(run: Run, given: PayrollIn) -> dict[str, Any]:
    """Mails the payslips of a run to the employees, each once."""
    async with run.transaction() as session:
        month = (await session.scalars(select(PayrollRun.month).where(PayrollRun.id == given.run_id))).one()
        of_run = select(Payslip.id).where(Payslip.payroll_run_id == given.run_id).order_by(Payslip.id)
        ids = (await session.scalars(of_run)).all()
    for number, payslip_id in enumerate(ids):
        async with run.transaction() as session:
            payslip = (await session.scalars(select(Payslip).where(Payslip.id == payslip_id))).one()
            to = (await session.scalars(select(Employee.email).where(Employee.id == payslip.employee_id))).one()
            pan = await _pan_of(session, payslip.employee_id)
        content = await asyncio.to_thread(pdf_of, payslip, pan)
        attachment = (f"payslip-{month}.pdf", documents.MEDIA_TYPES["pdf"], content)
        await run.mail(
            to=to, subject=f"Payslip {month}", text=f"Your payslip of {month} is attached.", attachments=[attachment],
            step=f"payslip-{payslip_id}",
        )  # fmt: skip
        await run.progress(number + 1, len(ids))
    return {"payroll_run_id": str(given.run_id), "mails": len(ids)}


@operation("POST", "payroll-runs/{id}/send", status=202, reply=JobOut)
async def send_run(request: web.Request) -> web.Response:
    """Mail the payslips of a locked run, by a job; asked again, the same job."""
    async with transaction(request) as session:
        run = await load(session, payroll_runs, path_id(request, payroll_runs.noun))
        if run.status != "locked":
            raise conflict(f"the run is {run.status}; payslips are sent of one that is locked", "illegal_transition")
        job_id = await enqueue(session, send_payslips, PayrollIn(run_id=run.id), key=str(run.id))
        state = await session.scalar(select(Job.state).where(Job.id == job_id))
    told = JobOut(id=job_id, name=send_payslips.name, state=state)
    return json_reply(told, status=202, headers={"Location": f"/hr/jobs/{job_id}"})
