"""The PDF of an invoice, and the job that sends it."""

import uuid
from typing import Any

from aiohttp import web
from sqlalchemy import select

from upstream_services.finance.models import Invoice, Profile
from upstream_services.kit import documents
from upstream_services.kit.errors import not_found
from upstream_services.kit.jobs.declare import job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import path_id, reading
from upstream_services.kit.validation import Body

HEAD = ("Description", "HSN", "Qty", "Price", "GST %", "Taxable", "CGST", "SGST", "IGST", "Total")
SUMS = ("taxable", "cgst", "sgst", "igst", "total")


class InvoiceOf(Body):
    """The invoice that is sent."""

    invoice_id: uuid.UUID


def invoice_pdf(invoice: Invoice, supplier: str) -> bytes:
    """The invoice as it is printed, with what rule 46 of the CGST Rules asks of it."""
    rows: list[tuple[Any, ...]] = [
        (one.description, one.hsn, one.quantity, one.unit_price, one.gst_rate, *(getattr(one, n) for n in SUMS))
        for one in invoice.lines
    ]
    rows.append(("Total", None, None, None, None, *(getattr(invoice, name) for name in SUMS)))
    before = [
        f"From: {supplier} (state {invoice.home_state})",
        f"To: {invoice.customer_name}" + (f", GSTIN {invoice.customer_gstin}" if invoice.customer_gstin else ""),
        f"Date: {invoice.issue_date}   Due: {invoice.due_date or 'on receipt'}",
        f"Place of supply: state {invoice.place_of_supply}   Currency: {invoice.currency}",
        f"To be paid: {invoice.balance}",
    ]
    return documents.pdf(f"Tax invoice {invoice.number or '(draft)'}", HEAD, rows, before=before)


async def _found(session: Any, invoice_id: uuid.UUID) -> tuple[Invoice | None, str]:
    invoice = await session.scalar(select(Invoice).where(Invoice.id == invoice_id))
    return invoice, await session.scalar(select(Profile.legal_name)) or "the supplier"


@job("invoices.send", input=InvoiceOf)
async def send_invoice(run: Run, given: InvoiceOf) -> dict[str, Any]:
    """Send an invoice as PDF to its customer."""
    async with run.transaction() as session:
        invoice, supplier = await _found(session, given.invoice_id)
    if invoice is None or invoice.customer_email is None or invoice.status == "void":
        return {"sent": False}
    content, name = invoice_pdf(invoice, supplier), f"{(invoice.number or 'invoice').replace('/', '-')}.pdf"
    await run.attach(name, "application/pdf", content)
    text = f"Please find attached invoice {invoice.number} of {invoice.currency} {invoice.total}, from {supplier}."
    await run.mail(
        to=invoice.customer_email, subject=f"Invoice {invoice.number}", text=text,
        attachments=[(name, "application/pdf", content)],
    )  # fmt: skip
    return {"sent": True, "number": invoice.number}


@operation("GET", "invoices/{id}/pdf", media_type="application/pdf")
async def pdf_of_invoice(request: web.Request) -> web.Response:
    """The invoice as PDF."""
    async with reading(request) as session:
        invoice, supplier = await _found(session, path_id(request, "invoice"))
    if invoice is None:
        raise not_found("invoice")
    disposition = f'inline; filename="{(invoice.number or "draft").replace("/", "-")}.pdf"'
    headers = {"Content-Type": "application/pdf", "Content-Disposition": disposition}
    return web.Response(body=invoice_pdf(invoice, supplier), headers=headers)
