"""The tables of Marketing."""

from decimal import Decimal
from typing import Literal

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.kit.fields import Moment, Money, Name
from upstream_services.kit.model import Row, choice


class Base(DeclarativeBase):
    """The tables of this service."""


class Campaign(Row, Base):
    """A campaign; the budget is in rupees; `scheduled_at` (with a time zone) is when it starts by itself."""

    __tablename__ = "campaigns"
    __search__ = ("name",)

    name: Mapped[Name]
    channel: Mapped[Literal["email", "sms", "whatsapp"]] = choice()
    status: Mapped[Literal["draft", "scheduled", "running", "done"]] = choice("draft", active_history=True)
    budget: Mapped[Money] = mapped_column(default=Decimal("0.00"))
    scheduled_at: Mapped[Moment | None]
