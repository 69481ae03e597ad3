"""What anybody may ask, without a token: forms, landing pages, short links, and the way out of the mailing.

The tenant comes of the public id in the path, which nobody can guess, and each request then runs as a transaction of
that tenant like any other. What the request itself says of tenants and users is not looked at. Pages are shown so that
nothing in them runs as a script or is part of another page.
"""

import base64
import re
import uuid
from html import escape
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from upstream_services.kit.errors import Problem, conflict, invalid, not_found
from upstream_services.kit.keys import SETTINGS
from upstream_services.kit.model import utc_now
from upstream_services.kit.operations import operation
from upstream_services.kit.requests import path_id, public_transaction
from upstream_services.kit.validation import Body
from upstream_services.kit.views import NO_STORE
from upstream_services.marketing.forms import submit
from upstream_services.marketing.inputs import FormField, Key, Value
from upstream_services.marketing.models import Delivery, Subscriber
from upstream_services.marketing.people import leave, record
from upstream_services.marketing.reply_models import Form, LandingPage, Link
from upstream_services.marketing.templates import PUBLIC_URL, UNSUBSCRIBE, public_url
from upstream_services.marketing.tokens import Token, is_signed, read_token
from upstream_services.marketing.webhooks import tell

PAGE_HEADERS = {
    "Content-Security-Policy": "sandbox allow-forms allow-popups allow-top-navigation-by-user-activation; "
    "default-src 'none'; img-src https: data:; style-src 'unsafe-inline' https:; font-src https:; media-src https:; "
    "form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    **NO_STORE,
}
FORM_PLACE = re.compile(r"\{\{\s*form\s*\}\}")
HTML_TYPES = {"phone": "tel"}  # of inputs, where they are called otherwise
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")  # one transparent point


class SubmitIn(Body):
    """The answers, by the names of the form's fields."""

    data: Annotated[dict[Key, Value], Field(max_length=50)]


class PublicForm(BaseModel):
    """A form as it is shown to who fills it in."""

    id: uuid.UUID
    name: str
    fields: list[FormField]


class Submitted(BaseModel):
    """An answer was kept. It says the same whether the address was known or not."""

    message: str


def _html(title: str, body: str, status: int = 200) -> web.Response:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    return web.Response(
        text=f"{head}<body>{body}</body></html>", status=status, content_type="text/html", headers=PAGE_HEADERS
    )


async def _published_form(session: AsyncSession, public_id: uuid.UUID) -> Form:
    form = await session.scalar(select(Form).where(Form.public_id == public_id))
    if form is None or form.status == "draft":
        raise not_found("form")
    return form


async def _answerable_form(session: AsyncSession, public_id: uuid.UUID) -> Form:
    form = await _published_form(session, public_id)
    if form.status == "closed":
        raise conflict("the form takes no more answers", "closed")
    return form


def form_html(form: Form, base: str) -> str:
    """The form as a page shows it in the place of `{{ form }}`."""
    parts = []
    for field in form.fields:
        name, label, needed = field["name"], escape(field["label"]), " required" if field["required"] else ""
        match field["type"]:
            case "choice":
                options = "".join(f"<option>{escape(option)}</option>" for option in field["options"])
                entry = f'<select name="{name}"{needed}>{options}</select>'
            case "checkbox":
                entry = f'<input type="checkbox" name="{name}" value="true"{needed}>'
            case kind:
                entry = f'<input type="{HTML_TYPES.get(kind, kind)}" name="{name}"{needed}>'
        parts.append(f"<p><label>{label} {entry}</label></p>")
    action = public_url(base, f"forms/{form.public_id}")
    return f'<form method="post" action="{escape(action)}">{"".join(parts)}<p><button>Send</button></p></form>'


@operation("GET", "public/forms/{id}", reply=PublicForm, is_open=True)
async def public_form(request: web.Request) -> PublicForm:
    """A form to fill in, by its public id."""
    public_id = path_id(request, "form")
    async with public_transaction(request, Form, public_id, "form") as session:
        form = await _published_form(session, public_id)
        return PublicForm(id=public_id, name=form.name, fields=[FormField.model_validate(one) for one in form.fields])


@operation("POST", "public/forms/{id}/submit", body=SubmitIn, status=201, reply=Submitted, is_open=True)
async def submit_form(request: web.Request, body: SubmitIn) -> Submitted:
    """Answer a form."""
    public_id = path_id(request, "form")
    async with public_transaction(request, Form, public_id, "form") as session:
        form = await _answerable_form(session, public_id)
        await submit(session, form, body.data)
        return Submitted(message=form.message)


@operation(
    "POST",
    "public/forms/{id}",
    media_type="text/html",
    request_media_type="application/x-www-form-urlencoded",
    is_open=True,
)
async def submit_html_form(request: web.Request) -> web.Response:
    """Answer a form from a page without scripts; the reply is a page as well."""
    public_id = path_id(request, "form")
    if request.content_type != "application/x-www-form-urlencoded":
        raise Problem(
            415, "not_a_form", f"the body must be application/x-www-form-urlencoded, not {request.content_type}"
        )
    posted = await request.post()
    data = {name: value for name, value in posted.items() if isinstance(value, str)}
    if any("\0" in text for pair in data.items() for text in pair):
        raise invalid("data", "must not contain NUL characters")
    async with public_transaction(request, Form, public_id, "form") as session:
        form = await _answerable_form(session, public_id)
        await submit(session, form, data)
        return _html(form.name, f"<p>{escape(form.message)}</p>")


@operation("GET", "public/pages/{id}", media_type="text/html", is_open=True)
async def public_page(request: web.Request) -> web.Response:
    """A landing page, by its public id; each look is a visit."""
    public_id = path_id(request, "page")
    async with public_transaction(request, LandingPage, public_id, "page") as session:
        shown = (LandingPage.public_id == public_id) & (LandingPage.status == "published")
        page = await session.scalar(select(LandingPage).where(shown))
        if page is None:
            raise not_found("page")
        counted = {"visits": LandingPage.visits + 1, "version": LandingPage.version + 1}
        await session.execute(_quietly(update(LandingPage).where(LandingPage.id == page.id).values(counted)))
        record(session, "visited", landing_page_id=page.id)
        shown_form = ""
        if page.form_id is not None:
            form = await session.scalar(select(Form).where(Form.id == page.form_id, Form.status == "published"))
            shown_form = form_html(form, request.app[SETTINGS].extra[PUBLIC_URL.key]) if form is not None else ""
        return _html(page.title, FORM_PLACE.sub(lambda _match: shown_form, page.html))


def _quietly(statement):  # type: ignore[no-untyped-def]
    return statement.execution_options(synchronize_session=False)


@operation("GET", "public/l/{code}", status=302, is_open=True)
async def follow_link(request: web.Request) -> web.Response:
    """Go where a short link leads, and be counted; `d` is the message that it was in."""
    code = request.match_info["code"]
    if not code.isascii() or not code.isalnum() or len(code) > 20:
        raise not_found("link")
    async with public_transaction(request, Link, code, "link") as session:
        link = await session.scalar(select(Link).where(Link.code == code))
        if link is None or not link.is_active:
            raise not_found("link")
        now = utc_now()
        counted = {"clicks": Link.clicks + 1, "last_clicked_at": now, "version": Link.version + 1}
        await session.execute(_quietly(update(Link).where(Link.id == link.id).values(counted)))
        delivery = await _delivery(session, request.query.get("d", ""))
        subscriber_id, campaign_id = None, link.campaign_id
        if delivery is not None:
            subscriber_id, campaign_id = delivery.subscriber_id, delivery.campaign_id
            seen = {"clicked_at": now, "version": Delivery.version + 1}
            first = (Delivery.id == delivery.id) & Delivery.clicked_at.is_(None)
            await session.execute(_quietly(update(Delivery).where(first).values(seen)))
        record(session, "clicked", link_id=link.id, subscriber_id=subscriber_id, campaign_id=campaign_id)
        await tell(session, "link.clicked", {"link_id": link.id, "url": link.url, "subscriber_id": subscriber_id})
        return web.Response(status=302, headers={"Location": link.url, "Referrer-Policy": "no-referrer", **NO_STORE})


async def _delivery(session: AsyncSession, text: str) -> Delivery | None:
    """The delivery of this tenant that has that public id; a click that names none counts all the same."""
    try:
        public_id = uuid.UUID(text)
    except ValueError:
        return None
    return await session.scalar(select(Delivery).where(Delivery.public_id == public_id))


@operation("GET", "public/opens/{id}", media_type="image/gif", is_open=True)
async def opened(request: web.Request) -> web.Response:
    """The picture of one point that says that a message was opened."""
    public_id = path_id(request, "message")
    async with public_transaction(request, Delivery, public_id, "message") as session:
        delivery = await _delivery(session, str(public_id))
        if delivery is None:
            raise not_found("message")
        first = (Delivery.id == delivery.id) & Delivery.opened_at.is_(None)
        seen = {"opened_at": utc_now(), "version": Delivery.version + 1}
        if (await session.execute(_quietly(update(Delivery).where(first).values(seen)))).rowcount:
            record(session, "opened", subscriber_id=delivery.subscriber_id, campaign_id=delivery.campaign_id)
    return web.Response(body=PIXEL, content_type="image/gif", headers=NO_STORE)


def _token(request: web.Request) -> Token:
    token = read_token(request.match_info["token"])
    if token is None:
        raise not_found("message")
    return token


async def _who(session: AsyncSession, token: Token) -> Subscriber:
    """Whose token it is. One with a wrong signature looks like one of nobody."""
    found = select(Subscriber).where(Subscriber.public_id == token.public_id).with_for_update()
    subscriber = await session.scalar(found)
    if subscriber is None or not is_signed(token, subscriber.token_key, UNSUBSCRIBE):
        raise not_found("message")
    return subscriber


@operation("GET", "public/unsubscribe/{token}", media_type="text/html", is_open=True)
async def ask_unsubscribe(request: web.Request) -> web.Response:
    """Ask whether somebody wants to get no more; what opens links to look at them must not do it."""
    token = _token(request)
    async with public_transaction(request, Subscriber, token.public_id, "message") as session:
        subscriber = await _who(session, token)
    if subscriber.status == "unsubscribed":
        return _html("Unsubscribed", f"<p>{escape(subscriber.email)} gets no more messages.</p>")
    button = '<form method="post"><button name="List-Unsubscribe" value="One-Click">Unsubscribe</button></form>'
    return _html("Unsubscribe", f"<p>Send no more messages to {escape(subscriber.email)}?</p>{button}")


@operation("POST", "public/unsubscribe/{token}", media_type="text/html", is_open=True)
async def public_unsubscribe(request: web.Request) -> web.Response:
    """Get no more messages (RFC 8058); once or more often, the same."""
    token = _token(request)
    async with public_transaction(request, Subscriber, token.public_id, "message") as session:
        subscriber = await _who(session, token)
        await leave(session, subscriber, "by the link in a message", token.delivery_id)
        subscriber.updated_at = utc_now()
    return _html("Unsubscribed", f"<p>{escape(subscriber.email)} gets no more messages.</p>")


OPERATIONS = (
    *(public_form, submit_form, submit_html_form, public_page, follow_link, opened),
    *(ask_unsubscribe, public_unsubscribe),
)
