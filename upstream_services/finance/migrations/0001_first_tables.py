"""First tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the step."""
    op.create_table('accounts',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('type', sa.String(length=30), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('role', sa.String(length=30), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(code, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('accounts_by_name', 'accounts', ['tenant_id', 'name', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('accounts_by_type', 'accounts', ['tenant_id', 'type', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('accounts_list', 'accounts', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('accounts_search', 'accounts', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('accounts_unique_code', 'accounts', ['tenant_id', 'code'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('accounts_unique_role', 'accounts', ['tenant_id', 'role'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('counters',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('series', sa.String(length=10), nullable=False),
    sa.Column('year', sa.Integer(), nullable=False),
    sa.Column('value', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'series', 'year')
    )
    op.create_table('customers',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('gstin', sa.String(length=15), nullable=True),
    sa.Column('state', sa.String(length=2), nullable=True),
    sa.Column('billing_address', sa.Text(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('payment_terms', sa.Integer(), nullable=False),
    sa.Column('contact_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(email, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('customers_by_email', 'customers', ['tenant_id', 'email', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('customers_by_name', 'customers', ['tenant_id', 'name', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('customers_list', 'customers', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('customers_search', 'customers', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('gst_returns',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('type', sa.String(length=30), nullable=False),
    sa.Column('period', sa.String(length=7), nullable=False),
    sa.Column('notes', sa.String(length=200), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('figures', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('arn', sa.String(length=30), nullable=True),
    sa.Column('entry_id', sa.Uuid(), nullable=True),
    sa.Column('computed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('filed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('gst_returns_by_period', 'gst_returns', ['tenant_id', 'period', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('gst_returns_list', 'gst_returns', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('gst_returns_unique_type_period', 'gst_returns', ['tenant_id', 'type', 'period'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('jobs',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('state', sa.String(length=30), nullable=False),
    sa.Column('done', sa.Integer(), nullable=False),
    sa.Column('total', sa.Integer(), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('run_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('result', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('has_file', sa.Boolean(), nullable=False),
    sa.Column('input', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('key', sa.String(length=200), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('request_id', sa.String(length=200), nullable=True),
    sa.Column('traceparent', sa.String(length=200), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    info={'of_workers': True}
    )
    op.create_index('jobs_due', 'jobs', ['run_at'], unique=False, postgresql_where=sa.text("state in ('waiting', 'running')"))
    op.create_index('jobs_list', 'jobs', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('jobs_unique_key', 'jobs', ['tenant_id', 'name', 'key'], unique=True, postgresql_where=sa.text('key is not null'))
    op.create_table('journal_entries',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('number', sa.String(length=20), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('source_type', sa.String(length=30), nullable=True),
    sa.Column('source_id', sa.Uuid(), nullable=True),
    sa.Column('reverses_id', sa.Uuid(), nullable=True),
    sa.Column('reversed_by_id', sa.Uuid(), nullable=True),
    sa.Column('posted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(number, '') || ' ' || coalesce(description, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.CheckConstraint("status <> 'posted' or (number is not null and deleted_at is null)", name='journal_entries_numbered'),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('journal_entries_by_date', 'journal_entries', ['tenant_id', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('journal_entries_by_source_id', 'journal_entries', ['tenant_id', 'source_id', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('journal_entries_by_status_date', 'journal_entries', ['tenant_id', 'status', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('journal_entries_list', 'journal_entries', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('journal_entries_search', 'journal_entries', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('journal_entries_unique_number', 'journal_entries', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('profiles',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('legal_name', sa.String(length=200), nullable=False),
    sa.Column('home_state', sa.String(length=2), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id')
    )
    op.create_table('tax_rates',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('rate', sa.Integer(), nullable=False),
    sa.Column('hsn', sa.String(length=8), nullable=True),
    sa.Column('valid_from', sa.Date(), nullable=True),
    sa.Column('valid_until', sa.Date(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('tax_rates_by_rate', 'tax_rates', ['tenant_id', 'rate', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('tax_rates_list', 'tax_rates', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('tax_rates_unique_name', 'tax_rates', ['tenant_id', 'name'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('vendors',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('gstin', sa.String(length=15), nullable=True),
    sa.Column('state', sa.String(length=2), nullable=True),
    sa.Column('address', sa.Text(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('payment_terms', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(email, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('vendors_by_name', 'vendors', ['tenant_id', 'name', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('vendors_list', 'vendors', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('vendors_search', 'vendors', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('bank_accounts',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('bank', sa.String(length=200), nullable=True),
    sa.Column('account_number', sa.String(length=34), nullable=True),
    sa.Column('ifsc', sa.String(length=11), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=True),
    sa.Column('reconciled_until', sa.Date(), nullable=True),
    sa.Column('reconciled_balance', sa.Numeric(precision=22, scale=2), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'account_id'], ['accounts.tenant_id', 'accounts.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('bank_accounts_by_name', 'bank_accounts', ['tenant_id', 'name', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_accounts_list', 'bank_accounts', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_accounts_of_account', 'bank_accounts', ['tenant_id', 'account_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_accounts_unique_account_id', 'bank_accounts', ['tenant_id', 'account_id'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('bills',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('vendor_id', sa.Uuid(), nullable=False),
    sa.Column('bill_number', sa.String(length=200), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=True),
    sa.Column('purchase_order_id', sa.Uuid(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('issue_date', sa.Date(), nullable=False),
    sa.Column('due_date', sa.Date(), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('entry_id', sa.Uuid(), nullable=True),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('idempotency_key', sa.String(length=255), nullable=True),
    sa.Column('idempotency_hash', sa.LargeBinary(), nullable=True),
    sa.Column('number', sa.String(length=20), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('home_state', sa.String(length=2), nullable=False),
    sa.Column('place_of_supply', sa.String(length=2), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('amount_paid', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('amount_credited', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('balance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(number, '') || ' ' || coalesce(bill_number, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.CheckConstraint("status = 'draft' or number is not null", name='bills_numbered'),
    sa.CheckConstraint('balance >= 0 and amount_paid >= 0 and balance = total - amount_paid - amount_credited', name='bills_balance'),
    sa.ForeignKeyConstraint(['tenant_id', 'account_id'], ['accounts.tenant_id', 'accounts.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'vendor_id'], ['vendors.tenant_id', 'vendors.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    sa.UniqueConstraint('tenant_id', 'idempotency_key', name='bills_unique_idempotency_key')
    )
    op.create_index('bills_by_due_date', 'bills', ['tenant_id', 'due_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bills_by_status_due_date', 'bills', ['tenant_id', 'status', 'due_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bills_list', 'bills', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bills_of_account', 'bills', ['tenant_id', 'account_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bills_of_vendor', 'bills', ['tenant_id', 'vendor_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bills_search', 'bills', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('bills_unique_number', 'bills', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bills_unique_vendor_id_bill_number', 'bills', ['tenant_id', 'vendor_id', 'bill_number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('invoices',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('customer_id', sa.Uuid(), nullable=True),
    sa.Column('customer_name', sa.String(length=200), nullable=False),
    sa.Column('customer_email', sa.String(length=254), nullable=True),
    sa.Column('customer_gstin', sa.String(length=15), nullable=True),
    sa.Column('deal_id', sa.Uuid(), nullable=True),
    sa.Column('recurring_invoice_id', sa.Uuid(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('issue_date', sa.Date(), nullable=False),
    sa.Column('due_date', sa.Date(), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('entry_id', sa.Uuid(), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('voided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('idempotency_key', sa.String(length=255), nullable=True),
    sa.Column('idempotency_hash', sa.LargeBinary(), nullable=True),
    sa.Column('number', sa.String(length=20), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('home_state', sa.String(length=2), nullable=False),
    sa.Column('place_of_supply', sa.String(length=2), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('amount_paid', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('amount_credited', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('balance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(number, '') || ' ' || coalesce(customer_name, '') || ' ' || coalesce(customer_email, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.CheckConstraint("status = 'draft' or number is not null", name='invoices_numbered'),
    sa.CheckConstraint('balance >= 0 and amount_paid >= 0 and balance = total - amount_paid - amount_credited', name='invoices_balance'),
    sa.ForeignKeyConstraint(['tenant_id', 'customer_id'], ['customers.tenant_id', 'customers.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    sa.UniqueConstraint('tenant_id', 'idempotency_key', name='invoices_unique_idempotency_key')
    )
    op.create_index('invoices_by_customer_email_created_at', 'invoices', ['tenant_id', 'customer_email', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('invoices_by_deal_id_created_at', 'invoices', ['tenant_id', 'deal_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('invoices_by_due_date', 'invoices', ['tenant_id', 'due_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('invoices_by_issue_date', 'invoices', ['tenant_id', 'issue_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('invoices_by_status_due_date', 'invoices', ['tenant_id', 'status', 'due_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('invoices_list', 'invoices', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('invoices_of_customer', 'invoices', ['tenant_id', 'customer_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('invoices_search', 'invoices', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('invoices_unique_number', 'invoices', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('items',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('sku', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=30), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('hsn', sa.String(length=8), nullable=True),
    sa.Column('unit', sa.String(length=10), nullable=False),
    sa.Column('price', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('tax_rate_id', sa.Uuid(), nullable=True),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(sku, '') || ' ' || coalesce(description, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'tax_rate_id'], ['tax_rates.tenant_id', 'tax_rates.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('items_by_name', 'items', ['tenant_id', 'name', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('items_list', 'items', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('items_of_tax_rate', 'items', ['tenant_id', 'tax_rate_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('items_search', 'items', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('items_unique_sku', 'items', ['tenant_id', 'sku'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('job_files',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('media_type', sa.String(length=200), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'job_id'], ['jobs.tenant_id', 'jobs.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'job_id', 'kind')
    )
    op.create_table('job_steps',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('step', sa.String(length=200), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'job_id'], ['jobs.tenant_id', 'jobs.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'job_id', 'step')
    )
    op.create_table('journal_lines',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=False),
    sa.Column('debit', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('credit', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('description', sa.String(length=500), nullable=True),
    sa.CheckConstraint('debit >= 0 and credit >= 0 and (debit = 0) <> (credit = 0)', name='journal_lines_one_side'),
    sa.ForeignKeyConstraint(['tenant_id', 'account_id'], ['accounts.tenant_id', 'accounts.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'entry_id'], ['journal_entries.tenant_id', 'journal_entries.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'entry_id', 'position')
    )
    op.create_index('journal_lines_of_account', 'journal_lines', ['tenant_id', 'account_id', 'entry_id'], unique=False, postgresql_include=['debit', 'credit'])
