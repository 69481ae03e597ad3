"""Campaigns are sent; sequences, forms, pages, links, webhooks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the step."""
    op.create_table('audiences',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('kind', sa.String(length=30), nullable=False),
    sa.Column('parameters', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(description, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('audiences_list', 'audiences', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('audiences_search', 'audiences', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('audiences_unique_name', 'audiences', ['tenant_id', 'name'], unique=True, postgresql_where=sa.text('deleted_at is null'))
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
    op.create_table('sequences',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('activations', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(description, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('sequences_list', 'sequences', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('sequences_search', 'sequences', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('sequences_unique_name', 'sequences', ['tenant_id', 'name'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('subscribers',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=True),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('source', sa.String(length=200), nullable=True),
    sa.Column('attributes', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('unsubscribed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('unsubscribe_reason', sa.String(length=200), nullable=True),
    sa.Column('consent', sa.String(length=200), nullable=True),
    sa.Column('public_id', sa.Uuid(), nullable=False),
    sa.Column('token_key', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(email, '') || ' ' || coalesce(name, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    info={'public': 'public_id'}
    )
    op.create_index('subscribers_by_source_created_at', 'subscribers', ['tenant_id', 'source', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('subscribers_by_status_created_at', 'subscribers', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('subscribers_list', 'subscribers', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'), postgresql_include=['email', 'name', 'status'])
    op.create_index('subscribers_search', 'subscribers', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('subscribers_unique_email', 'subscribers', ['tenant_id', 'email'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('subscribers_unique_public_id', 'subscribers', ['public_id'], unique=True)
    op.create_table('suppressions',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('tenant_id', 'email')
    )
    op.create_table('templates',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('subject', sa.String(length=200), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('html', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(subject, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('templates_list', 'templates', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('templates_search', 'templates', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('webhooks',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('events', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('description', sa.String(length=200), nullable=True),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('last_status', sa.Integer(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('last_told_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('secret', sa.String(length=60), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('webhooks_list', 'webhooks', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('enrolments',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('sequence_id', sa.Uuid(), nullable=False),
    sa.Column('subscriber_id', sa.Uuid(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('position', sa.Integer(), nullable=True),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'sequence_id'], ['sequences.tenant_id', 'sequences.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'subscriber_id'], ['subscribers.tenant_id', 'subscribers.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('enrolments_by_sequence_id_status', 'enrolments', ['tenant_id', 'sequence_id', 'status', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('enrolments_by_status_next_at', 'enrolments', ['tenant_id', 'status', 'next_at', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('enrolments_list', 'enrolments', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('enrolments_of_sequence', 'enrolments', ['tenant_id', 'sequence_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('enrolments_of_subscriber', 'enrolments', ['tenant_id', 'subscriber_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('enrolments_unique_subscriber_id', 'enrolments', ['tenant_id', 'sequence_id', 'subscriber_id'], unique=True)
    op.create_table('forms',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('fields', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('audience_id', sa.Uuid(), nullable=True),
    sa.Column('sequence_id', sa.Uuid(), nullable=True),
    sa.Column('public_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'audience_id'], ['audiences.tenant_id', 'audiences.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'sequence_id'], ['sequences.tenant_id', 'sequences.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    info={'public': 'public_id'}
    )
    op.create_index('forms_list', 'forms', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('forms_of_audience', 'forms', ['tenant_id', 'audience_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('forms_of_sequence', 'forms', ['tenant_id', 'sequence_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('forms_search', 'forms', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('forms_unique_public_id', 'forms', ['public_id'], unique=True)
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
    op.create_table('memberships',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('audience_id', sa.Uuid(), nullable=False),
    sa.Column('subscriber_id', sa.Uuid(), nullable=False),
    sa.Column('added_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id', 'audience_id'], ['audiences.tenant_id', 'audiences.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'subscriber_id'], ['subscribers.tenant_id', 'subscribers.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'audience_id', 'subscriber_id')
    )
    op.create_index('memberships_of_subscriber', 'memberships', ['tenant_id', 'subscriber_id'], unique=False)
    op.create_table('sequence_steps',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('sequence_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('delay_minutes', sa.Integer(), nullable=False),
    sa.Column('template_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'sequence_id'], ['sequences.tenant_id', 'sequences.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'template_id'], ['templates.tenant_id', 'templates.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('sequence_steps_by_sequence_id_position', 'sequence_steps', ['tenant_id', 'sequence_id', 'position', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('sequence_steps_list', 'sequence_steps', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('sequence_steps_of_sequence', 'sequence_steps', ['tenant_id', 'sequence_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('sequence_steps_of_template', 'sequence_steps', ['tenant_id', 'template_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('sequence_steps_unique_sequence_id_position', 'sequence_steps', ['tenant_id', 'sequence_id', 'position'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('deliveries',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('campaign_id', sa.Uuid(), nullable=True),
    sa.Column('step_id', sa.Uuid(), nullable=True),
    sa.Column('subscriber_id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('clicked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('unsubscribed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('public_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'campaign_id'], ['campaigns.tenant_id', 'campaigns.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'step_id'], ['sequence_steps.tenant_id', 'sequence_steps.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'subscriber_id'], ['subscribers.tenant_id', 'subscribers.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    info={'public': 'public_id'}
    )
    op.create_index('deliveries_by_status_created_at', 'deliveries', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deliveries_list', 'deliveries', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deliveries_of_campaign', 'deliveries', ['tenant_id', 'campaign_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deliveries_of_step', 'deliveries', ['tenant_id', 'step_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deliveries_of_subscriber', 'deliveries', ['tenant_id', 'subscriber_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('deliveries_unique_campaign_id', 'deliveries', ['tenant_id', 'campaign_id', 'subscriber_id'], unique=True)
    op.create_index('deliveries_unique_public_id', 'deliveries', ['public_id'], unique=True)
    op.create_index('deliveries_unique_step_id', 'deliveries', ['tenant_id', 'step_id', 'subscriber_id'], unique=True)
    op.create_table('form_submissions',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('form_id', sa.Uuid(), nullable=False),
    sa.Column('subscriber_id', sa.Uuid(), nullable=True),
    sa.Column('data', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'form_id'], ['forms.tenant_id', 'forms.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'subscriber_id'], ['subscribers.tenant_id', 'subscribers.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('form_submissions_list', 'form_submissions', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('form_submissions_of_form', 'form_submissions', ['tenant_id', 'form_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('form_submissions_of_subscriber', 'form_submissions', ['tenant_id', 'subscriber_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('landing_pages',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('title', sa.String(length=200), nullable=False),
    sa.Column('html', sa.Text(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('visits', sa.Integer(), nullable=False),
    sa.Column('form_id', sa.Uuid(), nullable=True),
    sa.Column('public_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(title, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'form_id'], ['forms.tenant_id', 'forms.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    info={'public': 'public_id'}
    )
    op.create_index('landing_pages_list', 'landing_pages', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('landing_pages_of_form', 'landing_pages', ['tenant_id', 'form_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('landing_pages_search', 'landing_pages', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('landing_pages_unique_public_id', 'landing_pages', ['public_id'], unique=True)
    op.create_table('links',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=True),
    sa.Column('is_active', sa.Boolean(), nullable=False),
    sa.Column('campaign_id', sa.Uuid(), nullable=True),
    sa.Column('clicks', sa.Integer(), nullable=False),
    sa.Column('last_clicked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('code', sa.String(length=20), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(code, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'campaign_id'], ['campaigns.tenant_id', 'campaigns.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id'),
    info={'public': 'code'}
    )
    op.create_index('links_list', 'links', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('links_of_campaign', 'links', ['tenant_id', 'campaign_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('links_search', 'links', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('links_unique_code', 'links', ['code'], unique=True)
    op.create_table('social_posts',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('channel', sa.String(length=30), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('media_url', sa.Text(), nullable=True),
    sa.Column('campaign_id', sa.Uuid(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('scheduled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('published_url', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(text, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'campaign_id'], ['campaigns.tenant_id', 'campaigns.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('social_posts_by_status_scheduled_at', 'social_posts', ['tenant_id', 'status', 'scheduled_at', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('social_posts_list', 'social_posts', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('social_posts_of_campaign', 'social_posts', ['tenant_id', 'campaign_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('social_posts_search', 'social_posts', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('events',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('type', sa.String(length=60), nullable=False),
    sa.Column('happened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('subscriber_id', sa.Uuid(), nullable=True),
    sa.Column('campaign_id', sa.Uuid(), nullable=True),
    sa.Column('form_id', sa.Uuid(), nullable=True),
    sa.Column('landing_page_id', sa.Uuid(), nullable=True),
    sa.Column('link_id', sa.Uuid(), nullable=True),
    sa.Column('properties', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'campaign_id'], ['campaigns.tenant_id', 'campaigns.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'form_id'], ['forms.tenant_id', 'forms.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'landing_page_id'], ['landing_pages.tenant_id', 'landing_pages.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'link_id'], ['links.tenant_id', 'links.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'subscriber_id'], ['subscribers.tenant_id', 'subscribers.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('events_by_happened_at', 'events', ['tenant_id', sa.literal_column('happened_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('events_by_type_happened_at', 'events', ['tenant_id', 'type', sa.literal_column('happened_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('events_list', 'events', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('events_of_campaign', 'events', ['tenant_id', 'campaign_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('events_of_form', 'events', ['tenant_id', 'form_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('events_of_landing_page', 'events', ['tenant_id', 'landing_page_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('events_of_link', 'events', ['tenant_id', 'link_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('events_of_subscriber', 'events', ['tenant_id', 'subscriber_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.add_column('campaigns', sa.Column('audience_id', sa.Uuid(), nullable=True))
    op.add_column('campaigns', sa.Column('template_id', sa.Uuid(), nullable=True))
    op.add_column('campaigns', sa.Column('started_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('campaigns', sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('campaigns', sa.Column('job_id', sa.Uuid(), nullable=True))
    op.add_column('campaigns', sa.Column('launches', sa.Integer(), nullable=False, server_default='0'))
    op.create_index('campaigns_by_scheduled_at', 'campaigns', ['tenant_id', 'scheduled_at', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('campaigns_by_status_created_at', 'campaigns', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('campaigns_of_audience', 'campaigns', ['tenant_id', 'audience_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('campaigns_of_template', 'campaigns', ['tenant_id', 'template_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_foreign_key(None, 'campaigns', 'templates', ['tenant_id', 'template_id'], ['tenant_id', 'id'])
    op.create_foreign_key(None, 'campaigns', 'audiences', ['tenant_id', 'audience_id'], ['tenant_id', 'id'])
