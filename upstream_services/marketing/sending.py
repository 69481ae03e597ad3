"""One message to one subscriber: exactly one, and none to who has unsubscribed.

Whoever is at a message holds an advisory lock of it until the delivery is committed: any other worker or launch waits,
and then finds the delivery. So a message goes out twice only where a worker dies between the mail server's "250" and
the commit, and then with the same Message-ID. The delivery is written after the message was handed over, because its
foreign keys lock the campaign and the subscriber, and neither a pause nor an unsubscribe is to wait for a mail server.
"""

import uuid
from typing import Any, Literal

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.jobs.run import Run
from upstream_services.kit.keys import SETTINGS
from upstream_services.kit.mail import MailError
from upstream_services.kit.model import utc_now
from upstream_services.marketing.models import Delivery, Subscriber, Template
from upstream_services.marketing.people import is_suppressed, record
from upstream_services.marketing.templates import PUBLIC_URL, message_for
from upstream_services.marketing.webhooks import tell

_LOCK = text("select pg_advisory_xact_lock(:key)")

Outcome = Literal["sent", "bounced", "skipped"]


async def send_to(
    run: Run,
    session: AsyncSession,
    template: Template,
    subscriber_id: uuid.UUID,
    *,
    campaign_id: uuid.UUID | None = None,
    step_id: uuid.UUID | None = None,
) -> Outcome:
    """Sends the template to a subscriber, in the transaction of the session.

    `skipped`: they are not subscribed, or have it already. Raises MailError where trying again may help.
    """
    subscriber = await session.scalar(select(Subscriber).where(Subscriber.id == subscriber_id))
    if subscriber is None or subscriber.status != "subscribed" or await is_suppressed(session, subscriber.email):
        return "skipped"
    name = uuid.uuid5(campaign_id or step_id or subscriber_id, str(subscriber_id))
    await (await session.connection()).execute(_LOCK, {"key": int.from_bytes(name.bytes[:8], signed=True)})
    of = Delivery.campaign_id == campaign_id if campaign_id is not None else Delivery.step_id == step_id
    if await session.scalar(select(Delivery.id).where(of, Delivery.subscriber_id == subscriber_id)) is not None:
        return "skipped"
    delivery = Delivery(
        id=uuid.uuid4(), public_id=uuid.uuid4(), campaign_id=campaign_id, step_id=step_id, subscriber_id=subscriber_id,
        email=subscriber.email, status="sent",
    )  # fmt: skip
    message = message_for(template, subscriber, delivery, run.app[SETTINGS].extra[PUBLIC_URL.key])
    headers = {
        "List-Unsubscribe": f"<{message.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    try:
        await run.mailer.send(
            to=subscriber.email, subject=message.subject, text=message.text, html=message.html, headers=headers,
            message_id=f"{name}@{run.mailer.domain}",
        )  # fmt: skip
    except MailError as error:
        if not error.is_final:
            raise
        session.add(delivery)
        await _bounce(session, delivery, str(error))
        return "bounced"
    session.add(delivery)
    record(session, "sent", subscriber_id=subscriber_id, campaign_id=campaign_id)
    return "sent"


async def _bounce(session: AsyncSession, delivery: Delivery, reason: str) -> None:
    delivery.status, delivery.error = "bounced", reason
    of: dict[str, Any] = {"subscriber_id": delivery.subscriber_id, "campaign_id": delivery.campaign_id}
    changed = {"status": "bounced", "version": Subscriber.version + 1, "updated_at": utc_now()}
    still = (Subscriber.id == delivery.subscriber_id) & (Subscriber.status == "subscribed")
    await session.execute(update(Subscriber).where(still).values(changed))
    record(session, "bounced", **of)
    await tell(session, "message.bounced", {**of, "email": delivery.email, "reason": reason})
