"""What CRM sells: products, quotes, orders; how their lines add up, how a quote becomes an order."""

import uuid
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.crm.models import Deal
from upstream_services.crm.sales_models import Counter, Order, OrderLine, Product, Quote, QuoteLine
from upstream_services.kit.errors import conflict, invalid, within
from upstream_services.kit.fields import Money, Percent, Quantity, line
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.shapes import body_of
from upstream_services.kit.validation import Body
from upstream_services.kit.views import plain_view

PAISA = Decimal("0.01")
LINE_FIELDS = (
    "product_id", "description", "quantity", "unit_price", "discount", "tax_rate", "net", "tax", "total",
)  # fmt: skip


class LineIn(Body):
    """A line; what it leaves out of price, tax and description is its product's. Discount and tax in percent."""

    product_id: uuid.UUID | None = None
    description: line(500) | None = None
    quantity: Quantity = Decimal("1.000")
    unit_price: Money | None = None
    discount: Percent = Decimal("0.00")
    tax_rate: Percent | None = None


class LineOut(BaseModel):
    """A line with its amounts."""

    product_id: uuid.UUID | None
    description: str
    quantity: Decimal
    unit_price: Decimal
    discount: Decimal
    tax_rate: Decimal
    net: Decimal
    tax: Decimal
    total: Decimal


class WithLines(BaseModel):
    """What a reply shows of a quote or an order beyond its columns."""

    lines: list[LineOut]


Lines = Annotated[list[LineIn], Field(min_length=1, max_length=200)]


class QuoteCreate(body_of(Quote)):  # type: ignore[misc]
    """An offer to a contact. A PATCH of `lines` replaces them all."""

    lines: Lines


class OrderCreate(body_of(Order)):  # type: ignore[misc]
    """An order of a contact. A PATCH of `lines` replaces them all."""

    lines: Lines


class Amounts(NamedTuple):
    """Net after the discount, the tax on it, and both together, each with two places."""

    net: Decimal
    tax: Decimal
    total: Decimal


def amounts_of(quantity: Decimal, unit_price: Decimal, discount: Decimal, tax_rate: Decimal) -> Amounts:
    """The amounts of a line, each rounded half up, so that what is printed adds up."""
    net = (quantity * unit_price * (100 - discount) / 100).quantize(PAISA, ROUND_HALF_UP)
    tax = (net * tax_rate / 100).quantize(PAISA, ROUND_HALF_UP)
    return Amounts(net, tax, net + tax)


def add_up(document: Any, lines: Iterable[Any]) -> None:
    """Sets the sums of a quote or an order."""
    found = list(lines)
    for name in Amounts._fields:
        setattr(document, name, sum((getattr(one, name) for one in found), Decimal("0.00")))


async def next_number(session: AsyncSession, series: str) -> int:
    """The next number of a tenant's series. The counter's row is locked until the end of the transaction."""
    table = Counter.__table__
    values = {"tenant_id": session.info["tenant"], "name": series, "value": 1}
    counted = insert(table).values(values)
    counted = counted.on_conflict_do_update(
        index_elements=["tenant_id", "name"], set_={"value": table.c.value + 1}
    ).returning(table.c.value)
    return int((await (await session.connection()).execute(counted)).scalar_one())


async def complete_lines(session: AsyncSession, given: list[dict[str, Any]], kind: Any) -> list[Any]:
    """The lines as they are kept: with what their products say, and their amounts."""
    ids = {one["product_id"] for one in given if one["product_id"] is not None}
    products = {row.id: row for row in (await session.scalars(select(Product).where(Product.id.in_(ids)))).all()}
    made = []
    for position, one in enumerate(given):
        product = products.get(one["product_id"])
        with within(f"lines.{position}"):
            if one["product_id"] is not None and product is None:
                raise invalid("product_id", "there is no such product")
            description = one["description"] or (product.name if product else None)
            price = one["unit_price"] if one["unit_price"] is not None else product.price if product else None
            if description is None or price is None:
                raise invalid("description" if description is None else "unit_price", "is needed without a product")
        rate = one["tax_rate"] if one["tax_rate"] is not None else product.tax_rate if product else Decimal("0.00")
        amounts = amounts_of(one["quantity"], price, one["discount"], rate)
        made.append(
            kind(
                position=position,
                product_id=one["product_id"],
                description=description,
                quantity=one["quantity"],
                unit_price=price,
                discount=one["discount"],
                tax_rate=rate,
                **amounts._asdict(),
            )
        )
    return made


def _rules(series: str, kind: Any, changeable: str) -> Any:
    async def rules(session: AsyncSession, document: Any, values: Mapping[str, Any]) -> None:
        status = document.status or changeable
        if status != changeable:
            raise conflict(f"it is {status}; only while it is {changeable} may it be changed", "illegal_transition")
        if document.number is None:
            document.number = await next_number(session, series)
        if "lines" in values:
            document.lines = await complete_lines(session, values["lines"], kind)
            add_up(document, document.lines)

    return rules


def view(document: Any) -> dict[str, Any]:
    """A quote or an order with its lines."""
    return plain_view(document) | {
        "lines": [{name: getattr(one, name) for name in LINE_FIELDS} for one in document.lines]
    }


def _may_delete(changeable: str) -> Any:
    def may_delete(document: Any) -> None:
        if document.status != changeable:
            raise conflict(f"it is {document.status}; it stays", "illegal_transition")

    return may_delete


products = Resource(
    name="products", table=Product, filters=("sku", "is_active", "price", "currency"), sortable=("name", "price")
)

quotes = Resource(
    name="quotes",
    table=Quote,
    create=QuoteCreate,
    filters=("status", "contact_id", "company_id", "deal_id", "number", "valid_until"),
    nested_in=("contact_id", "company_id", "deal_id"),
    rules=_rules("quotes", QuoteLine, "draft"),
    may_delete=_may_delete("draft"),
    view=view,
    extra=WithLines,
)

orders = Resource(
    name="orders",
    table=Order,
    create=OrderCreate,
    filters=("status", "contact_id", "company_id", "quote_id", "number"),
    nested_in=("contact_id", "company_id", "quote_id"),
    rules=_rules("orders", OrderLine, "open"),
    may_delete=_may_delete("open"),
    view=view,
    extra=WithLines,
)

# Action -> the state it needs, the state it leads to.
QUOTE_STATES = {"send": ("draft", "sent"), "accept": ("sent", "accepted"), "decline": ("sent", "declined")}
ORDER_STATES = {"fulfil": ("open", "fulfilled"), "cancel": ("open", "cancelled")}


def advance(document: Any, action: str, states: Mapping[str, tuple[str, str]]) -> None:
    """Moves it on. Raises a 409 problem where its state does not allow that."""
    needed, result = states[action]
    if document.status != needed:
        raise conflict(f"cannot {action} what is {document.status}: it must be {needed}", "illegal_transition")
    document.status = result


@quotes.action("send")
async def send_quote(_session: AsyncSession, quote: Quote) -> None:
    """Say that a draft was sent."""
    advance(quote, "send", QUOTE_STATES)
    quote.sent_at = utc_now()


@quotes.action("decline")
async def decline_quote(_session: AsyncSession, quote: Quote) -> None:
    """Say that the customer does not want it."""
    advance(quote, "decline", QUOTE_STATES)
    quote.decided_at = utc_now()


@quotes.action("accept")
async def accept_quote(session: AsyncSession, quote: Quote) -> None:
    """Make an order of a quote that was sent, and win its deal."""
    if quote.valid_until is not None and quote.valid_until < utc_now().date() and quote.status == "sent":
        raise conflict(f"it was valid until {quote.valid_until}", "expired")
    advance(quote, "accept", QUOTE_STATES)
    order = Order(
        id=uuid.uuid4(), contact_id=quote.contact_id, company_id=quote.company_id, quote_id=quote.id, status="open",
        currency=quote.currency, notes=quote.notes, number=await next_number(session, "orders"),
    )  # fmt: skip
    copied = ("position", *LINE_FIELDS)
    order.lines = [OrderLine(**{name: getattr(one, name) for name in copied}) for one in quote.lines]
    add_up(order, order.lines)
    session.add(order)
    quote.order_id, quote.decided_at = order.id, utc_now()
    if quote.deal_id is not None:
        deal = await session.scalar(select(Deal).where(Deal.id == quote.deal_id).with_for_update())
        if deal is not None and deal.stage not in ("won", "lost"):
            deal.stage, deal.closed_at, deal.updated_at = "won", utc_now(), utc_now()


@orders.action("fulfil")
async def fulfil_order(_session: AsyncSession, order: Order) -> None:
    """Say that everything was delivered."""
    advance(order, "fulfil", ORDER_STATES)
    order.fulfilled_at = utc_now()


@orders.action("cancel")
async def cancel_order(_session: AsyncSession, order: Order) -> None:
    """Cancel an order that is open."""
    advance(order, "cancel", ORDER_STATES)
