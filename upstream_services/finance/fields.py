"""Types of Finance that are a column and an input rule in one."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import Integer, String
from sqlalchemy.orm import mapped_column

from upstream_services.kit.fields import code


def _is_state(text: str) -> str:
    if not (1 <= int(text) <= 38 or text in ("96", "97")):
        raise ValueError("is no GST state code")
    return text


def today() -> date:
    """The date of a document that names none, in UTC."""
    return datetime.now(UTC).date()


# The first two digits of a GSTIN: 27 is Maharashtra, 29 Karnataka, 96 another country, 97 other territory.
StateCode = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{2}$"), AfterValidator(_is_state), mapped_column(String(2))
]
# Of a business registered for GST: its state, PAN, entity number, Z, check digit.
Gstin = code(r"[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]", 15)
# The code of goods (Harmonised System) or of a service: 4 to 8 digits.
Hsn = code(r"[0-9]{4,8}", 8)
# In percent. 40 came on 22 September 2025, when 12 and 28 went for most; what was invoiced before keeps its rate.
Rate = Annotated[Literal[0, 3, 5, 12, 18, 28, 40], mapped_column(Integer)]
Terms = Annotated[int, Field(ge=0, le=365)]  # days
FinancialYear = Annotated[int, mapped_column(Integer)]  # the one that begins in April of it
Positive = Annotated[
    Decimal,
    Field(gt=0, le=1_000_000_000, decimal_places=2),
    AfterValidator(lambda value: value.quantize(Decimal("0.01"))),
]
