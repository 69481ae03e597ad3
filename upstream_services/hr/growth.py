"""Reviews, goals, and the assets that people are lent."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.hr.resources import lock_employee
from upstream_services.hr.talent_models import Asset, Goal, Review
from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import Body


class AssignIn(Body):
    """Who is lent it."""

    employee_id: uuid.UUID


async def review_rules(_session: AsyncSession, review: Review, _values: Mapping[str, Any]) -> None:
    """A draft is changed, what was submitted stays; nobody reviews themselves."""
    if (review.status or "draft") != "draft":
        raise conflict(f"the review is {review.status}", "illegal_transition")
    if review.period_end < review.period_start:
        raise invalid("period_end", "is before the period starts")
    if review.reviewer_id == review.employee_id:
        raise invalid("reviewer_id", "is the employee")


def _may_delete_review(review: Review) -> None:
    if review.status != "draft":
        raise conflict(f"the review is {review.status}", "illegal_transition")


async def goal_rules(_session: AsyncSession, goal: Goal, _values: Mapping[str, Any]) -> None:
    """A goal that is closed is reopened first."""
    if (goal.status or "open") != "open":
        raise conflict(f"the goal is {goal.status}; reopen it first", "illegal_transition")


def _may_delete_asset(asset: Asset) -> None:
    if asset.status == "assigned":
        raise conflict("somebody has it; it is returned first", "assigned")


reviews = Resource(
    name="reviews",
    table=Review,
    filters=("status", "employee_id", "reviewer_id", "period_start", "period_end", "rating"),
    sortable=("period_end",),
    nested_in=("employee_id",),
    rules=review_rules,
    may_delete=_may_delete_review,
)

goals = Resource(
    name="goals",
    table=Goal,
    filters=("status", "employee_id", "due", "progress"),
    nested_in=("employee_id",),
    rules=goal_rules,
)

assets = Resource(
    name="assets",
    table=Asset,
    filters=("status", "kind", "tag", "employee_id"),
    nested_in=("employee_id",),
    may_delete=_may_delete_asset,
)


@reviews.action("submit")
async def submit_review(_session: AsyncSession, review: Review) -> None:
    """Hand a review to the employee."""
    if review.status != "draft":
        raise conflict(f"the review is {review.status}", "illegal_transition")
    if review.rating is None:
        raise conflict("it has no rating yet", "incomplete")
    review.status, review.submitted_at = "submitted", utc_now()


@reviews.action("acknowledge")
async def acknowledge_review(_session: AsyncSession, review: Review) -> None:
    """Say that the employee has read it."""
    if review.status != "submitted":
        raise conflict(f"the review is {review.status}", "illegal_transition")
    review.status, review.acknowledged_at = "acknowledged", utc_now()


def _close(goal: Goal, status: str) -> None:
    if goal.status != "open":
        raise conflict(f"the goal is {goal.status}", "illegal_transition")
    goal.status, goal.closed_at = status, utc_now()


@goals.action("complete")
async def complete_goal(_session: AsyncSession, goal: Goal) -> None:
    """Say that a goal is reached."""
    _close(goal, "done")
    goal.progress = 100


@goals.action("drop")
async def drop_goal(_session: AsyncSession, goal: Goal) -> None:
    """Give a goal up."""
    _close(goal, "dropped")


@goals.action("reopen")
async def reopen_goal(_session: AsyncSession, goal: Goal) -> None:
    """Open a goal again."""
    if goal.status == "open":
        raise conflict("the goal is open", "illegal_transition")
    goal.status, goal.closed_at = "open", None


@assets.action("assign", body=AssignIn)
async def assign_asset(session: AsyncSession, asset: Asset, body: AssignIn) -> None:
    """Lend an asset to an employee."""
    if asset.status != "available":
        raise conflict(f"the asset is {asset.status}", "illegal_transition")
    employee = await lock_employee(session, body.employee_id)
    if employee.status == "left":
        raise conflict("they have left", "illegal_transition")
    asset.status, asset.employee_id, asset.assigned_at = "assigned", employee.id, utc_now()


@assets.action("return")
async def return_asset(_session: AsyncSession, asset: Asset) -> None:
    """Take an asset back."""
    if asset.status != "assigned":
        raise conflict(f"the asset is {asset.status}", "illegal_transition")
    asset.status, asset.employee_id, asset.assigned_at = "available", None, None


@assets.action("retire")
async def retire_asset(_session: AsyncSession, asset: Asset) -> None:
    """Use an asset no more."""
    if asset.status != "available":
        raise conflict(f"the asset is {asset.status}", "illegal_transition")
    asset.status = "retired"
