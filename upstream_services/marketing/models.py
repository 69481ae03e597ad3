"""The tables of Marketing: campaigns and whom they reach. What people do in answer is in `reply_models.py`, what is
sent step by step in `sequence_models.py`.
"""

import secrets
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import DateTime, ForeignKeyConstraint, Index, LargeBinary, String, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.kit.fields import Email, Moment, Money, Name, Phone, Text, line
from upstream_services.kit.jobs.tables import job_tables
from upstream_services.kit.model import PRIVATE, READ_ONLY, Row, by, choice, reference, unique, utc_now
from upstream_services.kit.tenancy import Tenanted
from upstream_services.marketing.inputs import Attributes, Html


class Base(DeclarativeBase):
    """The tables of this service."""


def about(table: str, **info: Any) -> Any:
    """A column that says what something came of; it goes on saying so when that is deleted."""
    return reference(table, nullable=True, on_delete="keep", **info)


class Template(Row, Base):
    """A message with places for what differs, such as {"name": "Diwali", "subject": "Hello {{ name }}", "text": "..."}.

    There are name, first_name, email, phone, unsubscribe_url, attributes.<key> and link:<code> (a tracked short link).
    """

    __tablename__ = "templates"
    __search__ = ("name", "subject")

    name: Mapped[Name]
    subject: Mapped[line(200)]
    text: Mapped[Text]
    html: Mapped[Html | None]


class Audience(Row, Base):
    """Whom to reach: who was put in (`static`), or who a list of subscribers with `parameters` has (`dynamic`)."""

    __tablename__ = "audiences"
    __search__ = ("name", "description")
    __indexes__ = (unique("name"),)

    name: Mapped[Name]
    description: Mapped[Text | None]
    kind: Mapped[Literal["static", "dynamic"]] = choice("static")
    parameters: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict)


class Membership(Tenanted, Base):
    """A subscriber who was put into a static audience."""

    __tablename__ = "memberships"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "audience_id"], ["audiences.tenant_id", "audiences.id"]),
        ForeignKeyConstraint(["tenant_id", "subscriber_id"], ["subscribers.tenant_id", "subscribers.id"]),
        Index("memberships_of_subscriber", "tenant_id", "subscriber_id"),
    )

    audience_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    subscriber_id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    added_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)


class Subscriber(Row, Base):
    """Somebody who may be written to unless `unsubscribed` or `bounced`: {"email": "a@x.example", "name": "Asha"}."""

    __tablename__ = "subscribers"
    __search__ = ("email", "name")
    __covering__ = ("email", "name", "status")
    __indexes__ = (unique("email"), by("status", "created_at desc"), by("source", "created_at desc"))
    __public__ = "public_id"

    email: Mapped[Email]
    name: Mapped[Name | None]
    phone: Mapped[Phone | None]
    source: Mapped[Name | None]
    attributes: Mapped[Attributes] = mapped_column(JSONB, default=dict)
    status: Mapped[Literal["subscribed", "unsubscribed", "bounced"]] = choice("subscribed", info=READ_ONLY)
    unsubscribed_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    unsubscribe_reason: Mapped[Name | None] = mapped_column(info=READ_ONLY)
    consent: Mapped[Name | None] = mapped_column(info=READ_ONLY)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, default=uuid.uuid4, info=PRIVATE)
    token_key: Mapped[bytes] = mapped_column(LargeBinary, default=lambda: secrets.token_bytes(32), info=PRIVATE)


class Suppression(Tenanted, Base):
    """An address that is not written to, whatever becomes of the subscriber who had it."""

    __tablename__ = "suppressions"

    email: Mapped[str] = mapped_column(String(254), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)


class Campaign(Row, Base):
    """A campaign; the budget is in rupees; `scheduled_at` (with a time zone) is when it starts by itself.

    One by email with an audience and a template is sent when it starts; others only say that they run.
    """

    __tablename__ = "campaigns"
    __search__ = ("name",)
    __indexes__ = (by("status", "created_at desc"), by("scheduled_at"))

    name: Mapped[Name]
    channel: Mapped[Literal["email", "sms", "whatsapp"]] = choice()
    status: Mapped[Literal["draft", "scheduled", "running", "paused", "done"]] = choice("draft", active_history=True)
    budget: Mapped[Money] = mapped_column(default=Decimal("0.00"))
    scheduled_at: Mapped[Moment | None]
    audience_id: Mapped[uuid.UUID | None] = reference("audiences", nullable=True)
    template_id: Mapped[uuid.UUID | None] = reference("templates", nullable=True)
    started_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    finished_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    job_id: Mapped[uuid.UUID | None] = mapped_column(info=READ_ONLY)
    launches: Mapped[int] = mapped_column(default=0, info=PRIVATE)


class Delivery(Row, Base):
    """A message of a campaign or of a sequence's step to a subscriber, of which there is one."""

    __tablename__ = "deliveries"
    __indexes__ = (by("status", "created_at desc"),)
    __public__ = "public_id"

    campaign_id: Mapped[uuid.UUID | None] = about("campaigns")
    step_id: Mapped[uuid.UUID | None] = about("sequence_steps")
    subscriber_id: Mapped[uuid.UUID] = reference("subscribers", on_delete="keep")
    email: Mapped[Email]
    status: Mapped[Literal["sent", "bounced"]] = choice("sent")
    error: Mapped[Text | None]
    opened_at: Mapped[Moment | None]
    clicked_at: Mapped[Moment | None]
    unsubscribed_at: Mapped[Moment | None]
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, default=uuid.uuid4, info=PRIVATE)

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """What makes a send idempotent whichever worker or launch does it: a second row cannot be written."""
        campaign, step = ("tenant_id", "campaign_id", "subscriber_id"), ("tenant_id", "step_id", "subscriber_id")
        return (
            Index("deliveries_unique_campaign_id", *campaign, unique=True),
            Index("deliveries_unique_step_id", *step, unique=True),
        )


Job, JobStep, JobFile = job_tables(Base)
