"""Numbers without gaps, for each series a new row of them in each financial year, such as INV/25-26/000123.

A document gets its number when it becomes final, in the transaction that makes it so: the counter's row is locked until
that ends, so a number is given out once, and is taken back where the rest of it fails. GST wants at most 16 characters
of letters, digits, "-" and "/", consecutive, and unique in a financial year (CGST Rules 2017, rule 46(b)).
"""

from datetime import date

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.finance.models import Counter

YEAR_BEGINS = 4  # April


def financial_year(day: date) -> int:
    """The year in which the financial year of a day began."""
    return day.year if day.month >= YEAR_BEGINS else day.year - 1


def first_day(day: date) -> date:
    """The first day of the financial year of a day."""
    return date(financial_year(day), YEAR_BEGINS, 1)


def written(series: str, year: int, value: int) -> str:
    """A number as it is printed."""
    return f"{series}/{year % 100:02d}-{(year + 1) % 100:02d}/{value:06d}"


async def next_number(session: AsyncSession, series: str, day: date) -> str:
    """The next number of the tenant's series in the financial year of a day."""
    table, year = Counter.__table__, financial_year(day)
    values = {"tenant_id": session.info["tenant"], "series": series, "year": year, "value": 1}
    counted = insert(table).values(values)
    counted = counted.on_conflict_do_update(
        index_elements=["tenant_id", "series", "year"], set_={"value": table.c.value + 1}
    ).returning(table.c.value)
    value = (await (await session.connection()).execute(counted)).scalar_one()
    return written(series, year, value)
