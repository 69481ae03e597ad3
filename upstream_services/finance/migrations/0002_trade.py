"""What is bought and sold."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the step."""
    op.create_table('purchase_orders',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('vendor_id', sa.Uuid(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('order_date', sa.Date(), nullable=False),
    sa.Column('expected_date', sa.Date(), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('bill_id', sa.Uuid(), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('number', sa.String(length=20), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('home_state', sa.String(length=2), nullable=False),
    sa.Column('place_of_supply', sa.String(length=2), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'vendor_id'], ['vendors.tenant_id', 'vendors.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('purchase_orders_by_status_order_date', 'purchase_orders', ['tenant_id', 'status', 'order_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('purchase_orders_list', 'purchase_orders', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('purchase_orders_of_vendor', 'purchase_orders', ['tenant_id', 'vendor_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('purchase_orders_unique_number', 'purchase_orders', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('recurring_invoices',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('customer_id', sa.Uuid(), nullable=True),
    sa.Column('customer_name', sa.String(length=200), nullable=False),
    sa.Column('customer_email', sa.String(length=254), nullable=True),
    sa.Column('unit', sa.String(length=30), nullable=False),
    sa.Column('every', sa.Integer(), nullable=False),
    sa.Column('start_date', sa.Date(), nullable=False),
    sa.Column('end_date', sa.Date(), nullable=True),
    sa.Column('payment_terms', sa.Integer(), nullable=False),
    sa.Column('is_sent', sa.Boolean(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('made', sa.Integer(), nullable=False),
    sa.Column('next_date', sa.Date(), nullable=True),
    sa.Column('number', sa.String(length=20), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('home_state', sa.String(length=2), nullable=False),
    sa.Column('place_of_supply', sa.String(length=2), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'customer_id'], ['customers.tenant_id', 'customers.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    info={'scheduled': True}
    )
    op.create_index('recurring_invoices_by_status_next_date', 'recurring_invoices', ['tenant_id', 'status', 'next_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('recurring_invoices_list', 'recurring_invoices', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('recurring_invoices_of_customer', 'recurring_invoices', ['tenant_id', 'customer_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('bill_lines',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('bill_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('item_id', sa.Uuid(), nullable=True),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('hsn', sa.String(length=8), nullable=True),
    sa.Column('quantity', sa.Numeric(precision=12, scale=3), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('gst_rate', sa.Integer(), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'bill_id'], ['bills.tenant_id', 'bills.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'bill_id', 'position')
    )
    op.create_table('credit_notes',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('invoice_id', sa.Uuid(), nullable=False),
    sa.Column('customer_name', sa.String(length=200), nullable=False),
    sa.Column('customer_gstin', sa.String(length=15), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('issue_date', sa.Date(), nullable=False),
    sa.Column('reason', sa.String(length=200), nullable=True),
    sa.Column('unapplied', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=True),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=True),
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
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("status = 'draft' or number is not null", name='credit_notes_numbered'),
    sa.CheckConstraint('unapplied >= 0 and unapplied <= total', name='credit_notes_rest'),
    sa.ForeignKeyConstraint(['tenant_id', 'invoice_id'], ['invoices.tenant_id', 'invoices.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    sa.UniqueConstraint('tenant_id', 'idempotency_key', name='credit_notes_unique_idempotency_key')
    )
    op.create_index('credit_notes_by_status_issue_date', 'credit_notes', ['tenant_id', 'status', 'issue_date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('credit_notes_list', 'credit_notes', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('credit_notes_of_invoice', 'credit_notes', ['tenant_id', 'invoice_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('credit_notes_unique_number', 'credit_notes', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('expenses',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('vendor_id', sa.Uuid(), nullable=True),
    sa.Column('account_id', sa.Uuid(), nullable=True),
    sa.Column('bank_account_id', sa.Uuid(), nullable=True),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('gst_rate', sa.Integer(), nullable=False),
    sa.Column('supplier_state', sa.String(length=2), nullable=True),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('number', sa.String(length=20), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=True),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('idempotency_key', sa.String(length=255), nullable=True),
    sa.Column('idempotency_hash', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(description, '') || ' ' || coalesce(number, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.CheckConstraint("status = 'draft' or number is not null", name='expenses_numbered'),
    sa.ForeignKeyConstraint(['tenant_id', 'account_id'], ['accounts.tenant_id', 'accounts.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'bank_account_id'], ['bank_accounts.tenant_id', 'bank_accounts.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'vendor_id'], ['vendors.tenant_id', 'vendors.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    sa.UniqueConstraint('tenant_id', 'idempotency_key', name='expenses_unique_idempotency_key')
    )
    op.create_index('expenses_by_date', 'expenses', ['tenant_id', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('expenses_by_status_date', 'expenses', ['tenant_id', 'status', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('expenses_list', 'expenses', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('expenses_of_account', 'expenses', ['tenant_id', 'account_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('expenses_of_bank_account', 'expenses', ['tenant_id', 'bank_account_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('expenses_of_vendor', 'expenses', ['tenant_id', 'vendor_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('expenses_search', 'expenses', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('expenses_unique_number', 'expenses', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('invoice_lines',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('invoice_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('item_id', sa.Uuid(), nullable=True),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('hsn', sa.String(length=8), nullable=True),
    sa.Column('quantity', sa.Numeric(precision=12, scale=3), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('gst_rate', sa.Integer(), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'invoice_id'], ['invoices.tenant_id', 'invoices.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'invoice_id', 'position')
    )
    op.create_table('payments',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('direction', sa.String(length=30), nullable=False),
    sa.Column('customer_id', sa.Uuid(), nullable=True),
    sa.Column('vendor_id', sa.Uuid(), nullable=True),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('method', sa.String(length=30), nullable=False),
    sa.Column('bank_account_id', sa.Uuid(), nullable=True),
    sa.Column('reference', sa.String(length=200), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('number', sa.String(length=20), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('allocated', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('entry_id', sa.Uuid(), nullable=True),
    sa.Column('posted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('idempotency_key', sa.String(length=255), nullable=True),
    sa.Column('idempotency_hash', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(number, '') || ' ' || coalesce(reference, '') || ' ' || coalesce(notes, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.CheckConstraint("status = 'draft' or number is not null", name='payments_numbered'),
    sa.CheckConstraint('allocated >= 0 and allocated <= amount', name='payments_allocated'),
    sa.ForeignKeyConstraint(['tenant_id', 'bank_account_id'], ['bank_accounts.tenant_id', 'bank_accounts.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'customer_id'], ['customers.tenant_id', 'customers.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'vendor_id'], ['vendors.tenant_id', 'vendors.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    sa.UniqueConstraint('tenant_id', 'idempotency_key', name='payments_unique_idempotency_key')
    )
    op.create_index('payments_by_date', 'payments', ['tenant_id', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payments_by_status_date', 'payments', ['tenant_id', 'status', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payments_list', 'payments', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payments_of_bank_account', 'payments', ['tenant_id', 'bank_account_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payments_of_customer', 'payments', ['tenant_id', 'customer_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payments_of_vendor', 'payments', ['tenant_id', 'vendor_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payments_search', 'payments', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('payments_unique_number', 'payments', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('purchase_order_lines',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('purchase_order_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('item_id', sa.Uuid(), nullable=True),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('hsn', sa.String(length=8), nullable=True),
    sa.Column('quantity', sa.Numeric(precision=12, scale=3), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('gst_rate', sa.Integer(), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'purchase_order_id'], ['purchase_orders.tenant_id', 'purchase_orders.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'purchase_order_id', 'position')
    )
    op.create_table('recurring_invoice_lines',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('recurring_invoice_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('item_id', sa.Uuid(), nullable=True),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('hsn', sa.String(length=8), nullable=True),
    sa.Column('quantity', sa.Numeric(precision=12, scale=3), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('gst_rate', sa.Integer(), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'recurring_invoice_id'], ['recurring_invoices.tenant_id', 'recurring_invoices.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'recurring_invoice_id', 'position')
    )
    op.create_table('allocations',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=False),
    sa.Column('document_id', sa.Uuid(), nullable=False),
    sa.Column('invoice_id', sa.Uuid(), nullable=True),
    sa.Column('bill_id', sa.Uuid(), nullable=True),
    sa.Column('amount', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.CheckConstraint('amount > 0 and num_nonnulls(invoice_id, bill_id) = 1 and document_id = coalesce(invoice_id, bill_id)', name='allocations_of_one'),
    sa.ForeignKeyConstraint(['tenant_id', 'bill_id'], ['bills.tenant_id', 'bills.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'invoice_id'], ['invoices.tenant_id', 'invoices.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'payment_id'], ['payments.tenant_id', 'payments.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'payment_id', 'document_id')
    )
    op.create_index('allocations_of_document', 'allocations', ['tenant_id', 'document_id'], unique=False)
    op.create_table('bank_transactions',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('bank_account_id', sa.Uuid(), nullable=False),
    sa.Column('date', sa.Date(), nullable=False),
    sa.Column('direction', sa.String(length=30), nullable=False),
    sa.Column('amount', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('description', sa.String(length=500), nullable=True),
    sa.Column('reference', sa.String(length=200), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=True),
    sa.Column('expense_id', sa.Uuid(), nullable=True),
    sa.Column('entry_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(description, '') || ' ' || coalesce(reference, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'bank_account_id'], ['bank_accounts.tenant_id', 'bank_accounts.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'expense_id'], ['expenses.tenant_id', 'expenses.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'payment_id'], ['payments.tenant_id', 'payments.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('bank_transactions_by_bank_account_id_date', 'bank_transactions', ['tenant_id', 'bank_account_id', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_by_date', 'bank_transactions', ['tenant_id', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_by_status_date', 'bank_transactions', ['tenant_id', 'status', 'date', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_list', 'bank_transactions', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_of_bank_account', 'bank_transactions', ['tenant_id', 'bank_account_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_of_expense', 'bank_transactions', ['tenant_id', 'expense_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_of_payment', 'bank_transactions', ['tenant_id', 'payment_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_search', 'bank_transactions', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('bank_transactions_unique_expense_id', 'bank_transactions', ['tenant_id', 'expense_id'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('bank_transactions_unique_payment_id', 'bank_transactions', ['tenant_id', 'payment_id'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('credit_note_lines',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('credit_note_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('item_id', sa.Uuid(), nullable=True),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('hsn', sa.String(length=8), nullable=True),
    sa.Column('quantity', sa.Numeric(precision=12, scale=3), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('gst_rate', sa.Integer(), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'credit_note_id'], ['credit_notes.tenant_id', 'credit_notes.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'credit_note_id', 'position')
    )
