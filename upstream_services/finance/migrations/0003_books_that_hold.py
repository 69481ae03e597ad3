"""What the books promise is held by the database: entries balance, and what was posted never changes."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# At the end of the transaction, because an entry comes before its lines. `total` is of the entry as it was posted, so
# that lines that are added later, and balance among themselves, are refused as well.
BALANCE = """
create function journal_balances() returns trigger language plpgsql as $$
declare
    tenant text := new.tenant_id;
    entry uuid;
    posted boolean;
    promised numeric;
    debits numeric;
    credits numeric;
begin
    if tg_table_name = 'journal_entries' then entry := new.id; else entry := new.entry_id; end if;
    select e.status = 'posted', e.total into posted, promised
        from journal_entries e where e.tenant_id = tenant and e.id = entry;
    if posted then
        select coalesce(sum(l.debit), 0), coalesce(sum(l.credit), 0) into debits, credits
            from journal_lines l where l.tenant_id = tenant and l.entry_id = entry;
        if debits <> credits or debits <> promised or debits = 0 then
            raise exception 'entry % does not balance: % and %', entry, debits, credits using errcode = '23514';
        end if;
    end if;
    return null;
end $$
"""

# `search_words` is computed by PostgreSQL, of what stays, and only after this has run.
ENTRY_STAYS = """
create function journal_entry_stays() returns trigger language plpgsql as $$
begin
    if old.status <> 'posted' then
        if tg_op = 'DELETE' then return old; end if;
        return new;
    end if;
    if tg_op = 'UPDATE' and old.reversed_by_id is null and
        to_jsonb(new) - '{reversed_by_id,updated_at,updated_by,version,search_words}'::text[]
        = to_jsonb(old) - '{reversed_by_id,updated_at,updated_by,version,search_words}'::text[] then
        return new;
    end if;
    raise exception 'entry % is posted: it never changes', old.id using errcode = '23514';
end $$
"""

LINE_STAYS = """
create function journal_line_stays() returns trigger language plpgsql as $$
begin
    if exists (select from journal_entries e
               where e.tenant_id = old.tenant_id and e.id = old.entry_id and e.status = 'posted') then
        raise exception 'entry % is posted: its lines never change', old.entry_id using errcode = '23514';
    end if;
    if tg_op = 'DELETE' then return old; end if;
    return new;
end $$
"""

# An account is kept when it is deleted, so no foreign key sees that.
ACCOUNT_STAYS = """
create function account_stays() returns trigger language plpgsql as $$
begin
    if exists (select from journal_lines l where l.tenant_id = old.tenant_id and l.account_id = old.id) then
        raise exception 'there are entries of account %', old.id using errcode = '23503';
    end if;
    return new;
end $$
"""

TRIGGERS = (
    """create constraint trigger entry_balances after insert or update on journal_entries
    deferrable initially deferred for each row execute function journal_balances()""",
    """create constraint trigger line_balances after insert on journal_lines
    deferrable initially deferred for each row execute function journal_balances()""",
    """create trigger entry_stays before update or delete on journal_entries
    for each row execute function journal_entry_stays()""",
    """create trigger line_stays before update or delete on journal_lines
    for each row execute function journal_line_stays()""",
    """create trigger account_stays before update of deleted_at on accounts
    for each row when (old.deleted_at is null and new.deleted_at is not null) execute function account_stays()""",
)


def upgrade() -> None:
    """Makes the step."""
    for statement in (BALANCE, ENTRY_STAYS, LINE_STAYS, ACCOUNT_STAYS, *TRIGGERS):
        op.execute(statement)
