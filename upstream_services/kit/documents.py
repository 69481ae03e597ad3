"""Files that are made of rows: CSV, XLSX and PDF.

The libraries of the latter two take 0.7 s to import, more than all else of a service, so who makes none does not wait.
"""

import csv as csv_module
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from upstream_services.kit.views import to_json

MEDIA_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}
# A spreadsheet would run what starts so; a phone number or a negative sum it would not.
FORMULA = ("=", "@", "\t", "\r", "+", "-")
PDF_CELL_MAX = 60
# What XML 1.0, and so XLSX, cannot hold.
_CONTROL = {code: None for code in (*range(32), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)}


def cell(value: Any) -> str:
    """A value in a CSV file; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    match value:
        case None:
            return ""
        case str():
            is_number = value[:1] in ("+", "-") and value[1:].translate(_BETWEEN_DIGITS).isdigit()
            return f"'{value}" if value.startswith(FORMULA) and not is_number else value
    return to_json(value).decode().strip('"')


_BETWEEN_DIGITS = {ord(letter): None for letter in " -.()"}


def csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """Rows of cells as CSV by RFC 4180, in UTF-8."""
    text = io.StringIO()
    csv_module.writer(text).writerows(rows)
    return text.getvalue().encode()


def csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file with a head."""
    return csv_lines([head, *([cell(value) for value in row] for row in rows)])


def xlsx(head: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "Sheet") -> bytes:
    """A workbook of one sheet, numbers and dates as such; text is never a formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    sheet.append(list(head))
    for row in rows:
        cells = []
        for value in row:
            made = WriteOnlyCell(sheet, value=_xlsx_value(value))
            if isinstance(made.value, str):
                made.data_type = "s"
            cells.append(made)
        sheet.append(cells)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def _xlsx_value(value: Any) -> Any:
    match value:
        case datetime():
            return value.replace(tzinfo=None)  # XLSX knows no time zones; ours are UTC
        case None | bool() | int() | float() | Decimal() | date():
            return value
        case str():
            return value.translate(_CONTROL)
    return to_json(value).decode().strip('"')


def pdf(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]], *, before: Sequence[str] = ()) -> bytes:
    """A document with a title, lines of text, and a table. The standard fonts know Latin-1; others become "?"."""
    from fpdf import FPDF

    page = FPDF(orientation="landscape" if len(head) > 6 else "portrait")
    page.add_page()
    page.set_font("Helvetica", style="B", size=16)
    page.cell(text=_latin(title), new_x="LMARGIN", new_y="NEXT")
    page.set_font("Helvetica", size=9)
    for line in before:
        page.multi_cell(0, text=_latin(line), new_x="LMARGIN", new_y="NEXT")
    with page.table() as table:
        for row in (head, *rows):
            line = table.row()
            for value in row:
                text = "" if value is None else value if isinstance(value, str) else to_json(value).decode().strip('"')
                line.cell(_latin(text[:PDF_CELL_MAX]))
    return bytes(page.output())


def _latin(text: str) -> str:
    return text.replace("₹", "Rs ").encode("latin-1", "replace").decode("latin-1")
