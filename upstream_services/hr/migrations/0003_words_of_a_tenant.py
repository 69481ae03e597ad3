"""Words are kept with their tenant, so that a search reads the tenant's part of the index; further orders of lists.

Each table that is searched is written anew, and nobody else uses it meanwhile. A program of before this step goes on,
but its searches fail: the column that it asks for is gone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEARCHED = {
    "assets": ("name", "tag", "serial_number"),
    "candidates": ("name", "email"),
    "employees": ("name", "email", "designation"),
    "job_openings": ("title", "description"),
}
TOO_LONG = "'''[^'' ]{250}[^'' ]{200,}''[^ ]*'"
QUOTE = "'(^| )'''"

ORDERS = {
    "updated_at desc": (
        "assets", "attendance", "candidates", "departments", "designations", "employees", "goals", "holidays",
        "interviews", "job_openings", "jobs", "leave_balances", "leave_requests", "leave_types", "locations",
        "pay_profiles", "payroll_runs", "payslips", "reviews", "salary_structures", "shifts",
    ),
    "run_at": ("jobs",),
    "first_day": ("leave_requests",),
}


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
