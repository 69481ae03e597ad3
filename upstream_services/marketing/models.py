"""The tables of Marketing."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import DateTime, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from upstream_services.kit.model import MONEY, Row


class Base(DeclarativeBase):
    """The tables of this service."""


class Campaign(Row, Base):
    """A campaign; the budget is in rupees."""

    __tablename__ = "campaigns"

    name: Mapped[str] = mapped_column(String(200))
    channel: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20), active_history=True)
    budget: Mapped[Decimal] = mapped_column(MONEY)
    scheduled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
