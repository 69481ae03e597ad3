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
    op.create_table('companies',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('website', sa.Text(), nullable=True),
    sa.Column('industry', sa.String(length=200), nullable=True),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('address', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(website, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('companies_by_name', 'companies', ['tenant_id', 'name', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('companies_list', 'companies', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('companies_search', 'companies', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('contacts',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('company', sa.String(length=200), nullable=True),
    sa.Column('company_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(email, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'company_id'], ['companies.tenant_id', 'companies.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('contacts_by_status_created_at', 'contacts', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('contacts_list', 'contacts', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'), postgresql_include=['name', 'email', 'phone'])
    op.create_index('contacts_of_company', 'contacts', ['tenant_id', 'company_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('contacts_search', 'contacts', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('deals',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('contact_id', sa.Uuid(), nullable=False),
    sa.Column('company_id', sa.Uuid(), nullable=True),
    sa.Column('title', sa.String(length=200), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('stage', sa.String(length=30), nullable=False),
    sa.Column('value', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('expected_close', sa.Date(), nullable=True),
    sa.Column('invoice_id', sa.Uuid(), nullable=True),
    sa.Column('conversion', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(title, '') || ' ' || coalesce(description, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'company_id'], ['companies.tenant_id', 'companies.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'contact_id'], ['contacts.tenant_id', 'contacts.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('deals_by_expected_close', 'deals', ['tenant_id', 'expected_close', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deals_by_stage_value', 'deals', ['tenant_id', 'stage', sa.literal_column('value desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deals_by_value', 'deals', ['tenant_id', sa.literal_column('value desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deals_list', 'deals', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deals_of_company', 'deals', ['tenant_id', 'company_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deals_of_contact', 'deals', ['tenant_id', 'contact_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deals_search', 'deals', ['search_words'], unique=False, postgresql_using='gin')
