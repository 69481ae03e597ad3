"""Hazard: a file that is made of a tenant's text runs as a program, or cannot be opened."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from upstream_services.kit import documents
from upstream_services.kit.mail import Mailer

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(TEXT)
def test_no_text_of_a_csv_file_starts_a_formula(text: str) -> None:
    shown = documents.cell(text)
    assert shown in (text, f"'{text}")
    if shown.startswith(documents.FORMULA):
        assert shown[0] in "+-" and set(shown[1:]) <= set("0123456789 -.()"), shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-2+3+cmd|x", "'-2+3+cmd|x"), ("\t=1", "'\t=1"),
        ("+91 98765-43210", "+91 98765-43210"), ("-12.50", "-12.50"), (Decimal("-1.50"), "-1.50"), (None, ""),
        (True, "true"), (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"), (["a"], '["a"]'),
    ],
)  # fmt: skip
def test_known_cells(value: object, shown: str) -> None:
    assert documents.cell(value) == shown


@given(st.lists(st.tuples(TEXT, st.integers(-(2**31), 2**31)), max_size=5))
def test_a_workbook_has_what_was_put_in(rows: list[tuple[str, int]]) -> None:
    sheet = load_workbook(io.BytesIO(documents.xlsx(("text", "number"), rows))).active
    found = [tuple(cell.value for cell in row) for row in sheet.rows]
    assert found[0] == ("text", "number")
    assert [row[1] for row in found[1:]] == [row[1] for row in rows]
    assert all(row[0].data_type != "f" for row in sheet.rows)  # no formula


@given(TEXT)
def test_a_csv_file_reads_back(text: str) -> None:
    rows = list(csv.reader(io.StringIO(documents.csv(("a", "b"), [(text, 1)]).decode(), newline="")))
    assert rows[0] == ["a", "b"]
    if "\r" not in text and "\n" not in text:
        assert rows[1] == [documents.cell(text), "1"]


def test_a_document_takes_letters_that_its_font_lacks() -> None:
    made = documents.pdf("Ledger ₹", ("name", "sum"), [("আশা", Decimal("1.00")), (None, "x" * 500)], before=["One line"])
    assert made.startswith(b"%PDF-")
    assert made.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize("url", ["", "http://h", "smtp://", "h:25"])
def test_what_is_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a mail server"):
        Mailer(url, "a@b.example")
    assert "secret" not in repr(Mailer("smtp://u:secret@h:1", "a@b.example"))
