"""A valid body for every resource of every service, made from its declaration; what it cannot guess is in `SPECIAL`.

A service that is declared gets the tests of `test_every_resource.py` and `test_other_tenants.py` by that alone.
"""

import typing
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from aiohttp import web
from aiohttp.test_utils import TestClient
from pydantic import BaseModel, TypeAdapter

from upstream_services.crm.api import SERVICE as CRM
from upstream_services.finance.api import SERVICE as FINANCE
from upstream_services.hr.api import SERVICE as HR
from upstream_services.kit.app import Service
from upstream_services.kit.keys import DATABASE
from upstream_services.kit.resource import Resource
from upstream_services.kit.shapes import OWN_COLUMNS, annotations_of, column_of, plain_type, without_none
from upstream_services.kit.tenancy import TENANT_HEADER
from upstream_services.marketing.api import SERVICE as MARKETING

Client = TestClient[web.Request, web.Application]

SERVICES = {service.name: service for service in (CRM, FINANCE, HR, MARKETING)}

GST_LINE = {"description": "Work", "quantity": "2.000", "unit_price": "10.50", "gst_rate": 18}

# Path -> fields whose value a rule of the service demands, beyond what their types say.
SPECIAL: dict[str, dict[str, Any]] = {
    "/crm/quotes": {"lines": [{"description": "Work", "quantity": "2.000", "unit_price": "10.50"}]},
    "/crm/orders": {"lines": [{"description": "Work", "quantity": "2.000", "unit_price": "10.50"}]},
    "/hr/shifts": {"starts_at": "09:30", "ends_at": "18:00"},
    "/hr/leave-balances": {"year": 2025},
    "/hr/leave-requests": {"first_day": "2025-06-02", "last_day": "2025-06-03"},
    "/hr/payroll-runs": {"month": "2025-06"},
    "/marketing/forms": {"fields": [{"name": "email", "label": "Email", "type": "email"}]},
    "/marketing/events": {"type": "purchase"},
    "/marketing/webhooks": {"url": "https://hooks.x.example/in", "events": ["form.submitted"]},
    "/finance/invoices": {"customer_name": "Asha", "lines": [GST_LINE]},
    "/finance/recurring-invoices": {"customer_name": "Asha", "lines": [GST_LINE]},
    "/finance/bills": {"lines": [GST_LINE]},
    "/finance/purchase-orders": {"lines": [GST_LINE]},
    "/finance/credit-notes": {"lines": [GST_LINE]},
    "/finance/gst-returns": {"period": "2025-06", "type": "gstr1"},
}
# Path -> a PATCH that is legal for the record of the sample; the first text field gets another value otherwise.
CHANGES: dict[str, dict[str, Any]] = {
    "/hr/leave-balances": {"granted": "4.0"},
    "/hr/pay-profiles": {"bank_account": "123456789"},
    "/hr/payroll-runs": {"notes": "Diwali"},
    "/hr/interviews": {"minutes": 30},
    "/marketing/events": {"type": "signup"},
    "/marketing/links": {"name": "Summer"},
    "/marketing/sequence-steps": {"delay_minutes": 90},
    "/marketing/webhooks": {"description": "Ours"},
    "/finance/invoices": {"customer_name": "Bina"},
    "/finance/recurring-invoices": {"customer_name": "Bina"},
    "/finance/credit-notes": {"reason": "Returned"},
    "/finance/bills": {"notes": "Second delivery"},
    "/finance/purchase-orders": {"notes": "Second delivery"},
    "/finance/gst-returns": {"notes": "Looked at"},
}

# Path -> references that a sample has although they may be left out.
WITH: dict[str, tuple[str, ...]] = {"/crm/notes": ("contact_id",)}

# Field -> an example, where the type alone says too little.
BY_NAME: dict[str, Any] = {
    "email": "sample@x.example",
    "customer_email": "sample@x.example",
    "phone": "+91 98765 43210",
    "website": "https://x.example",
    "currency": "INR",
    "month": "2025-06",
    "tax_regime": "new",
    "media_type": "text/plain",
    "url": "https://x.example/a",
}


def _unique() -> str:
    return uuid.uuid4().hex[:10].upper()


def _example(name: str, hint: Any) -> Any:
    kind = plain_type(without_none(hint))
    if name in BY_NAME:
        value = BY_NAME[name]
        return value.replace("sample", f"s{_unique().lower()}") if "@" in str(value) else value
    if typing.get_origin(kind) is Literal:
        return typing.get_args(kind)[0]
    if typing.get_origin(kind) is list:
        return []
    if typing.get_origin(kind) is dict or kind is dict:
        return {}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {n: _example(n, f.annotation) for n, f in kind.model_fields.items() if f.is_required()}
    moment = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0).isoformat()
    examples: Mapping[Any, Any] = {
        str: f"S{_unique()}", int: 1, bool: False, Decimal: "1.00", date: "2025-06-01", float: 1.0, datetime: moment,
    }  # fmt: skip
    return examples.get(kind, moment)


def resource_of(path: str) -> tuple[Service, Resource[Any]]:
    """The declaration behind "/crm/contacts"."""
    _, service_name, name = path.split("/")
    service = SERVICES[service_name]
    return service, next(resource for resource in service.resources if resource.name == name)


def writable() -> list[str]:
    """The path of every resource that clients may write."""
    return [f"/{s.name}/{r.name}" for s in SERVICES.values() for r in s.resources if not r.read_only]


async def body_of(client: Client, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A valid body with every field that is required; what it refers to is made first."""
    service, resource = resource_of(path)
    special = SPECIAL.get(path, {})
    body: dict[str, Any] = dict(special)
    for name, info in resource.create.model_fields.items():
        if name in special or not (info.is_required() or name in WITH.get(path, ())):
            continue
        if name in resource.references:
            owner = next(r for r in service.resources if r.table.__tablename__ == resource.references[name])
            body[name] = (await make(client, f"/{service.name}/{owner.name}", headers))["id"]
        else:
            body[name] = _example(name, info.annotation)
    return body


async def keep(client: Client, path: str, tenant: str) -> None:
    """A row of a resource that clients only read, put where it is kept."""
    _, resource = resource_of(path)
    headers = {TENANT_HEADER: tenant}
    values: dict[str, Any] = {}
    for name, hint in annotations_of(resource.table).items():
        column = column_of(resource.table, name)
        if name in OWN_COLUMNS or column.nullable or column.default is not None:
            continue
        if name in resource.references:
            service = resource_of(path)[0]
            owner = next(r for r in service.resources if r.table.__tablename__ == resource.references[name])
            values[name] = uuid.UUID(await _any_id(client, f"/{service.name}/{owner.name}", headers))
        else:
            values[name] = TypeAdapter(hint).validate_python(_example(name, hint))
    async with client.app[DATABASE].transaction(tenant) as session:
        session.add(resource.table(**values))


async def _any_id(client: Client, path: str, headers: Mapping[str, str]) -> str:
    """The id of a record that is there, or of one that is made: some may be there once only."""
    found = (await (await client.get(path, params={"limit": "1"}, headers=headers)).json())["items"]
    record_id: str = (found[0] if found else await make(client, path, headers))["id"]
    return record_id


async def make(client: Client, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A record of the resource."""
    reply = await client.post(path, json=await body_of(client, path, headers), headers=headers)
    assert reply.status == 201, (path, await reply.text())
    record: dict[str, Any] = await reply.json()
    return record


def change_of(path: str) -> dict[str, Any]:
    """A legal PATCH."""
    if path in CHANGES:
        return CHANGES[path]
    _, resource = resource_of(path)
    for name, info in resource.create.model_fields.items():
        if name not in BY_NAME and plain_type(without_none(info.annotation)) is str and not name.endswith("_state"):
            return {name: f"C{_unique()}"}
    raise LookupError(f"say in CHANGES what may be changed of {path}")
