"""Templates: their rules, a look at what comes of one, and the message that one subscriber gets."""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import invalid
from upstream_services.kit.resource import Resource
from upstream_services.kit.settings import Flag
from upstream_services.kit.validation import Body
from upstream_services.marketing.models import Subscriber, Template
from upstream_services.marketing.rendering import fill, links_in, unknown_places, values_of
from upstream_services.marketing.reply_models import Link
from upstream_services.marketing.tokens import make_token

PUBLIC_URL = Flag("--public-url", "http://127.0.0.1:8080/api/v1", "where people reach this service's public paths")
UNSUBSCRIBE = "unsubscribe"  # purpose of a token
PARTS = ("subject", "text", "html")
SAMPLE = {"name": "Asha Rao", "email": "asha@x.example", "phone": None, "attributes": {}}


class PreviewIn(Body):
    """For whom; for somebody invented without."""

    subscriber_id: uuid.UUID | None = None


class MessageOut(BaseModel):
    """What they would get; a look at it counts no clicks."""

    subject: str
    text: str
    html: str | None


class Message(NamedTuple):
    """What a subscriber gets; `unsubscribe_url` is also for the headers (RFC 8058)."""

    subject: str
    text: str
    html: str
    unsubscribe_url: str


def public_url(base: str, path: str) -> str:
    """Where people reach a public path of this service."""
    return f"{base.rstrip('/')}/marketing/public/{path}"


async def template_rules(session: AsyncSession, template: Template, values: Mapping[str, Any]) -> None:
    """Every place is known, and every link is there."""
    for part in PARTS:
        text = values.get(part)
        if text is None:
            continue
        if unknown := unknown_places(text):
            raise invalid(part, f"nothing is known of {{{{ {unknown[0]} }}}}")
        for code in links_in(text):
            if await session.scalar(select(Link.id).where(Link.code == code)) is None:
                raise invalid(part, f"there is no link {code}")


templates = Resource(name="templates", table=Template, filters=("name",), rules=template_rules)


@templates.action("preview", body=PreviewIn, reply=MessageOut)
async def preview(session: AsyncSession, template: Template, body: PreviewIn) -> MessageOut:
    """Show what comes of a template."""
    of = dict(SAMPLE)
    if body.subscriber_id is not None:
        found = await session.scalar(select(Subscriber).where(Subscriber.id == body.subscriber_id))
        if found is None:
            raise invalid("subscriber_id", "there is no such subscriber")
        of = {name: getattr(found, name) for name in SAMPLE}
    return sample_of(template, of)


def sample_of(template: Template, of: Mapping[str, Any] = SAMPLE) -> MessageOut:
    """A template filled for somebody, without links that do anything."""
    values = values_of(**of) | {"unsubscribe_url": "#"}

    def link(code: str) -> str:
        return f"#{code}"

    subject, text = (fill(part, values, link) for part in (template.subject, template.text))
    html = None if template.html is None else fill(template.html, values, link, is_html=True)
    return MessageOut(subject=subject, text=text, html=html)


@templates.action("duplicate", reply=templates.shape)
async def duplicate(session: AsyncSession, template: Template) -> dict[str, Any]:
    """Make a copy of a template."""
    copy = Template(id=uuid.uuid4(), name=f"{template.name[:190]} (copy)", subject=template.subject)
    copy.text, copy.html = template.text, template.html
    session.add(copy)
    await session.flush()
    return templates.view(copy)


def message_for(template: Template, subscriber: Subscriber, delivery: Any, base: str) -> Message:
    """The message of a delivery, with its own links; every text ends with the way out where the template has none."""
    token = make_token(subscriber.token_key, UNSUBSCRIBE, subscriber.public_id, delivery.id)
    leave = public_url(base, f"unsubscribe/{token}")
    values = values_of(subscriber.name, subscriber.email, subscriber.phone, subscriber.attributes)
    values["unsubscribe_url"] = leave

    def link(code: str) -> str:
        return public_url(base, f"l/{code}?d={delivery.public_id}")

    text = fill(template.text, values, link)
    if leave not in text:
        text += f"\n\n-- \nTo get no more of these: {leave}\n"
    html = ""
    if template.html is not None:
        html = fill(template.html, values, link, is_html=True)
        if leave not in html:
            html += f'<p><a href="{leave}">Unsubscribe</a></p>'
        html += f'<img src="{public_url(base, f"opens/{delivery.public_id}")}" width="1" height="1" alt="">'
    return Message(fill(template.subject, values, link), text, html, leave)
