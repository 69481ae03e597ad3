"""What clients send of documents with lines, and how their lines come to have amounts."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationInfo, field_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance import gst
from upstream_services.finance.fields import Hsn, Rate, StateCode
from upstream_services.finance.models import Item, Profile, TaxRate
from upstream_services.kit.errors import invalid, within
from upstream_services.kit.fields import Money, Name, Quantity
from upstream_services.kit.validation import Body
from upstream_services.kit.views import plain_view

DEFAULT_HOME_STATE = "29"  # of a tenant that has not said where it is registered (PUT /finance/profile)


class LineIn(Body):
    """A line; `gst_rate` in percent, `hsn` 4 to 8 digits. What it leaves out is its item's."""

    item_id: uuid.UUID | None = None
    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)] | None = Field(
        default=None, validate_default=True
    )
    hsn: Hsn | None = None
    quantity: Quantity
    unit_price: Money | None = Field(default=None, validate_default=True)
    gst_rate: Rate | None = Field(default=None, validate_default=True)

    @field_validator("description", "unit_price", "gst_rate", mode="after")
    @classmethod
    def _needed(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("item_id") is None:
            raise ValueError("is needed without an item")
        return value


Lines = Annotated[list[LineIn], Field(min_length=1, max_length=200)]


class LineOut(BaseModel):
    """A line with its amounts."""

    item_id: uuid.UUID | None
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


class WithLines(BaseModel):
    """What a reply shows of a document beyond its columns."""

    lines: list[LineOut]


LINE_FIELDS = tuple(LineOut.model_fields)


class ProfileIn(Body):
    """The tenant as a supplier."""

    legal_name: Name
    home_state: StateCode


class ProfileOut(BaseModel):
    """The tenant as a supplier."""

    legal_name: str
    home_state: str


def view(document: Any) -> dict[str, Any]:
    """A document with its lines."""
    return plain_view(document) | {"lines": [{n: getattr(one, n) for n in LINE_FIELDS} for one in document.lines]}


async def home_state(session: AsyncSession) -> str:
    """Where the tenant is registered."""
    found: str | None = await session.scalar(select(Profile.home_state))
    return found or DEFAULT_HOME_STATE


async def _items(session: AsyncSession, ids: set[uuid.UUID]) -> dict[uuid.UUID, tuple[Item, TaxRate | None]]:
    if not ids:
        return {}
    statement = select(Item, TaxRate).outerjoin(TaxRate, TaxRate.id == Item.tax_rate_id).where(Item.id.in_(ids))
    return {item.id: (item, rate) for item, rate in await session.execute(statement)}


def _holds(rate: TaxRate, day: date) -> bool:
    return (rate.valid_from or day) <= day <= (rate.valid_until or day)


async def complete_lines(session: AsyncSession, given: Sequence[Mapping[str, Any]], kind: Any, day: date) -> list[Any]:
    """The lines as they are kept, with what their items say on that day. Amounts come by `compute`."""
    # A PATCH leaves out what was not sent.
    given = [dict.fromkeys(LineIn.model_fields) | dict(one) for one in given]
    items = await _items(session, {one["item_id"] for one in given if one["item_id"] is not None})
    made = []
    for position, one in enumerate(given):
        values = dict(one)
        if one["item_id"] is not None:
            with within(f"lines.{position}"):
                if one["item_id"] not in items:
                    raise invalid("item_id", "there is no such item")
                item, rate = items[one["item_id"]]
                if one["gst_rate"] is None and (rate is None or not _holds(rate, day)):
                    raise invalid("gst_rate", f"is needed: the item has no tax rate on {day}")
            values["description"] = one["description"] or item.name
            values["hsn"] = one["hsn"] or item.hsn or (rate.hsn if rate else None)
            values["unit_price"] = item.price if one["unit_price"] is None else one["unit_price"]
            values["gst_rate"] = rate.rate if one["gst_rate"] is None and rate else one["gst_rate"]
        made.append(kind(position=position, **values))
    return made


def compute(document: Any) -> None:
    """Sets the amounts of a document's lines and their sums, and the balance of one that is owed."""
    is_intra_state = document.place_of_supply == document.home_state
    for line in document.lines:
        amounts = gst.line_amounts(line.quantity, line.unit_price, line.gst_rate, is_intra_state=is_intra_state)
        for name, amount in amounts._asdict().items():
            setattr(line, name, amount)
    for name, amount in gst.sum_amounts(document.lines)._asdict().items():
        setattr(document, name, amount)
    if hasattr(type(document), "balance"):
        document.balance, document.amount_paid, document.amount_credited = document.total, gst.ZERO, gst.ZERO


async def fill(session: AsyncSession, document: Any, values: Mapping[str, Any], day: date) -> None:
    """Sets the lines that were sent, and all amounts anew."""
    if "lines" in values:
        document.lines = await complete_lines(session, values["lines"], type(document).__line__, day)
    compute(document)


def copy_lines(document: Any, kind: Any) -> list[Any]:
    """The lines of a document as lines of another kind."""
    return [kind(position=one.position, **{n: getattr(one, n) for n in LINE_FIELDS}) for one in document.lines]
