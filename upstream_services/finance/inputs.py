"""What clients send to Finance."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from upstream_services.kit.fields import Currency, Email, Money, Name
from upstream_services.kit.validation import Body


def _is_state(code: str) -> str:
    if not 1 <= int(code) <= 38:
        raise ValueError("is no GST state code")
    return code


def today() -> date:
    """The issue date of an invoice that names none, in UTC."""
    return datetime.now(UTC).date()


# The first two digits of a GSTIN: 27 is Maharashtra, 29 Karnataka.
StateCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$"), AfterValidator(_is_state)]


class LineIn(Body):
    """A line of an invoice; `gst_rate` in percent, `hsn` 4 to 8 digits."""

    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
    hsn: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")] | None = None
    quantity: Annotated[
        Decimal,
        Field(gt=0, le=1_000_000, decimal_places=3),
        AfterValidator(lambda value: value.quantize(Decimal("0.001"))),
    ]
    unit_price: Money
    gst_rate: Literal[0, 5, 12, 18, 28]


class InvoiceCreate(Body):
    """An invoice; without `place_of_supply` it is the tenant's own state. A PATCH of `lines` replaces them all."""

    customer_name: Name
    customer_email: Email | None = None
    deal_id: uuid.UUID | None = None
    issue_date: date = Field(default_factory=today)
    due_date: date | None = None
    currency: Currency = "INR"
    place_of_supply: StateCode | None = None
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=200)]


class ProfileIn(Body):
    """The tenant as a supplier."""

    legal_name: Name
    home_state: StateCode


class ProfileOut(BaseModel):
    """The tenant as a supplier."""

    legal_name: str
    home_state: str


class LineOut(BaseModel):
    """A line of an invoice, with its amounts."""

    description: str
    hsn: str | None
    quantity: Decimal
    unit_price: Decimal
    gst_rate: int
    taxable: Decimal
    cgst: Decimal
    sgst: Decimal
    igst: Decimal
    total: Decimal


class InvoiceExtra(BaseModel):
    """What a reply shows of an invoice beyond its columns."""

    lines: list[LineOut]
