"""Types that are a column and an input rule in one: `name: Mapped[Name]` says how it is kept and what is taken."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints
from sqlalchemy import DateTime, Numeric, String
from sqlalchemy import Text as LongText
from sqlalchemy.orm import mapped_column

MONEY = Numeric(22, 2)
INT_MAX = 2_147_483_647  # of PostgreSQL's integer


def _cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))


def _thousandths(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.001"))


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _is_web_address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+\S*", value):
        raise ValueError("must be an http or https address")
    return value


def line(length: int = 200) -> type[str]:
    """One line of text, trimmed and not empty, up to `length` characters."""
    rule = StringConstraints(strip_whitespace=True, min_length=1, max_length=length)
    return Annotated[str, rule, mapped_column(String(length))]  # type: ignore[return-value]


def code(pattern: str, length: int) -> type[str]:
    """A code by a regular expression, such as `code(r"[A-Z0-9-]{1,20}", 20)`."""
    rule = StringConstraints(pattern=f"^(?:{pattern})$", max_length=length)
    return Annotated[str, rule, mapped_column(String(length))]  # type: ignore[return-value]


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), mapped_column(String(200))
]
Text = Annotated[str, StringConstraints(max_length=5000), mapped_column(LongText)]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
    mapped_column(String(254)),
]
Phone = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^\+?[0-9][0-9 ()-]{4,24}$"), mapped_column(String(30))
]
Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2000),
    AfterValidator(_is_web_address),
    mapped_column(LongText),
]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), mapped_column(String(3))]
# Two places always, also for "12.5", so that a reply to a write reads as the row will from the database.
Money = Annotated[
    Decimal, Field(ge=0, le=1_000_000_000, decimal_places=2), AfterValidator(_cents), mapped_column(MONEY)
]
Quantity = Annotated[
    Decimal,
    Field(gt=0, le=1_000_000, decimal_places=3),
    AfterValidator(_thousandths),
    mapped_column(Numeric(12, 3)),
]
Percent = Annotated[
    Decimal, Field(ge=0, le=100, decimal_places=2), AfterValidator(_cents), mapped_column(Numeric(5, 2))
]
Count = Annotated[int, Field(ge=0, le=INT_MAX)]
Moment = Annotated[AwareDatetime, AfterValidator(_utc), mapped_column(DateTime(timezone=True))]
