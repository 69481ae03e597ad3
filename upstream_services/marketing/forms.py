"""Forms: what may be asked, and what is done with an answer."""

import re
import uuid
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.fields import Email, Phone
from upstream_services.kit.resource import Resource
from upstream_services.kit.validation import unprocessable
from upstream_services.marketing.inputs import VALUE_MAX
from upstream_services.marketing.models import Audience, Subscriber
from upstream_services.marketing.people import is_suppressed, put_in, record
from upstream_services.marketing.reply_models import Form, FormSubmission
from upstream_services.marketing.sequence_models import Sequence
from upstream_services.marketing.sequences import enrol
from upstream_services.marketing.webhooks import tell

_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
_PHONE: TypeAdapter[str] = TypeAdapter(Phone)
OWN = ("email", "name", "phone")  # fields that are the subscriber's own; the others become attributes


async def form_rules(session: AsyncSession, form: Form, values: Mapping[str, Any]) -> None:
    """Fields have names of their own, choices have options, and who answers can be put where the form says."""
    if "fields" in values:
        names = [field["name"] for field in form.fields]
        for number, field in enumerate(form.fields):
            if field["name"] in names[:number]:
                raise invalid(f"fields.{number}.name", "is there twice")
            if (field["type"] == "choice") != bool(field["options"]):
                raise invalid(f"fields.{number}.options", "a choice has options, others have none")
            if (field["name"] == "email") != (field["type"] == "email"):
                raise invalid(f"fields.{number}.type", "the field of type email is named email")
    if form.audience_id is not None and "audience_id" in values:
        kind = await session.scalar(select(Audience.kind).where(Audience.id == form.audience_id))
        if kind != "static":
            raise invalid("audience_id", "must be a static audience")
    has_email = any(field["name"] == "email" for field in form.fields)
    if not has_email and (form.audience_id or form.sequence_id):
        raise invalid("fields", "a form with an audience or a sequence asks for the email")


def may_delete_form(form: Form) -> None:
    """What people may be filling in stays."""
    if form.status == "published":
        raise conflict("the form is published; close it first", "published")


forms = Resource(
    name="forms",
    table=Form,
    filters=("status", "audience_id", "sequence_id"),
    rules=form_rules,
    may_delete=may_delete_form,
)

form_submissions = Resource(
    name="form-submissions",
    table=FormSubmission,
    filters=("form_id", "subscriber_id"),
    nested_in=("form_id", "subscriber_id"),
    read_only=True,
    is_live=True,
)


@forms.action("publish")
async def publish(_session: AsyncSession, form: Form) -> None:
    """Let people answer a form, at /marketing/public/forms/{public_id}/submit."""
    form.status = "published"


@forms.action("close")
async def close(_session: AsyncSession, form: Form) -> None:
    """Take no more answers."""
    form.status = "closed"


@forms.action("renew-address")
async def renew_address(_session: AsyncSession, form: Form) -> None:
    """Give a form another public id; the one that is known leads nowhere from now on."""
    form.public_id = uuid.uuid4()


def _fault(field: Mapping[str, Any], value: str) -> str | None:
    """What is wrong with an answer."""
    match field["type"]:
        case "email" | "phone":
            try:
                (_EMAIL if field["type"] == "email" else _PHONE).validate_python(value)
            except ValidationError:
                return f"must be {'an email address' if field['type'] == 'email' else 'a phone number'}"
        case "number":
            try:
                is_number = Decimal(value).is_finite()
            except InvalidOperation:
                is_number = False
            return None if is_number else "must be a number"
        case "date":
            try:
                date.fromisoformat(value)
            except ValueError:
                return "must be a date such as 2026-01-31"
            return None if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else "must be a date such as 2026-01-31"
        case "choice":
            return None if value in field["options"] else f"must be one of {', '.join(field['options'])}"
        case "checkbox":
            return None if value in ("true", "false") else "must be true or false"
    return None


def answers_of(form: Form, data: Mapping[str, str]) -> dict[str, str]:
    """The answers, trimmed, without those that are empty. Raises a 422 problem that names each that is at fault."""
    fields = {field["name"]: field for field in form.fields}
    errors = [{"field": f"data.{n}", "message": "is no field of this form"} for n in data if n not in fields]
    found = {}
    for name, field in fields.items():
        value = data.get(name, "").strip()
        message = None
        if not value or (field["type"] == "checkbox" and field["required"] and value != "true"):
            message = "is required" if field["required"] else None
        elif len(value) > VALUE_MAX:
            message = f"at most {VALUE_MAX} characters"
        else:
            message = _fault(field, value)
            found[name] = _EMAIL.validate_python(value) if message is None and name == "email" else value
        if message is not None:
            errors.append({"field": f"data.{name}", "message": message})
    if errors:
        raise unprocessable(errors)
    return found


async def submit(session: AsyncSession, form: Form, data: Mapping[str, str]) -> FormSubmission:
    """Keeps an answer, and does with who gave it what the form says."""
    answers = answers_of(form, data)
    subscriber = await _subscriber_of(session, form, answers) if "email" in answers else None
    submission = FormSubmission(id=uuid.uuid4(), form_id=form.id, data=answers)
    submission.subscriber_id = subscriber.id if subscriber is not None else None
    session.add(submission)
    await session.flush()
    if subscriber is not None:
        if form.audience_id is not None:
            await put_in(session, form.audience_id, [subscriber.id])
        if form.sequence_id is not None and await _is_active(session, form.sequence_id):
            await enrol(session, form.sequence_id, [subscriber.id])
    record(session, "submitted", form_id=form.id, subscriber_id=submission.subscriber_id)
    told = {"form_id": form.id, "submission_id": submission.id, "subscriber_id": submission.subscriber_id}
    await tell(session, "form.submitted", {**told, "data": answers})
    return submission


async def _is_active(session: AsyncSession, sequence_id: uuid.UUID) -> bool:
    return await session.scalar(select(Sequence.status).where(Sequence.id == sequence_id)) == "active"


async def _subscriber_of(session: AsyncSession, form: Form, answers: Mapping[str, str]) -> Subscriber:
    """Who has that address, made where nobody has. Who is known is not changed: anybody can type an address."""
    email = answers["email"]
    found = await session.scalar(select(Subscriber).where(Subscriber.email == email))
    if found is not None:
        return found
    suppressed = await is_suppressed(session, email)
    made = Subscriber(
        id=uuid.uuid4(), email=email, name=answers.get("name", "")[:200] or None, phone=answers.get("phone"),
        source=f"form {form.name}"[:200], status="unsubscribed" if suppressed else "subscribed",
        attributes={name: value for name, value in answers.items() if name not in OWN},
    )  # fmt: skip
    session.add(made)
    await session.flush()
    if not suppressed:
        await tell(session, "subscriber.subscribed", {"subscriber_id": made.id, "email": email})
    return made
