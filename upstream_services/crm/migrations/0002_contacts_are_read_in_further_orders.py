"""Contacts are read in further orders."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the step."""
    op.create_index('contacts_by_company_created_at', 'contacts', ['tenant_id', 'company', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('contacts_by_owner_id_created_at', 'contacts', ['tenant_id', 'owner_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('contacts_by_updated_at', 'contacts', ['tenant_id', sa.literal_column('updated_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
