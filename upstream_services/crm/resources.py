"""The resources of CRM and their rules."""

from upstream_services.crm.models import Company, Contact, Deal
from upstream_services.kit.errors import conflict
from upstream_services.kit.resource import Resource


def may_delete_deal(deal: Deal) -> None:
    """A deal that has, or may have, an invoice stays: it is where the invoice came from."""
    if deal.conversion is not None:
        raise conflict("the deal was converted into an invoice", "converted")


contacts = Resource(
    name="contacts",
    table=Contact,
    filters=("status", "email", "company", "company_id"),
    sortable=("name",),
    nested_in=("company_id",),
)

companies = Resource(name="companies", table=Company, filters=("name", "industry"), sortable=("name",))

deals = Resource(
    name="deals",
    table=Deal,
    filters=("stage", "contact_id", "company_id", "currency", "value", "expected_close"),
    sortable=("value", "expected_close"),
    nested_in=("contact_id", "company_id"),
    may_delete=may_delete_deal,
)
