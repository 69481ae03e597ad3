"""Time, pay, hiring and growth."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the step."""
    op.create_table('designations',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('level', sa.Integer(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('designations_by_level', 'designations', ['tenant_id', 'level', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('designations_list', 'designations', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('designations_unique_name', 'designations', ['tenant_id', 'name'], unique=True, postgresql_where=sa.text('deleted_at is null'))
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
    op.create_table('leave_types',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False),
    sa.Column('is_paid', sa.Boolean(), nullable=False),
    sa.Column('days_per_year', sa.Numeric(precision=6, scale=1), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('leave_types_list', 'leave_types', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_types_unique_code', 'leave_types', ['tenant_id', 'code'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('locations',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False),
    sa.Column('address', sa.Text(), nullable=True),
    sa.Column('state', sa.String(length=200), nullable=True),
    sa.Column('time_zone', sa.String(length=200), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('locations_list', 'locations', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('locations_unique_code', 'locations', ['tenant_id', 'code'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('payroll_runs',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('month', sa.String(length=7), nullable=False),
    sa.Column('pay_date', sa.Date(), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('employees', sa.Integer(), nullable=False),
    sa.Column('gross', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('deductions', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('net', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('employer_cost', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('computed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_by', sa.String(), nullable=True),
    sa.Column('locked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('computation', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('payroll_runs_by_month', 'payroll_runs', ['tenant_id', sa.literal_column('month desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payroll_runs_by_status_month', 'payroll_runs', ['tenant_id', 'status', sa.literal_column('month desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payroll_runs_list', 'payroll_runs', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payroll_runs_unique_month', 'payroll_runs', ['tenant_id', 'month'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('shifts',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('starts_at', sa.String(length=5), nullable=False),
    sa.Column('ends_at', sa.String(length=5), nullable=False),
    sa.Column('break_minutes', sa.Integer(), nullable=False),
    sa.Column('grace_minutes', sa.Integer(), nullable=False),
    sa.Column('working_days', postgresql.ARRAY(sa.String(length=3)), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('shifts_list', 'shifts', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('shifts_unique_name', 'shifts', ['tenant_id', 'name'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('holidays',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('location_id', sa.Uuid(), nullable=True),
    sa.Column('is_optional', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'location_id'], ['locations.tenant_id', 'locations.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('holidays_by_day', 'holidays', ['tenant_id', 'day', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('holidays_list', 'holidays', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('holidays_of_location', 'holidays', ['tenant_id', 'location_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
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
    op.create_table('job_openings',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('title', sa.String(length=200), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('department_id', sa.Uuid(), nullable=False),
    sa.Column('designation_id', sa.Uuid(), nullable=True),
    sa.Column('location_id', sa.Uuid(), nullable=True),
    sa.Column('openings', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('filled', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(title, '') || ' ' || coalesce(description, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'department_id'], ['departments.tenant_id', 'departments.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'designation_id'], ['designations.tenant_id', 'designations.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'location_id'], ['locations.tenant_id', 'locations.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('job_openings_by_status_created_at', 'job_openings', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('job_openings_list', 'job_openings', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('job_openings_of_department', 'job_openings', ['tenant_id', 'department_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('job_openings_of_designation', 'job_openings', ['tenant_id', 'designation_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('job_openings_of_location', 'job_openings', ['tenant_id', 'location_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('job_openings_search', 'job_openings', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('job_steps',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('job_id', sa.Uuid(), nullable=False),
    sa.Column('step', sa.String(length=200), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told', postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'job_id'], ['jobs.tenant_id', 'jobs.id'], ondelete='cascade'),
    sa.PrimaryKeyConstraint('tenant_id', 'job_id', 'step')
    )
    op.create_table('assets',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('tag', sa.String(length=50), nullable=False),
    sa.Column('kind', sa.String(length=30), nullable=False),
    sa.Column('serial_number', sa.String(length=100), nullable=True),
    sa.Column('purchased_on', sa.Date(), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=True),
    sa.Column('assigned_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(tag, '') || ' ' || coalesce(serial_number, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('assets_by_status_created_at', 'assets', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('assets_list', 'assets', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('assets_of_employee', 'assets', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('assets_search', 'assets', ['search_words'], unique=False, postgresql_using='gin')
    op.create_index('assets_unique_tag', 'assets', ['tenant_id', 'tag'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('attendance',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('check_in', sa.DateTime(timezone=True), nullable=True),
    sa.Column('check_out', sa.DateTime(timezone=True), nullable=True),
    sa.Column('minutes', sa.Integer(), nullable=True),
    sa.Column('is_late', sa.Boolean(), nullable=False),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('attendance_by_day', 'attendance', ['tenant_id', sa.literal_column('day desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('attendance_list', 'attendance', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('attendance_of_employee', 'attendance', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('attendance_unique_employee_id_day', 'attendance', ['tenant_id', 'employee_id', 'day'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('candidates',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('job_opening_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('source', sa.String(length=30), nullable=False),
    sa.Column('stage', sa.String(length=30), nullable=False),
    sa.Column('resume_url', sa.Text(), nullable=True),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('outcome', sa.String(length=30), nullable=False),
    sa.Column('outcome_reason', sa.Text(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('employee_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_words', postgresql.TSVECTOR(), sa.Computed("array_to_tsvector(array['t:' || tenant_id::text]) || to_tsvector('simple'::regconfig, translate(coalesce(name, '') || ' ' || coalesce(email, ''), '@._-+/:', '       '))", persisted=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'job_opening_id'], ['job_openings.tenant_id', 'job_openings.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('candidates_by_email', 'candidates', ['tenant_id', 'email', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('candidates_by_stage_created_at', 'candidates', ['tenant_id', 'stage', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('candidates_list', 'candidates', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('candidates_of_employee', 'candidates', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('candidates_of_job_opening', 'candidates', ['tenant_id', 'job_opening_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('candidates_search', 'candidates', ['search_words'], unique=False, postgresql_using='gin')
    op.create_table('goals',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('title', sa.String(length=200), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('due', sa.Date(), nullable=True),
    sa.Column('progress', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('goals_by_due', 'goals', ['tenant_id', 'due', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('goals_by_status_due', 'goals', ['tenant_id', 'status', 'due', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('goals_list', 'goals', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('goals_of_employee', 'goals', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('leave_balances',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('leave_type_id', sa.Uuid(), nullable=False),
    sa.Column('year', sa.Integer(), nullable=False),
    sa.Column('granted', sa.Numeric(precision=6, scale=1), nullable=False),
    sa.Column('used', sa.Numeric(precision=6, scale=1), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('used >= 0 and used <= granted', name='leave_balances_never_negative'),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'leave_type_id'], ['leave_types.tenant_id', 'leave_types.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('leave_balances_list', 'leave_balances', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_balances_of_employee', 'leave_balances', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_balances_of_leave_type', 'leave_balances', ['tenant_id', 'leave_type_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_balances_unique_employee_id_leave_type_id_year', 'leave_balances', ['tenant_id', 'employee_id', 'leave_type_id', 'year'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('leave_requests',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('leave_type_id', sa.Uuid(), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=False),
    sa.Column('is_half_day', sa.Boolean(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('days', sa.Numeric(precision=6, scale=1), nullable=False),
    sa.Column('is_paid', sa.Boolean(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.String(), nullable=True),
    sa.Column('decision_note', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'leave_type_id'], ['leave_types.tenant_id', 'leave_types.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('leave_requests_by_employee_id_first_day', 'leave_requests', ['tenant_id', 'employee_id', 'first_day', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_requests_by_status_first_day', 'leave_requests', ['tenant_id', 'status', 'first_day', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_requests_list', 'leave_requests', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_requests_of_employee', 'leave_requests', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('leave_requests_of_leave_type', 'leave_requests', ['tenant_id', 'leave_type_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('pay_profiles',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('pan', sa.String(length=10), nullable=True),
    sa.Column('uan', sa.String(length=12), nullable=True),
    sa.Column('esi_number', sa.String(length=17), nullable=True),
    sa.Column('bank_account', sa.String(length=18), nullable=True),
    sa.Column('ifsc', sa.String(length=11), nullable=True),
    sa.Column('tax_regime', sa.String(length=30), nullable=False),
    sa.Column('declared_deductions', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('professional_tax_state', sa.String(length=30), nullable=True),
    sa.Column('gender', sa.String(length=30), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('pay_profiles_list', 'pay_profiles', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('pay_profiles_of_employee', 'pay_profiles', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('pay_profiles_unique_employee_id', 'pay_profiles', ['tenant_id', 'employee_id'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('pay_profiles_unique_pan', 'pay_profiles', ['tenant_id', 'pan'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('pay_profiles_unique_uan', 'pay_profiles', ['tenant_id', 'uan'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('payslips',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('payroll_run_id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('month', sa.String(length=7), nullable=False),
    sa.Column('employee_name', sa.String(length=200), nullable=False),
    sa.Column('days_in_month', sa.Integer(), nullable=False),
    sa.Column('paid_days', sa.Numeric(precision=4, scale=1), nullable=False),
    sa.Column('unpaid_days', sa.Numeric(precision=4, scale=1), nullable=False),
    sa.Column('basic', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('house_rent_allowance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('special_allowance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('other_allowance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('gross', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('pf_employee', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('esi_employee', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('professional_tax', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('tds', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('deductions', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('net', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('pf_employer', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('pension_employer', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('insurance_employer', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('pf_charges', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('esi_employer', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('employer_cost', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('tax_regime', sa.String(length=3), nullable=False),
    sa.Column('annual_income', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('annual_tax', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('tables', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'payroll_run_id'], ['payroll_runs.tenant_id', 'payroll_runs.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('payslips_by_employee_id_month', 'payslips', ['tenant_id', 'employee_id', sa.literal_column('month desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payslips_by_month', 'payslips', ['tenant_id', sa.literal_column('month desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payslips_list', 'payslips', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payslips_of_employee', 'payslips', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payslips_of_payroll_run', 'payslips', ['tenant_id', 'payroll_run_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('payslips_unique_payroll_run_id_employee_id', 'payslips', ['tenant_id', 'payroll_run_id', 'employee_id'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('reviews',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('reviewer_id', sa.Uuid(), nullable=False),
    sa.Column('period_start', sa.Date(), nullable=False),
    sa.Column('period_end', sa.Date(), nullable=False),
    sa.Column('rating', sa.Integer(), nullable=True),
    sa.Column('summary', sa.Text(), nullable=True),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('submitted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('acknowledged_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'reviewer_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('reviews_by_period_end', 'reviews', ['tenant_id', sa.literal_column('period_end desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('reviews_by_status_created_at', 'reviews', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('reviews_list', 'reviews', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('reviews_of_employee', 'reviews', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('reviews_of_reviewer', 'reviews', ['tenant_id', 'reviewer_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('salary_structures',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('employee_id', sa.Uuid(), nullable=False),
    sa.Column('effective_from', sa.Date(), nullable=False),
    sa.Column('basic', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('house_rent_allowance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('special_allowance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('other_allowance', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('gross', sa.Numeric(precision=22, scale=2), nullable=False),
    sa.Column('has_pf', sa.Boolean(), nullable=False),
    sa.Column('pf_on_full_basic', sa.Boolean(), nullable=False),
    sa.Column('notes', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'employee_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('salary_structures_by_effective_from', 'salary_structures', ['tenant_id', 'effective_from', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('salary_structures_list', 'salary_structures', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('salary_structures_of_employee', 'salary_structures', ['tenant_id', 'employee_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('salary_structures_unique_employee_id_effective_from', 'salary_structures', ['tenant_id', 'employee_id', 'effective_from'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_table('interviews',
    sa.Column('tenant_id', sa.String(length=63), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('candidate_id', sa.Uuid(), nullable=False),
    sa.Column('interviewer_id', sa.Uuid(), nullable=False),
    sa.Column('scheduled_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('minutes', sa.Integer(), nullable=False),
    sa.Column('mode', sa.String(length=30), nullable=False),
    sa.Column('status', sa.String(length=30), nullable=False),
    sa.Column('rating', sa.Integer(), nullable=True),
    sa.Column('recommendation', sa.String(length=30), nullable=True),
    sa.Column('feedback', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False), sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False), sa.Column('created_by', sa.String(length=200), nullable=True), sa.Column('updated_by', sa.String(length=200), nullable=True), sa.Column('version', sa.Integer(), nullable=False), sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['tenant_id', 'candidate_id'], ['candidates.tenant_id', 'candidates.id'], ),
    sa.ForeignKeyConstraint(['tenant_id', 'interviewer_id'], ['employees.tenant_id', 'employees.id'], ),
    sa.PrimaryKeyConstraint('tenant_id', 'id')
    )
    op.create_index('interviews_by_scheduled_at', 'interviews', ['tenant_id', 'scheduled_at', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('interviews_by_status_scheduled_at', 'interviews', ['tenant_id', 'status', 'scheduled_at', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('interviews_list', 'interviews', ['tenant_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('interviews_of_candidate', 'interviews', ['tenant_id', 'candidate_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('interviews_of_interviewer', 'interviews', ['tenant_id', 'interviewer_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.add_column('employees', sa.Column('number', sa.String(length=20), nullable=True))
    op.add_column('employees', sa.Column('phone', sa.String(length=30), nullable=True))
    op.add_column('employees', sa.Column('designation_id', sa.Uuid(), nullable=True))
    op.add_column('employees', sa.Column('location_id', sa.Uuid(), nullable=True))
    op.add_column('employees', sa.Column('shift_id', sa.Uuid(), nullable=True))
    op.add_column('employees', sa.Column('manager_id', sa.Uuid(), nullable=True))
    op.add_column('employees', sa.Column('left_on', sa.Date(), nullable=True))
    op.create_index('employees_by_joined_on', 'employees', ['tenant_id', 'joined_on', 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('employees_by_status_created_at', 'employees', ['tenant_id', 'status', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('employees_of_designation', 'employees', ['tenant_id', 'designation_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('employees_of_location', 'employees', ['tenant_id', 'location_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('employees_of_manager', 'employees', ['tenant_id', 'manager_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('employees_of_shift', 'employees', ['tenant_id', 'shift_id', sa.literal_column('created_at desc'), 'id'], unique=False, postgresql_where=sa.text('deleted_at is null'))
    op.create_index('employees_unique_number', 'employees', ['tenant_id', 'number'], unique=True, postgresql_where=sa.text('deleted_at is null'))
    op.create_foreign_key(None, 'employees', 'employees', ['tenant_id', 'manager_id'], ['tenant_id', 'id'])
    op.create_foreign_key(None, 'employees', 'locations', ['tenant_id', 'location_id'], ['tenant_id', 'id'])
    op.create_foreign_key(None, 'employees', 'shifts', ['tenant_id', 'shift_id'], ['tenant_id', 'id'])
    op.create_foreign_key(None, 'employees', 'designations', ['tenant_id', 'designation_id'], ['tenant_id', 'id'])
