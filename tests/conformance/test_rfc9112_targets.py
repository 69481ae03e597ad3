"""RFC 9112 section 3: request lines, targets and Host; RFC 9110 sections 9 and 15 where no route fits."""

import pytest

from tests.support.gateway import rig
from tests.support.origin import answer

ROUTES = """
version: 1
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: read, match: {path: "/items/*", methods: [GET]}, to: origin}
- {id: write, match: {path: "/items/*", methods: [POST, PUT]}, to: origin}
- {id: shop, match: {path: "/items/*", host: shop.example}, to: origin}
- {id: inner, match: "/inner/*", to: origin, rewrite: {strip: /inner}}
- {id: rest, match: "/rest/*", to: origin}
"""


def get(target: bytes, *lines: bytes, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/%b\r\n" % (method, target, version) + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


@pytest.mark.parametrize(
    "target",
    [
        b"/rest/a%20b",
        b"/rest/%7Euser/%e4%bd%a0",
        b"/rest/a?b=c&d=%2F..%2f&e",
        b"/rest/a?",
        b"/rest/a??b=?",
        b"/rest/?q=a/../b//c;d#".rstrip(b"#"),
        b"/rest/a,b:c@d=e",
        b'/rest/a?q="quoted"|{}^`',
    ],
)
async def test_rfc9112_3_2_1_the_target_is_forwarded_byte_for_byte(target: bytes) -> None:
    async with rig(ROUTES) as r:
        reply = await r.send(get(target, b"Host: a"))
        assert reply.status == 200, reply.body
        assert r.origin.last.request_line == b"GET " + target + b" HTTP/1.1"


async def test_rfc9112_3_2_1_a_query_that_is_not_ascii_is_forwarded_byte_for_byte_or_refused() -> None:
    async with rig(ROUTES) as r:
        target = b"/rest/a?q=\xc3\xa9\xe4\xbd\xa0\xff"
        reply = await r.send(get(target, b"Host: a"))
        if reply.status == 200:
            assert r.origin.last.request_line == b"GET " + target + b" HTTP/1.1"
        else:
            assert (reply.status, reply.json["code"]) == (400, "bad_request")


async def test_the_query_stays_where_the_path_is_rewritten() -> None:
    async with rig(ROUTES) as r:
        await r.send(get(b"/inner/a%20b?x=%20&y", b"Host: a"))
        assert r.origin.last.request_line == b"GET /a%20b?x=%20&y HTTP/1.1"


@pytest.mark.parametrize(
    "target", [b"/rest/../items/1", b"/rest//a", b"/rest/%2e%2e/items", b"/rest/a%2fb", b"/rest/a;b"]
)
async def test_rfc3986_6_2_a_path_that_can_be_read_in_two_ways_is_refused(target: bytes) -> None:
    async with rig(ROUTES) as r:
        reply = await r.send(get(target, b"Host: a"))
        assert (reply.status, reply.json["code"]) == (400, "path_not_canonical")
        assert r.origin.requests == []


async def test_rfc9112_3_2_2_an_absolute_target_is_forwarded_as_a_path() -> None:
    async with rig(ROUTES) as r:
        reply = await r.send(get(b"http://shop.example/items/1?a=b", b"Host: other.example"))
        assert reply.status == 200
        assert r.origin.last.request_line == b"GET /items/1?a=b HTTP/1.1"
        assert r.origin.last.get("x-forwarded-host") == "shop.example"
        assert (await r.gateway.log_lines())[0]["route"] == "shop"


@pytest.mark.parametrize("target", [b"http://", b"http://u@h/", b"ftp://shop.example/", b"items", b"*", b"http:///x"])
async def test_rfc9112_3_2_a_target_of_no_known_form_is_refused(target: bytes) -> None:
    async with rig(ROUTES) as r:
        reply = await r.send(get(target, b"Host: a"))
        assert (reply.status, reply.json["code"]) == (400, "bad_request")
        assert r.origin.requests == []


async def test_rfc9112_3_2_3_connect_is_refused() -> None:
    async with rig(ROUTES) as r:
        reply = await r.send(get(b"shop.example:443", b"Host: shop.example:443", method=b"CONNECT"))
        assert (reply.status, reply.json["code"]) == (501, "not_implemented")


async def test_rfc9112_3_2_4_options_of_the_server_is_not_forwarded() -> None:
    async with rig(ROUTES) as r:
        reply = await r.send(get(b"*", b"Host: a", method=b"OPTIONS"))
        assert (reply.status, reply.json["code"]) == (501, "not_implemented")
        assert r.origin.requests == []


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"Host: a", b"Host: a"),
        (b"Host: a", b"Host: b"),
        (b"Host: a b",),
        (b"Host: a/b",),
        (b"Host: a@b",),
        (b"Host: a, b",),
        (b"Host: a:b",),
        (b"Host: [::1",),
        (b"Host: \xe9",),
        (b"Host:",),
    ],
)
async def test_rfc9112_3_2_a_request_without_exactly_one_valid_host_is_refused(lines: tuple[bytes, ...]) -> None:
    async with rig(ROUTES) as r:
        reply = await r.send(get(b"/rest/a", *lines))
        assert (reply.status, reply.json["code"]) == (400, "bad_request")
        assert reply.get("Connection") == "close"
        assert r.origin.requests == []


@pytest.mark.parametrize("host", [b"a", b"A.example:80", b"[::1]:8080", b"127.0.0.1", b"a_b.example"])
async def test_rfc9112_3_2_every_valid_host_is_served(host: bytes) -> None:
    async with rig(ROUTES) as r:
        assert (await r.send(get(b"/rest/a", b"Host: " + host))).status == 200


async def test_rfc9112_3_2_http10_needs_no_host() -> None:
    async with rig(ROUTES) as r:
        assert (await r.send(get(b"/rest/a", version=b"1.0"))).status == 200


async def test_rfc9112_2_2_empty_lines_before_the_request_are_skipped() -> None:
    async with rig(ROUTES) as r:
        assert (await r.send(b"\r\n" + get(b"/rest/a", b"Host: a"))).status == 200
        assert (await r.send(b"\r\n\r\n" + get(b"/rest/b", b"Host: a"))).status == 200


@pytest.mark.parametrize("version", [b"2.0", b"1.2", b"0.9", b"1", b"1.1.1", b"x"])
async def test_rfc9112_2_3_other_versions_are_refused(version: bytes) -> None:
    async with rig(ROUTES) as r:
        r.client.send(get(b"/rest/a", b"Host: a", version=version))
        reply = await r.client.read_head()
        assert reply.status in (400, 505)
        assert r.origin.requests == []


async def test_rfc9110_9_3_2_head_is_served_by_a_route_for_get() -> None:
    async with rig(ROUTES, answer(b"12345")) as r:
        reply = await r.exchange("HEAD", "/items/1")
        assert (reply.status, reply.get("Content-Length")) == (200, "5")
        assert r.origin.last.request_line == b"HEAD /items/1 HTTP/1.1"


async def test_rfc9110_15_5_6_a_wrong_method_is_405_with_allow() -> None:
    async with rig(ROUTES) as r:
        reply = await r.exchange("DELETE", "/items/1")
        assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
        assert reply.get("Allow") == "GET, HEAD, OPTIONS, POST, PUT"
        assert r.origin.requests == []
        # The connection goes on.
        assert (await r.exchange("GET", "/items/1")).status == 200


async def test_rfc9110_15_5_5_an_unknown_path_is_404() -> None:
    async with rig(ROUTES) as r:
        reply = await r.exchange("GET", "/unknown")
        assert (reply.status, reply.json["code"], reply.json["route"]) == (404, "no_route", "no-route")
        assert (await r.exchange("GET", "/items/1")).status == 200


async def test_rfc9112_3_a_target_that_is_too_long_is_414() -> None:
    async with rig(ROUTES) as r:
        reply = await r.exchange("GET", "/rest/" + "x" * 9000)
        assert (reply.status, reply.json["code"]) == (414, "target_too_long")
        assert r.origin.requests == []


@pytest.mark.parametrize(
    "lines",
    [
        {"X-Long": "x" * 40_000},
        {f"X-{number}": "x" * 1000 for number in range(40)},
        {f"X-{number}": "x" for number in range(200)},
        {"X" * 40_000: "x"},
    ],
    ids=["one long value", "long in sum", "many", "one long name"],
)
async def test_rfc6585_5_fields_that_are_too_large_are_431(lines: dict[str, str]) -> None:
    async with rig(ROUTES) as r:
        reply = await r.exchange("GET", "/rest/a", lines)
        assert (reply.status, reply.json["code"]) == (431, "headers_too_large")
        assert r.origin.requests == []
