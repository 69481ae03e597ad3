"""A million contacts of two hundred tenants, as a business has them: a few tenants are large, most are small."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import asyncpg

from upstream_services.kit.pagination import Key, encode_cursor

TENANTS = 200
SKEW = 0.8
"""Of Zipf's law: of 1,000,000 contacts the largest tenant has 98,000 and the smallest 1,400."""
DEPTH = 0.9
FIRST_NAMES = (
    "Aarav", "Aditi", "Amit", "Ananya", "Anil", "Anjali", "Arjun", "Asha", "Deepak", "Divya", "Farhan", "Gauri",
    "Imran", "Ishaan", "Jaya", "Karan", "Kavita", "Lakshmi", "Manish", "Meera", "Mohan", "Nandini", "Neha", "Nikhil",
    "Pooja", "Priya", "Rahul", "Ravi", "Rohan", "Sana", "Sanjay", "Shreya", "Sunita", "Tara", "Uma", "Varun", "Vikram",
    "Vinod", "Yash", "Zoya",
)  # fmt: skip
LAST_NAMES = (
    "Agarwal", "Ali", "Banerjee", "Bhat", "Chopra", "Das", "Desai", "Dutta", "Fernandes", "Ghosh", "Gupta", "Iyer",
    "Jain", "Joshi", "Kapoor", "Khan", "Kulkarni", "Kumar", "Malhotra", "Mehta", "Menon", "Mishra", "Nair", "Naidu",
    "Patel", "Pillai", "Rao", "Reddy", "Saxena", "Shah", "Sharma", "Shetty", "Singh", "Sinha", "Thomas", "Varma",
)  # fmt: skip
COMPANIES = 500
OWNERS = 25

# Sorted last: next to a sort by one `random()` PostgreSQL takes every other `random()` for the same.
# A row's place in time has nothing to do with its tenant, so a tenant's rows lie all over the table, as they would.
_FILL = f"""
with weights as (
    select t, t ^ -{SKEW} as weight from generate_series(1, {TENANTS}) t
), sizes as (
    select t, greatest(1, round($1 * weight / sum(weight) over ()))::int as size from weights
), drawn as (
    select 't' || t as tenant, n, random() as age,
        $2::text[] as firsts, $3::text[] as lasts,
        1 + floor(random() * {len(FIRST_NAMES)})::int as first, 1 + floor(random() * {len(LAST_NAMES)})::int as last,
        1 + floor(random() * {COMPANIES})::int as company, random() as draw
    from sizes, generate_series(1, size) n
)
insert into contacts (
    tenant_id, id, name, email, phone, status, company, owner_id, tag_ids, created_at, updated_at, version
) select tenant, gen_random_uuid(), firsts[first] || ' ' || lasts[last],
    lower(firsts[first] || '.' || lasts[last]) || n || '@company' || company || '.example',
    '+91 98' || lpad((draw * 99999999)::int::text, 8, '0'),
    case when draw < 0.5 then 'active' when draw < 0.8 then 'lead' else 'inactive' end,
    'Company ' || company, 'owner-' || (n % {OWNERS}), '{{}}',
    now() - age * interval '3 years', now() - age * draw * interval '3 years', 1 from drawn order by age desc
"""
# Of each tenant the row at the depth, in the order of each list.
_DEEP = f"""
select tenant_id, created_at, id from (
    select tenant_id, created_at, id, row_number() over (partition by tenant_id order by created_at desc, id) as place,
        count(*) over (partition by tenant_id) as size from contacts
) as placed where place = greatest(1, floor(size * {DEPTH}))
"""
_INDEXES = """
select indexname, indexdef from pg_indexes where tablename = 'contacts' and indexname <> 'contacts_pkey'
"""
_SAMPLE = "select tenant_id, id, name, email, owner_id from contacts order by random() limit 2000"


@dataclass(frozen=True, slots=True)
class Person:
    """A contact that is asked for: by where it is, or by what it is called."""

    tenant: str
    id: str
    name: str
    email: str
    owner: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the load knows of the data. people: each contact as likely as any, so a large tenant comes up more often.
    deep: tenant -> the cursor after nine tenths of its contacts, newest first.
    """

    people: Sequence[Person]
    deep: dict[str, str]

    def pick(self, rng: Random) -> Person:
        """One of the people."""
        return self.people[rng.randrange(len(self.people))]


async def fill(url: str, rows: int) -> int:
    """Fills the table of contacts if it is empty, and leaves it as autovacuum would; how many there are then."""
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval("select exists (select from contacts)"):
            # Made anew afterwards, as the migrations made them: row by row they would take most of the time.
            indexes = [tuple(row) for row in await connection.fetch(_INDEXES)]
            for name, _ in indexes:
                await connection.execute(f'drop index "{name}"')
            await connection.execute(_FILL, float(rows), list(FIRST_NAMES), list(LAST_NAMES), timeout=1800)
            await connection.execute("set maintenance_work_mem = '512MB'")
            for _, definition in indexes:
                await connection.execute(definition, timeout=600)
        # Also of what is there: a migration may have written the table anew. Where nothing has changed, 2 s.
        await connection.execute("vacuum (analyze) contacts", timeout=600)
        return int(await connection.fetchval("select count(*) from contacts", timeout=60))
    finally:
        await connection.close()


async def know(url: str) -> Known:
    """Reads what the load has to know."""
    connection = await asyncpg.connect(url)
    try:
        people = [Person(*map(str, row)) for row in await connection.fetch(_SAMPLE, timeout=120)]
        rows = await connection.fetch(_DEEP, timeout=120)
    finally:
        await connection.close()
    return Known(people, {tenant: encode_cursor(Key("-created_at", at, row_id)) for tenant, at, row_id in rows})
