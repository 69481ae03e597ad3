"""Professional tax, a tax of the states that article 276 of the Constitution bounds by 2,500 rupees a year.

Here are states that take it by the month. Others take it by the half year (Tamil Nadu, Kerala) or year (Madhya
Pradesh), or not at all; for those a profile has no state, and nothing is taken.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from upstream_services.hr.statutes.tables import ZERO, Table, in_force

State = Literal["andhra_pradesh", "gujarat", "karnataka", "maharashtra", "telangana", "west_bengal"]
FEBRUARY = 2


@dataclass(frozen=True, kw_only=True)
class ProfessionalTaxTable(Table):
    """The tax of a month by slabs: (earned at least, tax), ascending; `in_february` where it is another there.

    `of_women` where a woman's slabs are others.
    """

    slabs: tuple[tuple[str, int], ...]
    in_february: int | None = None  # of the highest slab
    of_women: tuple[tuple[str, int], ...] | None = None


# "Exceeds 10,000" is "at least 10,000.01": pay is of whole paise.
PROFESSIONAL_TAX: dict[str, tuple[ProfessionalTaxTable, ...]] = {
    "andhra_pradesh": (
        ProfessionalTaxTable(
            since=date(2013, 2, 6), slabs=(("15000.01", 150), ("20000.01", 200)),
            source="Andhra Pradesh Tax on Professions Act 1987, schedule I, by G.O.Ms. 82 of 2013",
        ),
    ),
    "gujarat": (
        ProfessionalTaxTable(
            since=date(2022, 4, 1), slabs=(("12000.00", 200),),
            source="Gujarat State Tax on Professions Act 1976, schedule I, by the notification of 2022",
        ),
    ),
    "karnataka": (
        ProfessionalTaxTable(
            since=date(2015, 4, 1), slabs=(("15000.00", 200),),
            source="Karnataka Tax on Professions Act 1976, schedule, as of 2015",
        ),
        ProfessionalTaxTable(
            since=date(2023, 4, 1), slabs=(("25000.00", 200),),
            source="Karnataka Tax on Professions Act 1976, schedule, by the amendment of 2023",
        ),
        ProfessionalTaxTable(
            since=date(2025, 4, 1), slabs=(("25000.00", 200),), in_february=300,
            source="Karnataka Tax on Professions Act 1976, schedule, by the amendment of 2025",
        ),
    ),
    "maharashtra": (
        ProfessionalTaxTable(
            since=date(2015, 4, 1), slabs=(("7500.01", 175), ("10000.01", 200)), in_february=300,
            of_women=(("10000.01", 200),),
            source="Maharashtra State Tax on Professions Act 1975, schedule I, as of 2015",
        ),
        ProfessionalTaxTable(
            since=date(2023, 4, 1), slabs=(("7500.01", 175), ("10000.01", 200)), in_february=300,
            of_women=(("25000.01", 200),),
            source="Maharashtra State Tax on Professions Act 1975, schedule I, by the amendment of 2023",
        ),
    ),
    "telangana": (
        ProfessionalTaxTable(
            since=date(2014, 6, 2), slabs=(("15000.01", 150), ("20000.01", 200)),
            source="Telangana Tax on Professions Act 1987, schedule I, by G.O.Ms. 82 of 2013",
        ),
    ),
    "west_bengal": (
        ProfessionalTaxTable(
            since=date(2014, 4, 1),
            slabs=(("10000.01", 110), ("15000.01", 130), ("25000.01", 150), ("40000.01", 200)),
            source="West Bengal State Tax on Professions Act 1979, schedule, by the amendment of 2014",
        ),
    ),
}  # fmt: skip


def tax_of_month(state: str | None, earned: Decimal, day: date, *, is_woman: bool) -> Decimal:
    """The tax of the month that ends on `day`, in rupees. Raises LookupError where the state's tables begin later."""
    if state is None:
        return ZERO
    table = in_force(PROFESSIONAL_TAX[state], day)
    slabs = table.of_women if is_woman and table.of_women is not None else table.slabs
    due = max((tax for least, tax in slabs if earned >= Decimal(least)), default=0)
    if day.month == FEBRUARY and table.in_february is not None and due == slabs[-1][1]:
        due = table.in_february
    return Decimal(due).quantize(ZERO)
