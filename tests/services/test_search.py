"""Hazard: a search misses what it should find, finds what is another tenant's, or a long text cannot be kept."""

import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random

import asyncpg
import pytest

from upstream_services.crm.api import SERVICE as CRM
from upstream_services.kit import listing
from upstream_services.kit.app import Service
from upstream_services.kit.database import database_url
from upstream_services.kit.embedded_postgres import EmbeddedPostgres
from upstream_services.kit.errors import Problem
from upstream_services.kit.migrations import create_all, head_of, migrate
from upstream_services.kit.search import SEPARATORS, WORD_MAX, search_query

from .conftest import SERVICES, Client, MakeDatabase

# Names of tenants that begin with each other, or are words.
TENANTS = ("a", "ab", "a.b", "a-b", "asha", "T1", "t1", "t10")
WORDS = (
    "asha", "Asha", "ash", "ASHA", "rao", "ra", "José", "JOSÉ", "jose", "Ünal", "ünal", "straße", "STRASSE", "Ольга",
    "ольга", "王小明", "आशा", "O'Brien", "o’brien", "a", "ab", "t1", "t10", "rao12", "rao1", "12", "1e5", "1e5x", "3.5",
    "x_y", "x", "½", "a½b", "<b>", "&amp;", "back\\slash", "quote\"s", "it''s", "-", "co-op", "e.g.", "https://x.example/a?b=c",
    "asha.rao@x.example", "+91", "(91)", "No:7", "a:b", "!", "|", "&", "foo*", "naïve", "I", "İ", "ı",
)  # fmt: skip
# What was kept and asked for before words were kept with their tenant.
BEFORE = """
select id from contacts where tenant_id = $1 and deleted_at is null
    and to_tsvector('simple', translate(name || ' ' || coalesce(email, ''), $2, repeat(' ', length($2))))
        @@ to_tsquery('simple', $3)
"""


def texts(rng: Random) -> Iterator[str]:
    """Some words, of those that have something about them."""
    while True:
        yield " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 3)))


async def test_a_search_finds_what_words_alone_would_of_the_tenant_s_own(crm: Client, migrated: MakeDatabase) -> None:
    rng, run = Random(6), uuid.uuid4().hex[:6]
    names = texts(rng)
    for tenant in TENANTS:
        items = [{"name": next(names), "email": f"{rng.choice('abcx')}.rao{n}@x{n % 3}.example"} for n in range(60)]
        reply = await crm.post("/crm/contacts/bulk", json={"items": items}, headers={"X-Tenant-Id": f"{run}{tenant}"})
        assert reply.status == 201, await reply.text()
    connection = await asyncpg.connect(await migrated(CRM))
    found_some = 0
    for number, text in zip(range(400), texts(rng), strict=False):
        tenant = f"{run}{TENANTS[number % len(TENANTS)]}"
        reply = await crm.get("/crm/contacts", params={"q": text, "limit": "200"}, headers={"X-Tenant-Id": tenant})
        words = re.findall(r"[^\W_]+", text.translate(str.maketrans(SEPARATORS, " " * len(SEPARATORS))))
        if not words:
            assert reply.status == 422
            continue
        query = " & ".join(f"'{word}':*" for word in words)
        expected = {str(row["id"]) for row in await connection.fetch(BEFORE, tenant, SEPARATORS, query)}
        found = {row["id"] for row in (await reply.json())["items"]}
        assert found == expected, (tenant, text)
        found_some += bool(found)
    await connection.close()
    assert found_some > 150


async def test_a_word_is_found_by_its_beginning_and_all_words_must_be_there(crm: Client) -> None:
    for name in ("Asha Rao", "Asha Iyer", "Natasha Rao"):
        await crm.post("/crm/contacts", json={"name": name, "email": "someone@rivers.example"})

    async def named(text: str) -> list[str]:
        reply = await crm.get("/crm/contacts", params={"q": text, "sort": "name"})
        return [row["name"] for row in (await reply.json())["items"]]

    assert await named("ASH") == ["Asha Iyer", "Asha Rao"]
    assert await named("rao ash") == ["Asha Rao"]
    assert await named("someone@riv") == ["Asha Iyer", "Asha Rao", "Natasha Rao"]
    assert await named("ao") == []
    assert await named("½") == []  # PostgreSQL takes it for no word, so nothing has it


async def test_words_of_any_length_are_kept_and_found_up_to_a_bound(crm: Client) -> None:
    longest, too_long = "x" * WORD_MAX, "y" * (WORD_MAX + 1)
    # The longest tenant and characters of four bytes: more than that PostgreSQL would refuse.
    headers = {"X-Tenant-Id": "t" * 51 + uuid.uuid4().hex[:12]}
    widest = "𝒳" * WORD_MAX
    text = f"before {longest} between {too_long} {'z' * 3000} {widest} after"
    reply = await crm.post("/crm/tasks", json={"title": "Long", "description": text}, headers=headers)
    assert reply.status == 201, await reply.text()
    for found, q in ((1, longest), (1, "befor between aft"), (1, widest), (0, too_long[:-1]), (0, "zz")):
        reply = await crm.get("/crm/tasks", params={"q": q}, headers=headers)
        assert len((await reply.json())["items"]) == found, q[:20]


def test_a_word_that_is_too_long_to_be_found_is_said() -> None:
    search_query("t", "x" * WORD_MAX)
    for text in ("x" * (WORD_MAX + 1), "@-+", ""):
        with pytest.raises(Problem, match="q:"):
            search_query("t", text)


_EXPRESSIONS = """
select attrelid::regclass::text, pg_get_expr(adbin, adrelid) from pg_attrdef join pg_attribute
    on attrelid = adrelid and attnum = adnum where attname = 'search_lexemes'
"""


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_the_steps_keep_the_words_that_the_models_do(
    migrated: MakeDatabase, postgres: EmbeddedPostgres, service: Service
) -> None:
    """Alembic does not compare what columns are computed from."""
    made = await postgres.create_database(f"made_{service.name}_{uuid.uuid4().hex[:8]}")
    await create_all(database_url(made), service.metadata)
    told = []
    for url in (await migrated(service), made):
        connection = await asyncpg.connect(url)
        told.append(sorted(tuple(row) for row in await connection.fetch(_EXPRESSIONS)))
        await connection.close()
    assert told[0] == told[1]
    assert len(told[0]) == sum("search_lexemes" in table.c for table in service.metadata.tables.values()) > 0


async def test_a_database_of_before_is_brought_up_to_date(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    before = tmp_path / "migrations"
    shutil.copytree(CRM.migrations, before)
    (newest,) = before.glob(f"{head_of(before)}_*.py")
    newest.unlink()
    url = await postgres.create_database(f"crm_{uuid.uuid4().hex[:8]}")
    await migrate(database_url(url), before, CRM.metadata)
    connection = await asyncpg.connect(url)
    for statement in (
        "drop policy one_tenant on contacts",
        "create policy one_tenant on contacts using (tenant_id = current_setting('app.tenant', true))",
        """insert into contacts (tenant_id, id, name, status, tag_ids, created_at, updated_at, version)
            values ('t1', gen_random_uuid(), 'Asha Rao', 'lead', '{}', now(), now(), 1)""",
    ):
        await connection.execute(statement)

    await migrate(database_url(url), CRM.migrations, CRM.metadata)
    kept = await connection.fetchval("select search_lexemes::text from contacts")
    rule, checked = await connection.fetchrow(
        "select pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)"
        " from pg_policy where polrelid = 'contacts'::regclass and polname = 'one_tenant'"
    )
    await connection.close()
    assert kept == "'t1:asha':1 't1:rao':2"
    assert rule == checked
    assert rule.startswith("COALESCE(")


async def test_security_that_stands_is_not_laid_again(migrated: MakeDatabase) -> None:
    """It takes a lock of each table, which a migration that changes nothing must not."""
    url = await migrated(CRM, f"crm_{uuid.uuid4().hex[:8]}")
    connection = await asyncpg.connect(url)
    policies = "select array_agg(oid::text || xmin::text order by oid) from pg_policy"
    laid = await connection.fetchval(policies)
    await migrate(database_url(url), CRM.migrations, CRM.metadata)
    again = await connection.fetchval(policies)
    await connection.close()
    assert laid == again


async def test_common_words_are_found_as_rare_ones_are(
    crm: Client, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above a number of rows a search goes through the list in order: page by page it is the same."""
    for number in range(30):
        contact = {
            "name": f"Asha {number % 7}",
            "email": f"a{number}@x.example",
            "status": ("lead", "active")[number % 2],
        }
        await crm.post("/crm/contacts", json=contact)
        made = await (await crm.post("/crm/contacts", json={"name": "Yash"})).json()
        if number % 3 == 0:
            gone = await (await crm.post("/crm/contacts", json={"name": "Asha gone"})).json()
            await crm.delete(f"/crm/contacts/{gone['id']}")
    await crm.post("/crm/contacts", json={"name": "Asha of another"}, headers={"X-Tenant-Id": f"{tenant}x"})

    async def pages(**query: str) -> list[list[str]]:
        found, after = [], {}
        while True:
            reply = await crm.get("/crm/contacts", params={"q": "ash", "limit": "7", **query, **after})
            page = await reply.json()
            assert reply.status == 200, page
            found.append([row["name"] for row in page["items"]])
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    queries = ({}, {"sort": "name"}, {"sort": "-name"}, {"status": "active"}, {"deleted": "true"}, {"fields": "name"})
    few = [await pages(**query) for query in queries]
    assert [sum(map(len, found)) for found in few] == [30, 30, 30, 15, 10, 30]
    for bound in (0, 9, 29):
        monkeypatch.setattr(listing, "FEW", bound)
        assert [await pages(**query) for query in queries] == few, bound
    assert made["name"] == "Yash"
