"""What CRM answers under /crm."""

from upstream_services.crm.convert import convert, finance_client
from upstream_services.crm.models import Base
from upstream_services.crm.resources import companies, contacts, deals
from upstream_services.crm.streams import echo, events, streams
from upstream_services.kit.app import Service
from upstream_services.kit.settings import Flag

SERVICE = Service(
    name="crm",
    port=8101,
    metadata=Base.metadata,
    resources=(contacts, companies, deals),
    operations=(convert, events, echo),
    contexts=(finance_client, streams),
    flags=(Flag("--finance-url", "http://127.0.0.1:8102", "where finance answers"),),
)
