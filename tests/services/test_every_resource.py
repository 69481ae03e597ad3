"""Hazard: an endpoint that the kit promises for every declared resource is missing or wrong on one of them.

The whole life of one record, on each resource of each service, and the same by another tenant, who must see none of it.
"""

import io
import uuid

from .conftest import Client
from .samples import body_of, change_of, make


async def test_the_life_of_a_record(client: Client, path: str) -> None:
    body = await body_of(client, path)
    made = await client.post(path, json=body)
    assert made.status == 201
    record = await made.json()
    where = made.headers["Location"]
    assert where == f"{path}/{record['id']}"

    got = await client.get(where)
    assert (got.status, await got.json()) == (200, record)
    assert got.headers["ETag"] == made.headers["ETag"] == f'"{record["id"].replace("-", "")}-1"'
    assert (await (await client.get(path)).json()) == {"items": [record], "next": None}

    change = change_of(path)
    patched = await client.patch(where, json=change)
    assert patched.status == 200
    after = await patched.json()
    assert {key: after[key] for key in change} == change
    assert after["version"] == 2
    assert after["updated_at"] > record["updated_at"]
    assert after == await (await client.get(where)).json()
    untouched = after.keys() - change.keys() - {"version", "updated_at"}
    assert {key: after[key] for key in untouched} == {key: record[key] for key in untouched}

    deleted = await client.delete(where)
    assert (deleted.status, await deleted.read()) == (204, b"")
    assert (await client.get(where)).status == 404
    assert (await client.delete(where)).status == 404


async def test_another_tenant_sees_and_changes_nothing(client: Client, path: str, other: str) -> None:
    record = await make(client, path)
    where, stranger = f"{path}/{record['id']}", {"X-Tenant-Id": other}
    assert await (await client.get(path, headers=stranger)).json() == {"items": [], "next": None}
    for method in ("GET", "PATCH", "DELETE"):
        json = change_of(path) if method == "PATCH" else None
        reply = await client.request(method, where, json=json, headers=stranger)
        assert reply.status == 404, method
        assert (await reply.json())["code"] == "not_found"
    assert await (await client.get(where)).json() == record


async def test_no_tenant_no_answer(client: Client, path: str) -> None:
    for headers in ({"X-Tenant-Id": ""}, {"X-Tenant-Id": "a b"}, {"X-Tenant-Id": "x" * 64}, {"X-Tenant-Id": "a'--"}):
        for method in ("GET", "POST"):
            reply = await client.request(method, path, headers=headers)
            assert reply.status == 401
            assert reply.content_type == "application/problem+json"
            assert (await reply.json())["code"] == "tenant_missing"


async def test_head_is_get_without_its_body(client: Client, path: str) -> None:
    record = await make(client, path)
    for target in (path, f"{path}/{record['id']}"):
        got, head = await client.get(target), await client.head(target)
        assert (head.status, await head.read()) == (200, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
        assert head.headers.get("ETag") == got.headers.get("ETag")


async def test_conditional_requests(client: Client, path: str) -> None:
    record = await make(client, path)
    where, change = f"{path}/{record['id']}", change_of(path)
    first = (await client.get(where)).headers["ETag"]
    for tag in (first, f"W/{first}", f'"other", {first}', "*"):
        reply = await client.get(where, headers={"If-None-Match": tag})
        assert (reply.status, await reply.read(), reply.headers["ETag"]) == (304, b"", first)
    assert (await client.get(where, headers={"If-None-Match": '"other"'})).status == 200

    assert (await client.patch(where, json=change, headers={"If-Match": '"other"'})).status == 412
    assert (await client.patch(where, json=change, headers={"If-Match": "nonsense"})).status == 412
    assert (await client.patch(where, json=change, headers={"If-Match": first})).status == 200
    second = (await client.get(where)).headers["ETag"]
    assert second != first
    stale = await client.delete(where, headers={"If-Match": first})
    assert (stale.status, (await stale.json())["code"]) == (412, "version_mismatch")
    assert (await client.delete(where, headers={"If-Match": f"W/{second}"})).status == 204


async def test_an_empty_patch_changes_nothing(client: Client, path: str) -> None:
    record = await make(client, path)
    reply = await client.patch(f"{path}/{record['id']}", json={})
    assert (reply.status, await reply.json()) == (200, record)


async def test_ids_that_are_none(client: Client, path: str) -> None:
    known = (await make(client, path))["id"]  # of a record, but not as its path is spelled
    for name in ("1", "x", str(uuid.uuid4()), "%00", "../x", known.upper(), known.replace("-", ""), f"{{{known}}}"):
        assert (await client.get(f"{path}/{name}")).status == 404


async def test_wrong_method_and_wrong_body(client: Client, path: str) -> None:
    reply = await client.put(path, json={})
    assert (reply.status, (await reply.json())["code"]) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "GET,HEAD,POST"
    reply = await client.post(path, data=b"{", headers={"Content-Type": "application/json"})
    assert (reply.status, (await reply.json())["code"]) == (400, "malformed_json")
    reply = await client.post(path, data=b"{}", headers={"Content-Type": "text/plain"})
    assert (reply.status, (await reply.json())["code"]) == (415, "not_json")
    reply = await client.post(
        path, data=io.BytesIO(b" " * (1024 * 1024 + 1)), headers={"Content-Type": "application/json"}
    )
    assert reply.status == 413
    assert reply.content_type == "application/problem+json"


async def test_unknown_fields_and_parameters_are_named(client: Client, path: str) -> None:
    record = await make(client, path)
    unknown = {"colour": "red", "tenant_id": "mine", "version": 7}
    for method, target in (("POST", path), ("PATCH", f"{path}/{record['id']}")):
        reply = await client.request(method, target, json=unknown)
        assert reply.status == 422
        fields = {error["field"] for error in (await reply.json())["errors"]}
        assert fields >= unknown.keys()
    reply = await client.get(path, params={"tenant_id": "mine"})
    assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "tenant_id")


async def test_text_that_postgresql_cannot_keep(client: Client, path: str) -> None:
    body = await body_of(client, path)
    name = next(iter(change_of(path)))
    for text in ("a\0b", "\ud800"):
        reply = await client.post(path, json=body | {name: text})
        assert reply.status in (400, 422), await reply.text()
