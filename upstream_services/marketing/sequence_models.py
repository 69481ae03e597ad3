"""The tables of what is sent step by step: sequences, their steps, and who is on the way through them."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from upstream_services.kit.fields import Count, Moment, Name, Text
from upstream_services.kit.model import PRIVATE, READ_ONLY, Row, by, choice, reference, unique
from upstream_services.marketing.models import Base

DELAY_MAX_MINUTES = 365 * 24 * 60
Minutes = Annotated[int, Field(ge=0, le=DELAY_MAX_MINUTES)]


class Sequence(Row, Base):
    """Messages that follow each other, such as a welcome; they go out while it is `active`."""

    __tablename__ = "sequences"
    __search__ = ("name", "description")
    __indexes__ = (unique("name"),)

    name: Mapped[Name]
    description: Mapped[Text | None]
    status: Mapped[Literal["draft", "active", "paused"]] = choice("draft", info=READ_ONLY)
    activations: Mapped[int] = mapped_column(default=0, info=PRIVATE)


class SequenceStep(Row, Base):
    """A message of a sequence, so many minutes after the one before, or after the enrolment."""

    __tablename__ = "sequence_steps"
    __indexes__ = (unique("sequence_id", "position"), by("sequence_id", "position"), by("position"))

    sequence_id: Mapped[uuid.UUID] = reference("sequences")
    position: Mapped[Count]
    delay_minutes: Mapped[Minutes] = mapped_column(default=0)
    template_id: Mapped[uuid.UUID] = reference("templates")


class Enrolment(Row, Base):
    """A subscriber on the way through a sequence; `position` is the last step that was sent."""

    __tablename__ = "enrolments"
    __indexes__ = (by("sequence_id", "status"), by("next_at"), by("status", "next_at"))

    sequence_id: Mapped[uuid.UUID] = reference("sequences")
    subscriber_id: Mapped[uuid.UUID] = reference("subscribers", on_delete="keep")
    status: Mapped[Literal["active", "done", "cancelled"]] = choice("active")
    position: Mapped[int | None]
    next_at: Mapped[Moment | None]

    @classmethod
    def constraints(cls) -> tuple[Any, ...]:
        """Nobody goes through a sequence twice."""
        return (Index("enrolments_unique_subscriber_id", "tenant_id", "sequence_id", "subscriber_id", unique=True),)
