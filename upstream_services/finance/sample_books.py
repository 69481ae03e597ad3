"""The books of invoices that are written by COPY, as the demo's are: what sending and paying each would have made."""

import uuid
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from upstream_services.finance.chart import CHART
from upstream_services.finance.gst import ZERO
from upstream_services.finance.ledger import Side, credit, debit, require_balance
from upstream_services.finance.ledger_models import Account, JournalEntry, JournalLine
from upstream_services.finance.models import Counter, Invoice
from upstream_services.finance.numbering import financial_year, written
from upstream_services.finance.sales import sale
from upstream_services.finance.trade_models import Allocation, Payment


class Books:
    """Makes the rows of one tenant; ids come of the invoices', so they are the same each time."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.last: Tally[tuple[str, int]] = Tally()
        self.space = uuid.uuid5(uuid.NAMESPACE_OID, tenant)

    def common(self, seed: str, day: date) -> dict[str, Any]:
        """The columns of every row."""
        at = datetime.combine(day, time(9), UTC)
        made = {"tenant_id": self.tenant, "id": uuid.uuid5(self.space, seed), "created_at": at, "updated_at": at}
        return made | {"version": 1}

    def number(self, series: str, day: date) -> str:
        """The next number of a series."""
        key = (series, financial_year(day))
        self.last[key] += 1
        return written(*key, self.last[key])

    def rows_of(self, invoices: Sequence[Invoice]) -> Iterator[Any]:
        """Numbers the invoices that are no drafts, and makes accounts, entries and payments for them."""
        for role, known in CHART.items():
            yield Account(**self.common(role, date(2025, 4, 1)), **known._asdict(), role=role)
        for invoice in sorted(invoices, key=lambda one: (one.issue_date, one.id.int)):
            if invoice.status == "draft":
                continue
            invoice.number = self.number("INV", invoice.issue_date)
            title = f"Invoice {invoice.number}"
            entry, lines = self.entry(invoice, "invoices", invoice.issue_date, sale(invoice), title)
            invoice.entry_id = entry.id
            yield entry
            yield from lines
            if invoice.status == "paid" and invoice.paid_at is not None:
                yield from self.payment(invoice, invoice.paid_at.date())
        for (series, year), value in self.last.items():
            yield Counter(tenant_id=self.tenant, series=series, year=year, value=value)

    def payment(self, invoice: Invoice, day: date) -> Iterator[Any]:
        """The payment of all of an invoice."""
        invoice.amount_paid, invoice.balance = invoice.total, ZERO
        payment = Payment(
            **self.common(f"payment {invoice.id}", day), direction="received", date=day, amount=invoice.total,
            currency=invoice.currency, method="bank_transfer", number=self.number("RCT", day), status="posted",
            allocated=invoice.total, posted_at=invoice.paid_at,
        )  # fmt: skip
        sides = [debit("bank", invoice.total), credit("receivable", invoice.total)]
        entry, lines = self.entry(payment, "payments", day, sides, f"Payment {payment.number}")
        payment.entry_id = entry.id
        yield payment
        yield Allocation(
            tenant_id=self.tenant, payment_id=payment.id, document_id=invoice.id, invoice_id=invoice.id,
            amount=invoice.total,
        )  # fmt: skip
        yield entry
        yield from lines

    def entry(
        self, source: Any, kind: str, day: date, sides: Sequence[Side], description: str
    ) -> tuple[JournalEntry, list[JournalLine]]:
        """A posted entry and its lines."""
        common = self.common(f"entry {source.id}", day)
        kept = [side for side in sides if side.amount != 0]
        lines = [
            JournalLine(
                tenant_id=self.tenant, entry_id=common["id"], position=position,
                account_id=uuid.uuid5(self.space, str(side.account)), debit=max(side.amount, Decimal("0.00")),
                credit=max(-side.amount, Decimal("0.00")),
            )
            for position, side in enumerate(kept)
        ]  # fmt: skip
        total = require_balance([(one.debit, one.credit) for one in lines])
        entry = JournalEntry(
            **common, date=day, description=description, currency="INR", number=self.number("JE", day),
            status="posted", total=total, source_type=kind, source_id=source.id, posted_at=common["created_at"],
        )  # fmt: skip
        return entry, lines
