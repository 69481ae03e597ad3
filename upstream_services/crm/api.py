"""What CRM answers under /crm."""

from upstream_services.crm import jobs, reports
from upstream_services.crm.actions import contacts_of_segment
from upstream_services.crm.convert import convert, finance_client
from upstream_services.crm.models import Base
from upstream_services.crm.resources import (
    activities,
    companies,
    contacts,
    deals,
    files,
    leads,
    notes,
    pipelines,
    segments,
    stages,
    tags,
    tasks,
    tickets,
)  # fmt: skip
from upstream_services.crm.sales import orders, products, quotes
from upstream_services.crm.streams import echo, events, streams
from upstream_services.kit.app import Service
from upstream_services.kit.settings import Flag

SERVICE = Service(
    name="crm",
    port=8101,
    metadata=Base.metadata,
    resources=(
        *(contacts, companies, leads, deals, pipelines, stages, tasks, activities, notes, tags, segments),
        *(products, quotes, orders, tickets, files),
    ),
    operations=(
        *(convert, contacts_of_segment, events, echo),
        *(reports.pipeline, reports.forecast, reports.activity, reports.dashboard_stats),
        *jobs.OPERATIONS,
    ),
    jobs=jobs.JOBS,
    contexts=(finance_client, streams),
    flags=(Flag("--finance-url", "http://127.0.0.1:8102", "where finance answers"),),
)
