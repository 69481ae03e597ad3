"""Words are kept with their tenant, so that a search reads the tenant's part of the index; further orders of lists.

Each table that is searched is written anew, and nobody else uses it meanwhile. A program of before this step goes on,
but its searches fail: the column that it asks for is gone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SEARCHED = {
    "accounts": ("name", "code"),
    "bank_transactions": ("description", "reference"),
    "bills": ("number", "bill_number"),
    "customers": ("name", "email"),
    "expenses": ("description", "number"),
    "invoices": ("number", "customer_name", "customer_email"),
    "items": ("name", "sku", "description"),
    "journal_entries": ("number", "description"),
    "payments": ("number", "reference", "notes"),
    "vendors": ("name", "email"),
}
TOO_LONG = "'''[^'' ]{250}[^'' ]{200,}''[^ ]*'"
QUOTE = "'(^| )'''"

ORDERS = {
    "updated_at desc": (
        "accounts", "bank_accounts", "bank_transactions", "bills", "credit_notes", "customers", "expenses",
        "gst_returns", "invoices", "items", "jobs", "journal_entries", "payments", "purchase_orders",
        "recurring_invoices", "tax_rates", "vendors",
    ),
    "run_at": ("jobs",),
}

# `search_lexemes` is computed by PostgreSQL, of what stays, and only after this has run.
ENTRY_STAYS = """
create or replace function journal_entry_stays() returns trigger language plpgsql as $$
begin
    if old.status <> 'posted' then
        if tg_op = 'DELETE' then return old; end if;
        return new;
    end if;
    if tg_op = 'UPDATE' and old.reversed_by_id is null and
        to_jsonb(new) - '{reversed_by_id,updated_at,updated_by,version,search_lexemes}'::text[]
        = to_jsonb(old) - '{reversed_by_id,updated_at,updated_by,version,search_lexemes}'::text[] then
        return new;
    end if;
    raise exception 'entry % is posted: it never changes', old.id using errcode = '23514';
end $$
"""


def of_tenant(columns: tuple[str, ...]) -> str:
    """As `search_expression` of kit/search.py was when this step was written."""
    joined = " || ' ' || ".join(f"coalesce({name}, '')" for name in columns)
    words = f"to_tsvector('simple'::regconfig, translate({joined}, '@._-+/:', '       '))"
    short = f"regexp_replace({words}::text, {TOO_LONG}, '', 'g')"
    return f"regexp_replace({short}, {QUOTE}, '\\1''' || tenant_id || ':', 'g')::tsvector"


def upgrade() -> None:
    """Makes the step."""
    for table, columns in SEARCHED.items():
        # In one command, which writes the table anew once.
        op.execute(
            f"alter table {table} drop column search_words,"
            f" add column search_lexemes tsvector generated always as ({of_tenant(columns)}) stored"
        )
        op.create_index(f"{table}_search", table, ["search_lexemes"], postgresql_using="gin")
        op.execute(f"analyze {table}")  # of a table that was written anew, autovacuum does not see that it should
    for order, tables in ORDERS.items():
        for table in tables:
            columns = ["tenant_id", sa.literal_column(order), "id"]
            live = sa.text("deleted_at is null")
            op.create_index(f"{table}_by_{order.split()[0]}", table, columns, postgresql_where=live)
    op.execute(ENTRY_STAYS)
