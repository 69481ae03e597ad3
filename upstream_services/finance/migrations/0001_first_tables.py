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
    op.create_table('invoices',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('customer_name', sa.String(length=200), nullable=False),
    sa.Column('customer_email', sa.String(length=254), nullable=True),
    sa.Column('deal_id', sa.Uuid(), nullable=True),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('issue_date', sa.Date(), nullable=False),
    sa.Column('due_date', sa.Date(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('home_state', sa.String(length=2), nullable=False),
    sa.Column('place_of_supply', sa.String(length=2), nullable=False),
    sa.Column('taxable', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('cgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sgst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('igst', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('total', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('idempotency_key', sa.String(length=255), nullable=True),
    sa.Column('idempotency_hash', sa.LargeBinary(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    sa.UniqueConstraint('tenant_id', 'idempotency_key', name='invoices_unique_idempotency_key')
    )
    op.create_index('invoices_list', 'invoices', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('profiles',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('legal_name', sa.String(length=200), nullable=False),
    sa.Column('home_state', sa.String(length=2), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id')
    )
    op.create_table('invoice_lines',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('invoice_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
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
