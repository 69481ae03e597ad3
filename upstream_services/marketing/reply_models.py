"""The tables of what people are shown and do: forms, landing pages, links, events; social posts and webhooks."""

import secrets
import string
import uuid
from typing import Literal

from sqlalchemy import String, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.kit.fields import Moment, Name, Text, Url, code
from upstream_services.kit.model import PRIVATE, READ_ONLY, Row, by, choice, reference
from upstream_services.marketing.inputs import Attributes, FormFields, Html, WebhookEvents
from upstream_services.marketing.models import Base, about

CODE_LENGTH = 10  # 59 bits: short enough to type, and too many to try
ALPHABET = string.ascii_letters + string.digits

EventType = code(r"[a-z][a-z0-9_.-]{0,59}", 60)


def new_code() -> str:
    """The code of a short link."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def new_secret() -> str:
    """The key of a webhook's signatures, in the form that Standard Webhooks has for it."""
    return "whsec_" + secrets.token_urlsafe(32)


class Form(Row, Base):
    """Questions to whoever comes by; `public_id` is where answers go, without a token, while it is published.

    Who answers is put into the audience and starts the sequence, where there are such.
    """

    __tablename__ = "forms"
    __search__ = ("name",)
    __public__ = "public_id"

    name: Mapped[Name]
    fields: Mapped[FormFields] = mapped_column(JSONB)
    message: Mapped[Text] = mapped_column(default="Thank you.")
    status: Mapped[Literal["draft", "published", "closed"]] = choice("draft", info=READ_ONLY)
    audience_id: Mapped[uuid.UUID | None] = reference("audiences", nullable=True)
    sequence_id: Mapped[uuid.UUID | None] = reference("sequences", nullable=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, default=uuid.uuid4, info=READ_ONLY)


class FormSubmission(Row, Base):
    """What somebody answered."""

    __tablename__ = "form_submissions"

    form_id: Mapped[uuid.UUID] = reference("forms", on_delete="keep")
    subscriber_id: Mapped[uuid.UUID | None] = about("subscribers")
    data: Mapped[dict[str, str]] = mapped_column(JSONB)


class LandingPage(Row, Base):
    """A page that is shown to all under its `public_id` while published, without its scripts.

    `{{ form }}` in it is where its form is.
    """

    __tablename__ = "landing_pages"
    __search__ = ("name", "title")
    __public__ = "public_id"

    name: Mapped[Name]
    title: Mapped[Name]
    html: Mapped[Html]
    status: Mapped[Literal["draft", "published"]] = choice("draft", info=READ_ONLY)
    published_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    visits: Mapped[int] = mapped_column(default=0, info=READ_ONLY)
    form_id: Mapped[uuid.UUID | None] = reference("forms", nullable=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, default=uuid.uuid4, info=READ_ONLY)


class Link(Row, Base):
    """A short link: whoever opens its `code` is sent on to `url`, and counted."""

    __tablename__ = "links"
    __search__ = ("name", "code")
    __public__ = "code"

    url: Mapped[Url]
    name: Mapped[Name | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    campaign_id: Mapped[uuid.UUID | None] = about("campaigns")
    clicks: Mapped[int] = mapped_column(default=0, info=READ_ONLY)
    last_clicked_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    code: Mapped[str] = mapped_column(String(20), default=new_code, info=READ_ONLY)


class Event(Row, Base):
    """Something that somebody did; those that the service sees itself it writes itself, others are yours to write."""

    __tablename__ = "events"
    __indexes__ = (by("happened_at desc"), by("type", "happened_at desc"))

    type: Mapped[EventType]
    happened_at: Mapped[Moment]
    subscriber_id: Mapped[uuid.UUID | None] = about("subscribers")
    campaign_id: Mapped[uuid.UUID | None] = about("campaigns")
    form_id: Mapped[uuid.UUID | None] = about("forms")
    landing_page_id: Mapped[uuid.UUID | None] = about("landing_pages")
    link_id: Mapped[uuid.UUID | None] = about("links")
    properties: Mapped[Attributes] = mapped_column(JSONB, default=dict)


class SocialPost(Row, Base):
    """Something to post elsewhere: webhooks are told at its time (`social_post.due`), `publish` says that it is out."""

    __tablename__ = "social_posts"
    __search__ = ("text",)
    __indexes__ = (by("scheduled_at"), by("status", "scheduled_at"))

    channel: Mapped[Literal["facebook", "instagram", "linkedin", "x", "youtube"]] = choice()
    text: Mapped[Text]
    media_url: Mapped[Url | None]
    campaign_id: Mapped[uuid.UUID | None] = about("campaigns")
    status: Mapped[Literal["draft", "scheduled", "due", "published"]] = choice("draft", info=READ_ONLY)
    scheduled_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    published_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    published_url: Mapped[Url | None] = mapped_column(info=READ_ONLY)


class Webhook(Row, Base):
    """Where to tell of what happened. Its secret, the key of the signatures, is shown by `rotate-secret` only."""

    __tablename__ = "webhooks"

    url: Mapped[Url]
    events: Mapped[WebhookEvents] = mapped_column(JSONB)
    description: Mapped[Name | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    last_status: Mapped[int | None] = mapped_column(info=READ_ONLY)
    last_error: Mapped[Text | None] = mapped_column(info=READ_ONLY)
    last_told_at: Mapped[Moment | None] = mapped_column(info=READ_ONLY)
    secret: Mapped[str] = mapped_column(String(60), default=new_secret, info=PRIVATE)
