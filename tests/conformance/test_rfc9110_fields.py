"""RFC 9110: which fields pass the gateway, in each direction, and which it writes itself."""

import pytest

from tests.support.gateway import rig, token
from tests.support.origin import answer, raw

HOP_BY_HOP = {
    "Keep-Alive": "timeout=5",
    "Proxy-Connection": "keep-alive",
    "Proxy-Authenticate": "Basic",
    "Proxy-Authorization": "Basic eDp5",
    "TE": "gzip",
    "Trailer": "X-Sum",
    "Upgrade": "h2c",
}
TRUSTING = """
version: 1
gateway: {trusted_proxies: [127.0.0.1/32]}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}]
"""
KNOWING = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: test}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes: [{id: all, match: /*, to: origin}]
"""


@pytest.mark.parametrize("name", HOP_BY_HOP)
async def test_rfc9110_7_6_1_hop_by_hop_fields_of_the_request_are_removed(name: str) -> None:
    async with rig() as r:
        reply = await r.exchange("GET", "/", {name: HOP_BY_HOP[name], "X-Kept": "1"})
        assert reply.status == 200
        assert r.origin.last.get(name.lower()) is None
        assert r.origin.last.get("x-kept") == "1"


@pytest.mark.parametrize("name", HOP_BY_HOP)
async def test_rfc9110_7_6_1_hop_by_hop_fields_of_the_reply_are_removed(name: str) -> None:
    async with rig(script=answer(b"x", headers=(f"{name}: {HOP_BY_HOP[name]}", "X-Kept: 1"))) as r:
        reply = await r.exchange("GET", "/")
        assert reply.get(name) is None
        assert reply.get("X-Kept") == "1"


@pytest.mark.parametrize("connection", ["X-Secret", "x-secret, close", "keep-alive,X-SECRET", ", ,x-secret"])
async def test_rfc9110_7_6_1_fields_that_connection_names_are_removed(connection: str) -> None:
    script = answer(b"x", headers=(f"Connection: {connection}", "X-Secret: reply", "X-Kept: 1"))
    async with rig(script=script) as r:
        reply = await r.exchange("GET", "/", {"Connection": connection, "X-Secret": "request", "X-Kept": "1"})
        assert r.origin.last.get("x-secret") is None
        assert r.origin.last.get("connection") is None
        assert r.origin.last.get("x-kept") == "1"
        assert reply.get("X-Secret") is None
        assert reply.get("X-Kept") == "1"


async def test_rfc9110_7_6_1_connection_cannot_remove_what_the_gateway_or_its_operator_sets() -> None:
    table = KNOWING.replace("to: origin", "to: origin, headers: {request: {set: {X-Inner: operator}}}")
    named = "X-Tenant-Id, X-Forwarded-For, X-Request-Id, X-Inner, Host, Via, traceparent"
    async with rig(table) as r:
        reply = await r.exchange("GET", "/", {"Authorization": f"Bearer {token()}", "Connection": named})
        assert reply.status == 200
        for name in ("x-tenant-id", "x-forwarded-for", "x-request-id", "x-inner", "host", "via", "traceparent"):
            assert r.origin.last.get(name), name


async def test_rfc9110_7_6_3_via_is_added_after_the_ones_that_are_there() -> None:
    async with rig() as r:
        await r.exchange("GET", "/", {"Via": "1.1 edge"})
        assert r.origin.last.get_all("via") == ["1.1 edge", "1.1 gateway"]


async def test_rfc9110_7_2_host_is_the_endpoints_own_and_the_clients_is_forwarded() -> None:
    async with rig() as r:
        await r.exchange("GET", "/", {"Host": "Api.Example:8443"})
        assert r.origin.last.get_all("host") == [f"127.0.0.1:{r.origin.port}"]
        assert r.origin.last.get_all("x-forwarded-host") == ["api.example:8443"]


async def test_rfc9110_5_3_repeated_lines_keep_their_order_and_values() -> None:
    reply_lines = ("Set-Cookie: a=1", "X-Odd: first", "Set-Cookie: b=2", "X-Odd: \x80\xff")
    async with rig(script=answer(b"x", headers=reply_lines)) as r:
        reply = await r.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\nX-Odd: \xe9\xff\r\n"
            b"Accept: y\r\nX-Empty:\r\nX-Wide: \t a b \t\r\n\r\n"
        )
        lines = r.origin.last.lines
        assert [value for name, value in lines if name == b"accept"] == [b"x", b"y"]
        assert (b"x-odd", b"\xe9\xff") in lines
        assert (b"x-empty", b"") in lines
        assert (b"x-wide", b"a b") in lines
        assert reply.get_all("Set-Cookie") == ["a=1", "b=2"]
        assert reply.get_all("X-Odd") == ["first", "\x80\xff"]


async def test_rfc9110_6_6_1_date_is_added_where_the_upstream_sent_none() -> None:
    async with rig() as r:
        assert (await r.exchange("GET", "/")).get("Date")
        r.origin.script = answer(b"x", headers=("Date: Sun, 06 Nov 1994 08:49:37 GMT",))
        assert (await r.exchange("GET", "/")).get_all("Date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example",
    "X-Forwarded-Port": "443",
    "X-Real-IP": "203.0.113.9",
    "Forwarded": "for=203.0.113.9",
    "X_Forwarded_For": "203.0.113.9",
    "X-Forwarded_Proto": "https",
}


async def test_forwarded_fields_of_an_untrusted_peer_are_replaced() -> None:
    async with rig() as r:
        await r.exchange("GET", "/", {**FORWARDED, "X-Request-Id": "chosen-by-client"})
        assert r.origin.last.get_all("x-forwarded-for") == ["127.0.0.1"]
        assert r.origin.last.get_all("x-forwarded-proto") == ["http"]
        assert r.origin.last.get_all("x-forwarded-host") == ["gateway.test"]
        for name in ("x-forwarded-port", "x-real-ip", "forwarded", "x_forwarded_for", "x-forwarded_proto"):
            assert r.origin.last.get(name) is None, name
        assert r.origin.last.get("x-request-id") != "chosen-by-client"
        assert (await r.gateway.log_lines())[0]["client_ip"] == "127.0.0.1"


async def test_forwarded_fields_of_a_trusted_peer_are_believed_and_continued() -> None:
    async with rig(TRUSTING) as r:
        reply = await r.exchange("GET", "/", {**FORWARDED, "X-Request-Id": "chosen-by-edge"})
        assert r.origin.last.get_all("x-forwarded-for") == ["203.0.113.9, 127.0.0.1"]
        assert r.origin.last.get_all("x-forwarded-proto") == ["https"]
        assert r.origin.last.get_all("x-forwarded-host") == ["shop.example"]
        for name in ("x_forwarded_for", "x-forwarded_proto", "forwarded"):
            assert r.origin.last.get(name) is None, name
        assert r.origin.last.get("x-request-id") == reply.get("X-Request-Id") == "chosen-by-edge"
        assert (await r.gateway.log_lines())[0]["client_ip"] == "203.0.113.9"


async def test_identity_fields_of_a_client_never_pass_not_even_as_underscore_twins() -> None:
    forged = dict.fromkeys(
        ("X-Tenant-Id", "X-User-Id", "X-Plan", "X-Scopes", "X_Tenant_Id", "x_tenant-id", "X-Tenant_Id", "X_Plan"),
        "forged",
    )
    async with rig(KNOWING) as r:
        reply = await r.exchange("GET", "/", {**forged, "Authorization": f"Bearer {token('t7', 'pro', scope='b a')}"})
        assert reply.status == 200
        assert b"forged" not in r.origin.last.head
        assert r.origin.last.get_all("x-tenant-id") == ["t7"]
        assert r.origin.last.get_all("x-user-id") == ["u1"]
        assert r.origin.last.get_all("x-plan") == ["pro"]
        assert r.origin.last.get_all("x-scopes") == ["a b"]


async def test_identity_fields_of_a_client_never_pass_on_a_route_without_auth() -> None:
    async with rig() as r:
        await r.exchange("GET", "/", {"X-Tenant-Id": "forged", "X_User_Id": "forged"})
        assert b"forged" not in r.origin.last.head


async def test_trace_context_of_a_client_that_nobody_vouches_for_is_replaced() -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with rig() as r:
        await r.exchange("GET", "/", {"traceparent": given, "tracestate": "a=b"})
        (passed,) = r.origin.last.get_all("traceparent")
        assert passed.split("-")[1] != given.split("-")[1]
        assert r.origin.last.get("tracestate") is None


async def test_trace_context_from_a_trusted_proxy_is_continued_with_a_new_parent() -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with rig(TRUSTING) as r:
        await r.exchange("GET", "/", {"traceparent": given, "tracestate": "a=b"})
        (passed,) = r.origin.last.get_all("traceparent")
        assert passed.split("-")[1] == given.split("-")[1]
        assert passed.split("-")[2] != given.split("-")[2]
        assert r.origin.last.get("tracestate") == "a=b"


async def test_request_id_of_the_upstream_does_not_replace_the_gateways() -> None:
    async with rig(script=answer(b"x", headers=("X-Request-Id: theirs",))) as r:
        reply = await r.exchange("GET", "/")
        assert reply.get_all("X-Request-Id") == [r.origin.last.get("x-request-id")]


async def test_rfc9110_5_5_a_reply_with_bare_control_characters_is_refused() -> None:
    async with rig(script=raw(b"HTTP/1.1 200 OK\r\nX-A: b\x00c\r\nContent-Length: 0\r\n\r\n")) as r:
        assert (await r.exchange("GET", "/")).json["code"] == "upstream_bad_reply"
