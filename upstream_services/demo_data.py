"""The data of the demo: the same rows for each fresh database, made from a fixed seed and written by COPY."""

import asyncio
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import URL, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from upstream_services.crm.models import Contact, Deal
from upstream_services.finance.inputs import compute
from upstream_services.finance.models import Invoice, InvoiceLine, Profile
from upstream_services.finance.sample_books import Books
from upstream_services.hr.models import Department, Employee
from upstream_services.kit.app import Service
from upstream_services.kit.database import database_url, make_engine
from upstream_services.kit.migrations import migrate
from upstream_services.marketing.models import Campaign

SEED = 20250401
EPOCH = datetime(2025, 4, 1, 9, 0, tzinfo=UTC)  # the first record; the last is about a year younger
YEAR = timedelta(days=360)
SHARES = (1, 2, 3)  # of the tenants, in their order: a small, a middle and a large business

CONTACTS, DEALS, INVOICES, EMPLOYEES, CAMPAIGNS = 3000, 2000, 1500, 600, 90

FIRST = ("Aarav", "Aditi", "Anil", "Asha", "Deepa", "Farah", "Gopal", "Harsh", "Isha", "Jaya", "Kabir", "Lakshmi")
LAST = ("Bose", "Desai", "Fernandes", "Gupta", "Iyer", "Khan", "Mehta", "Nair", "Patel", "Rao", "Sharma", "Singh")
COMPANIES = ("Banyan Foods", "Coral Textiles", "Deccan Tools", "Ganga Logistics", "Monsoon Media", "Nilgiri Tea", None)
WORK = (("Annual support", "998313"), ("Installation", "998732"), ("Training", "999293"), ("Steel racks", "9403"))
DEPARTMENTS = {"ENG": "Engineering", "FIN": "Finance", "OPS": "Operations", "PPL": "People", "SAL": "Sales"}
HOME_STATES = ("29", "27", "33")
STATES = ("27", "29", "33", "36")

# Of each service, the table that tells whether its database has data.
PROBES: dict[str, Any] = {"crm": Contact, "finance": Invoice, "hr": Employee, "marketing": Campaign}

Rows = Iterator[Any]


class Maker:
    """Makes the rows of one tenant. The order of its draws is part of the data: change it and all rows change."""

    def __init__(self, tenant: str, number: int, share: float) -> None:
        self.tenant, self.number, self.share = tenant, number, share
        self.draw = random.Random(f"{SEED}-{tenant}")

    def common(self) -> dict[str, Any]:
        """The columns of every row."""
        created = EPOCH + timedelta(microseconds=self.draw.randrange(YEAR // timedelta(microseconds=1)))
        row_id = uuid.UUID(int=self.draw.getrandbits(128), version=4)
        return {"tenant_id": self.tenant, "id": row_id, "created_at": created, "updated_at": created, "version": 1}

    def count(self, total: int) -> range:
        """This tenant's part of a total."""
        return range(round(total * self.share))

    def money(self, low: int, high: int) -> Decimal:
        """An amount in rupees with two places."""
        return Decimal(self.draw.randrange(low * 100, high * 100)).scaleb(-2)

    def person(self, number: int) -> dict[str, Any]:
        """A name and an address of which there is one in the tenant."""
        first, last = self.draw.choice(FIRST), self.draw.choice(LAST)
        return {"name": f"{first} {last}", "email": f"{first}.{last}.{number}@{self.tenant}.example".lower()}

    def crm(self) -> Rows:
        """Contacts, then their deals."""
        contacts = []
        for number in self.count(CONTACTS):
            phone = f"+91 {self.draw.randrange(6 * 10**9, 10**10)}"
            status, company = self.draw.choice(("lead", "active", "active", "inactive")), self.draw.choice(COMPANIES)
            contacts.append(
                Contact(**self.common(), **self.person(number), phone=phone, status=status, company=company, tag_ids=[])
            )
        yield from contacts
        for _ in self.count(DEALS):
            yield Deal(
                **self.common(),
                contact_id=self.draw.choice(contacts).id,
                title=f"{self.draw.choice(WORK)[0]} {self.draw.randrange(1000, 9999)}",
                stage=self.draw.choice(("new", "qualified", "proposal", "negotiation", "won", "lost")),
                value=self.money(5_000, 900_000),
                currency="INR",
                expected_close=date(2026, 4, 1) + timedelta(days=self.draw.randrange(180)),
            )

    def finance(self) -> Rows:
        """The profile, invoices, the lines of each, and the books of them."""
        home = HOME_STATES[self.number % len(HOME_STATES)]
        yield Profile(tenant_id=self.tenant, legal_name=f"{self.tenant.title()} Private Limited", home_state=home)
        invoices = []
        for number in self.count(INVOICES):
            common, customer = self.common(), self.person(number)
            issued = common["created_at"]
            status = self.draw.choice(("draft", "sent", "sent", "paid", "paid"))
            invoice = Invoice(
                **common,
                customer_name=customer["name"],
                customer_email=customer["email"],
                status=status,
                issue_date=issued.date(),
                due_date=issued.date() + timedelta(days=30),
                currency="INR",
                home_state=home,
                place_of_supply=self.draw.choice((home, *STATES)),
                sent_at=issued + timedelta(hours=2) if status != "draft" else None,
                paid_at=issued + timedelta(days=12) if status == "paid" else None,
                lines=[self.line(common["id"], position) for position in range(self.draw.randint(1, 4))],
            )
            compute(invoice)
            invoices.append(invoice)
            yield invoice
            yield from invoice.lines
        yield from Books(self.tenant).rows_of(invoices)

    def line(self, invoice_id: uuid.UUID, position: int) -> InvoiceLine:
        """A line without its amounts."""
        description, hsn = self.draw.choice(WORK)
        return InvoiceLine(
            tenant_id=self.tenant,
            invoice_id=invoice_id,
            position=position,
            description=description,
            hsn=hsn,
            quantity=Decimal(self.draw.randint(1, 20)).quantize(Decimal("0.001")),
            unit_price=self.money(200, 40_000),
            gst_rate=self.draw.choice((0, 5, 12, 18, 18, 28)),
        )

    def hr(self) -> Rows:
        """Departments, then their employees."""
        departments = [Department(**self.common(), name=name, code=code) for code, name in DEPARTMENTS.items()]
        yield from departments
        for number in self.count(EMPLOYEES):
            employee = Employee(
                **self.common(),
                **self.person(number),
                department_id=self.draw.choice(departments).id,
                designation=self.draw.choice(("Associate", "Lead", "Manager", None)),
                status=self.draw.choice(("active",) * 8 + ("on_leave", "left")),
                joined_on=date(2018, 1, 1) + timedelta(days=self.draw.randrange(2600)),
                salary=self.money(25_000, 250_000),
            )
            if employee.status == "left":
                employee.left_on = employee.joined_on + timedelta(days=self.draw.randrange(30, 600))
            yield employee

    def marketing(self) -> Rows:
        """Campaigns that are drafts or have run, so that none of them is out of date whenever the demo is started."""
        for number in self.count(CAMPAIGNS):
            yield Campaign(
                **self.common(),
                name=f"{self.draw.choice(('Diwali', 'Monsoon', 'Summer', 'New year'))} offer {number + 1}",
                channel=self.draw.choice(("email", "sms", "whatsapp")),
                status=self.draw.choice(("draft", "done")),
                budget=self.money(1_000, 200_000),
                launches=0,
            )


def make_rows(tenants: Sequence[str]) -> dict[str, list[Any]]:
    """The rows of each service, in an order that its foreign keys allow."""
    makers = [
        Maker(tenant, number, share / sum(SHARES))
        for number, (tenant, share) in enumerate(zip(tenants, SHARES, strict=True))
    ]
    return {service: [row for maker in makers for row in getattr(maker, service)()] for service in PROBES}


async def seed(services: Sequence[Service], urls: Mapping[str, str], rows: Mapping[str, list[Any]]) -> None:
    """Migrates the database of each service, and fills those that have no data."""
    for one in services:
        await migrate(database_url(urls[one.name]), one.migrations, one.metadata)
    await asyncio.gather(*(_seed_one(one, database_url(urls[one.name]), rows[one.name]) for one in services))


async def _seed_one(service: Service, url: URL, rows: list[Any]) -> None:
    engine = make_engine(url)
    try:
        async with engine.begin() as connection:
            if not await connection.scalar(select(PROBES[service.name].id).limit(1)):
                await _copy(connection, rows)
    finally:
        await engine.dispose()


async def _copy(connection: AsyncConnection, rows: list[Any]) -> None:
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("no asyncpg connection under SQLAlchemy's")
    by_table: dict[Any, list[Any]] = {}
    for row in rows:
        by_table.setdefault(type(row), []).append(row)
    for table, found in by_table.items():
        columns = list(inspect(table).column_attrs.keys())
        records = [tuple(getattr(row, name) for name in columns) for row in found]
        await driver.copy_records_to_table(table.__tablename__, records=records, columns=columns)
