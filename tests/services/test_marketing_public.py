"""Hazard: what needs no login shows or changes more than the one thing that its id is for."""

import re
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from upstream_services.kit.keys import DATABASE
from upstream_services.marketing.models import Subscriber
from upstream_services.marketing.reply_models import Form
from upstream_services.marketing.tokens import is_signed, make_token, read_token

from .marketing_work import Work, text_of

ANYBODY = {"X-Tenant-Id": ""}
FIELDS = [
    {"name": "email", "label": "Email", "type": "email", "required": True},
    {"name": "name", "label": "Name"},
    {"name": "city", "label": "City", "type": "choice", "options": ["Pune", "Goa"]},
    {"name": "guests", "label": "How many", "type": "number"},
    {"name": "day", "label": "Day", "type": "date"},
    {"name": "agreed", "label": "Agreed", "type": "checkbox", "required": True},
]
GOOD = {
    "email": "Asha@x.example",
    "name": " Asha ",
    "city": "Goa",
    "guests": "2",
    "day": "2026-01-31",
    "agreed": "true",
}


async def form(work: Work, **fields: Any) -> dict[str, Any]:
    """A published form."""
    made = await work.post("forms", 201, **({"name": "Fair", "fields": FIELDS} | fields))
    return await work.post(f"forms/{made['id']}/publish")


async def submit(work: Work, public_id: str, data: dict[str, str], **headers: str) -> tuple[int, dict[str, Any]]:
    """Answers a form as anybody."""
    path = f"/marketing/public/forms/{public_id}/submit"
    reply = await work.client.post(path, json={"data": data}, headers=ANYBODY | headers)
    return reply.status, await reply.json()


async def test_an_answer_is_kept_and_starts_what_the_form_says(work: Work) -> None:
    audience = await work.post("audiences", 201, name="Guests")
    sequence = await work.post("sequences", 201, name="Welcome")
    template = await work.post("templates", 201, name="T", subject="Welcome {{ name }}", text="{{ attributes.city }}")
    await work.post("sequence-steps", 201, sequence_id=sequence["id"], position=1, template_id=template["id"])
    await work.post(f"sequences/{sequence['id']}/activate")
    made = await form(work, audience_id=audience["id"], sequence_id=sequence["id"], message="Thanks!")
    shown = await work.client.get(f"/marketing/public/forms/{made['public_id']}", headers=ANYBODY)
    assert [field["name"] for field in (await shown.json())["fields"]] == [field["name"] for field in FIELDS]

    assert await submit(work, made["public_id"], GOOD) == (201, {"message": "Thanks!"})
    await work.jobs_end()
    (subscriber,) = await work.items(f"audiences/{audience['id']}/subscribers")
    assert (subscriber["email"], subscriber["name"]) == ("asha@x.example", "Asha")
    assert subscriber["attributes"] == {"city": "Goa", "guests": "2", "day": "2026-01-31", "agreed": "true"}
    (submission,) = await work.items(f"forms/{made['id']}/form-submissions")
    assert (submission["subscriber_id"], submission["data"]["email"]) == (subscriber["id"], "asha@x.example")
    assert submission["created_by"] is None
    assert [str(m["Subject"]) for m in work.inbox.messages] == ["Welcome Asha"]
    assert text_of(work.inbox.messages[0]).startswith("Goa")
    (event,) = await work.items("events", type="submitted")
    assert (event["form_id"], event["subscriber_id"]) == (made["id"], subscriber["id"])


async def test_what_a_request_says_of_tenants_is_not_believed(work: Work, other: str) -> None:
    made = await form(work)
    headers = {"X-Tenant-Id": other, "X-User-Id": "mallory"}
    assert (await submit(work, made["public_id"], GOOD, **headers))[0] == 201
    assert len(await work.items("form-submissions")) == 1
    theirs = await work.client.get("/marketing/form-submissions", headers={"X-Tenant-Id": other})
    assert (await theirs.json())["items"] == []
    (submission,) = await work.items("form-submissions")
    assert submission["created_by"] is None
    for row_id in (made["id"], str(uuid.uuid4()), "x"):  # the id that lists show is not the public one
        assert (await submit(work, row_id, GOOD))[0] == 404


async def test_the_database_shows_who_tells_a_public_id_that_row_only(work: Work) -> None:
    first, second = await form(work), await form(work)
    database = work.client.app[DATABASE]
    assert await database.tenant_of_public(Form, uuid.UUID(first["public_id"])) == work.tenant
    assert await database.tenant_of_public(Form, uuid.uuid4()) is None
    async with database.engine.begin() as connection:
        role = {"role": database.role or "suite_rows", "id": first["public_id"]}
        set_up = "select set_config('role', :role, true), set_config('app.public_id', :id, true)"
        await connection.execute(text(set_up), role)
        seen = (await connection.execute(text("select public_id from forms"))).scalars().all()
        assert [str(one) for one in seen] == [first["public_id"]]
        written = await connection.execute(text("update forms set name = 'x'"))
        assert written.rowcount == 0
    assert second["public_id"] not in map(str, seen)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": ""}, "data.email"),
        ({"email": "asha"}, "data.email"),
        ({"city": "Delhi"}, "data.city"),
        ({"guests": "two"}, "data.guests"),
        ({"guests": "NaN"}, "data.guests"),
        ({"day": "31.1.2026"}, "data.day"),
        ({"day": "2026-W05-6"}, "data.day"),
        ({"agreed": "false"}, "data.agreed"),
        ({"extra": "x"}, "data.extra"),
        ({"name": "a\0b"}, "data"),
    ],
)
async def test_answers_at_fault_are_named(work: Work, change: dict[str, str], field: str) -> None:
    made = await form(work)
    status, told = await submit(work, made["public_id"], GOOD | change)
    assert (status, [error["field"] for error in told["errors"]]) == (422, [field])
    assert await work.items("form-submissions") == []


async def test_a_form_that_is_not_published_takes_nothing(work: Work) -> None:
    made = await work.post("forms", 201, name="Fair", fields=FIELDS)
    assert (await submit(work, made["public_id"], GOOD))[0] == 404
    await work.post(f"forms/{made['id']}/publish")
    refused = await work.client.delete(f"/marketing/forms/{made['id']}")
    assert (refused.status, (await refused.json())["code"]) == (409, "published")
    await work.post(f"forms/{made['id']}/close")
    status, told = await submit(work, made["public_id"], GOOD)
    assert (status, told["code"]) == (409, "closed")
    renewed = await work.post(f"forms/{made['id']}/renew-address")
    assert renewed["public_id"] != made["public_id"]
    assert (await submit(work, made["public_id"], GOOD))[0] == 404
    assert (await work.client.delete(f"/marketing/forms/{made['id']}")).status == 204
    assert (await submit(work, renewed["public_id"], GOOD))[0] == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ([FIELDS[0], FIELDS[0]], "fields.1.name"),
        ([{"name": "a", "label": "A", "type": "choice"}], "fields.0.options"),
        ([{"name": "a", "label": "A", "type": "email"}], "fields.0.type"),
        ([{"name": "email", "label": "A"}], "fields.0.type"),
        ([{"name": 'a"', "label": "A"}], "fields.0.name"),
        ([], "fields"),
    ],
)
async def test_a_form_that_cannot_be_asked_is_refused(work: Work, fields: list[dict[str, Any]], field: str) -> None:
    reply = await work.client.post("/marketing/forms", json={"name": "F", "fields": fields})
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, field)


async def test_anybody_can_type_an_address_but_not_change_whose_it_is(work: Work) -> None:
    made = await form(work)
    who = await work.post("subscribers", 201, email="asha@x.example", name="Asha Rao")
    await work.post(f"subscribers/{who['id']}/unsubscribe")
    assert (await submit(work, made["public_id"], GOOD | {"name": "Mallory"}))[0] == 201
    after = await work.get(f"subscribers/{who['id']}")
    assert (after["name"], after["status"]) == ("Asha Rao", "unsubscribed")


async def test_a_page_shows_its_form_and_runs_nothing(work: Work) -> None:
    made = await form(work, fields=[*FIELDS[:3], {"name": "x", "label": "<script>alert(1)</script>"}])
    html = "<h1>Come</h1>{{ form }}<script>alert(1)</script>"
    page = await work.post("landing-pages", 201, name="P", title="<b>", html=html, form_id=made["id"])
    path = f"/marketing/public/pages/{page['public_id']}"
    assert (await work.client.get(path, headers=ANYBODY)).status == 404
    await work.post(f"landing-pages/{page['id']}/publish")
    reply = await work.client.get(path, headers=ANYBODY)
    shown = await reply.text()
    assert (reply.status, reply.content_type) == (200, "text/html")
    policy = reply.headers["Content-Security-Policy"]
    assert "sandbox" in policy and "allow-scripts" not in policy and "allow-same-origin" not in policy
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "<title>&lt;b&gt;</title>" in shown and "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<option>Goa</option>" in shown
    action = re.search(r'action="[^"]*(/marketing/[^"]+)"', shown)
    assert action is not None
    posted = await work.client.post(action[1], data={"email": "a@x.example", "city": "Goa"}, headers=ANYBODY)
    assert (posted.status, "Thank you." in await posted.text()) == (200, True)
    assert len(await work.items("form-submissions")) == 1
    as_json = await work.client.post(action[1], json={}, headers=ANYBODY)
    assert (as_json.status, (await as_json.json())["code"]) == (415, "not_a_form")
    assert (await work.get(f"landing-pages/{page['id']}"))["visits"] == 1
    await work.post(f"landing-pages/{page['id']}/unpublish")
    assert (await work.client.get(path, headers=ANYBODY)).status == 404


async def test_a_short_link_leads_on_and_counts(work: Work, other: str) -> None:
    link = await work.post("links", 201, url="https://x.example/a?b=c")
    path = f"/marketing/public/l/{link['code']}"
    assert re.fullmatch(r"[A-Za-z0-9]{10}", link["code"])
    for query in ("", "?d=nonsense", f"?d={uuid.uuid4()}"):
        reply = await work.client.get(path + query, headers=ANYBODY, allow_redirects=False)
        assert (reply.status, reply.headers["Location"]) == (302, "https://x.example/a?b=c")
        assert reply.headers["Cache-Control"] == "no-store"
    after = await work.get(f"links/{link['id']}")
    assert (after["clicks"], after["last_clicked_at"] is None) == (3, False)
    assert len(await work.items("events", type="clicked")) == 3
    await work.client.patch(f"/marketing/links/{link['id']}", json={"is_active": False})
    assert (await work.client.get(path, headers=ANYBODY, allow_redirects=False)).status == 404
    for code in ("nowhere", "x" * 40, "%00", "a-b", "é"):
        assert (await work.client.get(f"/marketing/public/l/{code}", headers=ANYBODY)).status == 404
    bad = await work.client.post("/marketing/links", json={"url": "javascript:alert(1)"})
    assert bad.status == 422


async def test_opens_clicks_and_the_way_out_are_of_their_message(work: Work) -> None:
    link = await work.post("links", 201, url="https://x.example/offer")
    place = "{{ link:" + link["code"] + " }}"
    campaign = await work.campaign("asha", "bina", text=f"See {place}", html=f'<a href="{place}">See</a>')
    await work.post(f"campaigns/{campaign['id']}/launch")
    await work.jobs_end()
    message = next(one for one in work.inbox.messages if one["To"] == "asha@x.example")
    html = text_of(message, "html")
    pixel = re.search(r'src="[^"]*(/marketing/public/opens/[^"]+)"', html)
    short = re.search(r'href="[^"]*(/marketing/public/l/[^"]+)"', html)
    assert pixel is not None and short is not None
    for _ in range(2):
        shown = await work.client.get(pixel[1], headers=ANYBODY)
        assert (shown.status, shown.content_type) == (200, "image/gif")
        clicked = await work.client.get(short[1], headers=ANYBODY, allow_redirects=False)
        assert clicked.status == 302
    leave = "/marketing/" + message["List-Unsubscribe"].strip("<>").partition("/marketing/")[2]
    asked = await work.client.get(leave, headers=ANYBODY)
    assert "asha@x.example?" in await asked.text()
    (asha,) = await work.items("subscribers", email="asha@x.example")
    assert asha["status"] == "subscribed"  # to look does not do it
    for _ in range(2):
        done = await work.client.post(leave, data={"List-Unsubscribe": "One-Click"}, headers=ANYBODY)
        assert (done.status, "gets no more" in await done.text()) == (200, True)
    (asha,) = await work.items("subscribers", email="asha@x.example")
    assert (asha["status"], asha["unsubscribe_reason"]) == ("unsubscribed", "by the link in a message")
    results = await work.get(f"campaigns/{campaign['id']}/results")
    assert {name: results[name] for name in ("sent", "opened", "clicked", "unsubscribed", "open_rate")} == {
        "sent": 2, "opened": 1, "clicked": 1, "unsubscribed": 1, "open_rate": 50.0,
    }  # fmt: skip
    types = [event["type"] for event in await work.items(f"subscribers/{asha['id']}/events")]
    assert sorted(types) == ["clicked", "clicked", "opened", "sent", "unsubscribed"]


async def test_a_token_is_worth_nothing_when_it_is_changed_or_of_somebody_else(work: Work) -> None:
    asha, bina = await work.subscribers("asha", "bina")
    async with work.client.app[DATABASE].transaction(work.tenant) as session:
        rows = {str(row.id): row for row in (await session.scalars(select(Subscriber))).all()}
    mine, theirs = rows[asha["id"]], rows[bina["id"]]
    good = make_token(mine.token_key, "unsubscribe", mine.public_id)
    bad = (
        make_token(theirs.token_key, "unsubscribe", mine.public_id),
        make_token(mine.token_key, "confirm", mine.public_id),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        good[:30] + ("A" if good[30] != "A" else "B") + good[31:],
        "x", "x" * 64, good + "A", good[:-4],
    )  # fmt: skip
    for token in bad:
        for method in ("GET", "POST"):
            reply = await work.client.request(method, f"/marketing/public/unsubscribe/{token}", headers=ANYBODY)
            assert reply.status == 404, token
    assert {one["status"] for one in await work.items("subscribers")} == {"subscribed"}
    assert (await work.client.post(f"/marketing/public/unsubscribe/{good}", headers=ANYBODY)).status == 200


@given(
    st.binary(min_size=32, max_size=32),
    st.uuids(),
    st.uuids() | st.none(),
    st.integers(0, 63),
    st.text("aZ_-", min_size=1, max_size=1),
)
def test_a_token_is_its_parts_signed(key: bytes, public_id: uuid.UUID, delivery: Any, at: int, letter: str) -> None:
    whole = make_token(key, "unsubscribe", public_id, delivery)
    token = read_token(whole)
    assert token is not None
    nil = uuid.UUID(int=0)
    assert (token.public_id, token.delivery_id) == (public_id, delivery if delivery != nil else None)
    assert is_signed(token, key, "unsubscribe") and not is_signed(token, key, "x")
    changed = whole[:at] + letter + whole[at + 1 :]
    other = read_token(changed)
    assert changed == whole or other is None or not is_signed(other, key, "unsubscribe")
