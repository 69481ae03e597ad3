"""Webhooks: what happened is told to those who asked, signed as Standard Webhooks says, and again where they fail.

`tell` writes one job a webhook down in the transaction of what happened; the job's attempts are the retries.
"""

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import conflict, invalid
from upstream_services.kit.jobs.declare import JobOut, enqueue, job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.keys import DATABASE, SETTINGS
from upstream_services.kit.model import utc_now
from upstream_services.kit.resource import Resource
from upstream_services.kit.settings import Flag
from upstream_services.kit.validation import Body
from upstream_services.kit.views import to_json
from upstream_services.marketing.address_guard import AddressGuard, ForbiddenAddressError, networks
from upstream_services.marketing.reply_models import Webhook, new_secret

TIMEOUT = ClientTimeout(total=10, connect=3)
USER_AGENT = "suite-webhooks/1"
ALLOW = Flag(
    "--webhook-allow", "", "internal networks that webhooks may reach, such as 10.1.0.0/16, with commas", networks
)

CLIENT: web.AppKey[ClientSession] = web.AppKey("webhook_client", ClientSession)


class SecretOut(BaseModel):
    """The key of a webhook's signatures from now on; it is shown this once."""

    secret: str


class TellIn(Body):
    """One thing to tell one webhook."""

    webhook_id: uuid.UUID
    message_id: uuid.UUID
    type: str
    at: str
    data: dict[str, Any]


class RefusedError(Exception):
    """The receiver did not take a message."""


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`webhook-signature` of Standard Webhooks: "v1," and base64 of HMAC-SHA256 over "id.timestamp.body"."""
    key = secret.removeprefix("whsec_")
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)), signed, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


async def webhook_client(app: web.Application) -> AsyncIterator[None]:
    """The connections to receivers, none of which is internal, for the life of the application."""
    guard = AddressGuard(app[SETTINGS].extra[ALLOW.key])
    connector = TCPConnector(socket_factory=guard.make_socket, limit=50, limit_per_host=5, ttl_dns_cache=30)
    async with ClientSession(connector=connector, timeout=TIMEOUT, cookie_jar=DummyCookieJar()) as session:
        app[CLIENT], app[DATABASE].info["address_guard"] = session, guard
        yield


async def tell(session: AsyncSession, type_: str, data: Mapping[str, Any]) -> None:
    """Tells the webhooks that asked for it, once the session's transaction is committed."""
    wanted = select(Webhook.id).where(Webhook.is_active, Webhook.events.contains([type_]))
    for webhook_id in (await session.scalars(wanted)).all():
        given = TellIn(
            webhook_id=webhook_id,
            message_id=uuid.uuid4(),
            type=type_,
            at=utc_now().isoformat(),
            data={name: str(value) if isinstance(value, uuid.UUID) else value for name, value in data.items()},
        )
        await enqueue(session, tell_webhook, given)


@job("webhooks.tell", input=TellIn)
async def tell_webhook(run: Run, given: TellIn) -> dict[str, Any]:
    """Sends one message to one webhook."""
    async with run.transaction() as session:
        webhook = await session.scalar(select(Webhook).where(Webhook.id == given.webhook_id))
    if webhook is None or not webhook.is_active:
        return {"told": False}
    body = to_json({"type": given.type, "timestamp": given.at, "data": given.data})
    status, error = await _post(run.app[CLIENT], webhook, str(given.message_id), body)
    async with run.transaction() as session:
        seen = {"last_status": status, "last_error": error, "last_told_at": utc_now(), "version": Webhook.version + 1}
        await session.execute(update(Webhook).where(Webhook.id == webhook.id).values(seen))
    if error is not None:
        raise RefusedError(error)
    return {"told": True, "status": status}


async def _post(client: ClientSession, webhook: Webhook, message_id: str, body: bytes) -> tuple[int | None, str | None]:
    """The status of the answer, and what is wrong with it. The answer itself is of no interest and is not read."""
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(webhook.secret, message_id, timestamp, body),
    }
    try:
        # A redirect could lead elsewhere, and is no answer to a POST.
        async with client.post(webhook.url, data=body, headers=headers, allow_redirects=False) as reply:
            return reply.status, None if 200 <= reply.status < 300 else f"it answered {reply.status}"
    except ClientError as error:
        cause = error.__cause__ or getattr(error, "os_error", None)
        reason = str(cause) if isinstance(cause, ForbiddenAddressError) else f"no answer: {type(error).__name__}"
        return None, reason
    except ForbiddenAddressError as error:
        return None, str(error)
    except TimeoutError:
        return None, "no answer in time"


async def webhook_rules(session: AsyncSession, webhook: Webhook, values: Mapping[str, Any]) -> None:
    """A webhook's address is none of the inside."""
    if "url" in values:
        fault = session.info["address_guard"].fault_of(webhook.url)
        if fault is not None:
            raise invalid("url", fault)


webhooks = Resource(name="webhooks", table=Webhook, filters=("is_active",), rules=webhook_rules, is_live=True)


@webhooks.action("rotate-secret", reply=SecretOut)
async def rotate_secret(_session: AsyncSession, webhook: Webhook) -> SecretOut:
    """Make a new key for the signatures, and show it."""
    webhook.secret = new_secret()
    return SecretOut(secret=webhook.secret)


@webhooks.action("test", reply=JobOut)
async def test(session: AsyncSession, webhook: Webhook) -> JobOut:
    """Send a webhook something, to see that it arrives."""
    if not webhook.is_active:
        raise conflict("the webhook is not active", "inactive")
    given = TellIn(
        webhook_id=webhook.id, message_id=uuid.uuid4(), type="webhook.test", at=utc_now().isoformat(),
        data={"webhook_id": str(webhook.id)},
    )  # fmt: skip
    return JobOut(id=await enqueue(session, tell_webhook, given), name=tell_webhook.name, state="waiting")
