"""Hiring: openings, candidates, interviews; how a candidate becomes an employee, once."""

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.models import Designation, Employee
from upstream_services.hr.talent_models import Candidate, Interview, JobOpening, Rating
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Email, Money, Name, Text
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body


class HireIn(Body):
    """What the candidate does not say of the employee: the first day, the monthly salary in rupees, the new address.

    Department, designation and location are the opening's.
    """

    joined_on: date
    salary: Money
    email: Email | None = None
    designation: Name | None = None


class Hired(BaseModel):
    """Who was hired, and as which employee."""

    candidate_id: uuid.UUID
    employee_id: uuid.UUID


class RejectIn(Body):
    """Why."""

    reason: Text | None = None


class CompleteIn(Body):
    """What came of an interview."""

    rating: Rating
    recommendation: Literal["hire", "hold", "reject"]
    feedback: Text | None = None


async def opening_rules(_session: AsyncSession, opening: JobOpening, _values: Mapping[str, Any]) -> None:
    """Whoever was hired has a place."""
    if opening.openings < (opening.filled or 0):
        raise conflict(f"{opening.filled} of its places are filled", "filled")


async def candidate_rules(_session: AsyncSession, candidate: Candidate, _values: Mapping[str, Any]) -> None:
    """What was decided stays."""
    if (candidate.outcome or "open") != "open":
        raise conflict(f"the candidate was {candidate.outcome}", "decided")


def _may_delete_candidate(candidate: Candidate) -> None:
    if candidate.outcome == "hired":
        raise conflict("the candidate was hired", "decided")


async def interview_rules(_session: AsyncSession, interview: Interview, _values: Mapping[str, Any]) -> None:
    """What has been held stays."""
    if (interview.status or "scheduled") != "scheduled":
        raise conflict(f"the interview is {interview.status}", "illegal_transition")


job_openings = Resource(
    name="job-openings",
    table=JobOpening,
    filters=("status", "department_id", "designation_id", "location_id"),
    nested_in=("department_id",),
    rules=opening_rules,
)

candidates = Resource(
    name="candidates",
    table=Candidate,
    filters=("stage", "outcome", "source", "email", "job_opening_id"),
    nested_in=("job_opening_id",),
    rules=candidate_rules,
    may_delete=_may_delete_candidate,
)

interviews = Resource(
    name="interviews",
    table=Interview,
    filters=("status", "candidate_id", "interviewer_id", "scheduled_at", "recommendation"),
    sortable=("scheduled_at",),
    nested_in=("candidate_id", "interviewer_id"),
    rules=interview_rules,
)


def _require_open(candidate: Candidate) -> None:
    if candidate.outcome != "open":
        raise conflict(f"the candidate was {candidate.outcome}", "decided")


@candidates.action("hire", body=HireIn, reply=Hired)
async def hire(session: AsyncSession, candidate: Candidate, body: HireIn) -> Hired:
    """Make an employee of a candidate, once, and count them to the opening."""
    _require_open(candidate)
    opening = (
        await session.scalars(
            select(JobOpening).where(JobOpening.id == candidate.job_opening_id).with_for_update(of=JobOpening)
        )
    ).one()
    if opening.status != "open":
        raise conflict(f"the opening is {opening.status}", "illegal_transition")
    title = None
    if opening.designation_id is not None:
        title = await session.scalar(select(Designation.name).where(Designation.id == opening.designation_id))
    employee = Employee(
        id=uuid.uuid4(), department_id=opening.department_id, name=candidate.name, status="active",
        email=body.email or candidate.email, phone=candidate.phone, joined_on=body.joined_on, salary=body.salary,
        designation=body.designation or title or opening.title, designation_id=opening.designation_id,
        location_id=opening.location_id,
    )  # fmt: skip
    session.add(employee)
    await session.flush()
    opening.filled, opening.updated_at = opening.filled + 1, utc_now()
    if opening.filled >= opening.openings:
        opening.status = "closed"
    candidate.outcome, candidate.decided_at, candidate.employee_id = "hired", utc_now(), employee.id
    return Hired(candidate_id=candidate.id, employee_id=employee.id)


@candidates.action("reject", body=RejectIn)
async def reject_candidate(_session: AsyncSession, candidate: Candidate, body: RejectIn) -> None:
    """Reject a candidate."""
    _require_open(candidate)
    candidate.outcome, candidate.outcome_reason, candidate.decided_at = "rejected", body.reason, utc_now()


@candidates.action("reopen")
async def reopen_candidate(_session: AsyncSession, candidate: Candidate) -> None:
    """Consider a candidate again who was rejected."""
    if candidate.outcome != "rejected":
        raise conflict(f"cannot reopen a candidate who is {candidate.outcome}", "illegal_transition")
    candidate.outcome, candidate.outcome_reason, candidate.decided_at = "open", None, None


@interviews.action("complete", body=CompleteIn)
async def complete_interview(_session: AsyncSession, interview: Interview, body: CompleteIn) -> None:
    """Say that an interview was held, and what came of it."""
    if interview.status != "scheduled":
        raise conflict(f"the interview is {interview.status}", "illegal_transition")
    if interview.scheduled_at > utc_now():
        raise invalid("scheduled_at", "is still to come; change it if the interview was held earlier")
    interview.status, interview.rating = "done", body.rating
    interview.recommendation, interview.feedback = body.recommendation, body.feedback


@interviews.action("cancel")
async def cancel_interview(_session: AsyncSession, interview: Interview) -> None:
    """Cancel an interview that is still to be held."""
    if interview.status != "scheduled":
        raise conflict(f"the interview is {interview.status}", "illegal_transition")
    interview.status = "cancelled"
