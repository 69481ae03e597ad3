"""RFC 9111: what a client sees of a route with `cache`, over a real socket. The rules by themselves are tested in
tests/core/test_cache_*.py; here it is that they are obeyed.
"""

import pytest

from tests.support.client import ClientReply
from tests.support.gateway import Rig, rig
from tests.support.origin import answer

TABLE = """
version: 1
gateway: {trusted_proxies: [127.0.0.1/32]}
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: all, match: /*, to: origin, cache: {}}
"""
FRESH = "Cache-Control: max-age=3600"


def say(r: Rig, body: bytes, *lines: str, status: str = "200 OK") -> None:
    """From here on the upstream answers so."""
    r.origin.script = answer(body, status, lines)


async def get(r: Rig, target: str = "/a", method: str = "GET", **headers: str) -> ClientReply:
    return await r.exchange(method, target, {name.replace("_", "-"): value for name, value in headers.items()})


async def test_section_4_a_fresh_reply_is_used_again_with_its_age_and_date() -> None:
    async with rig(TABLE) as r:
        say(r, b"one", FRESH, "Date: Sun, 06 Nov 1994 08:49:37 GMT", "X-A: 1")
        told = (await get(r)).get("cache-status") or ""
        assert told.startswith("gateway; fwd=uri-miss; ttl=3") and told.endswith("; stored")
        say(r, b"two", FRESH)
        reply = await get(r)
        assert (reply.body, reply.get("x-a"), reply.get("date")) == (b"one", "1", "Sun, 06 Nov 1994 08:49:37 GMT")
        assert reply.get("age") is not None
        assert (reply.get("cache-status") or "").startswith("gateway; hit; ttl=")
        assert len(r.origin.requests) == 1


async def test_section_4_3_2_a_condition_of_the_client_is_answered_from_what_is_kept() -> None:
    async with rig(TABLE) as r:
        say(r, b"one", FRESH, 'ETag: "a"')
        await get(r)
        assert (await get(r, If_None_Match='"a"')).status == 304
        assert (await get(r, If_None_Match='"b"')).body == b"one"
        part = await get(r, Range="bytes=1-")
        assert (part.status, part.body, part.get("content-range")) == (206, b"ne", "bytes 1-2/3")
        assert len(r.origin.requests) == 1


async def test_section_4_3_4_a_304_renews_what_is_kept() -> None:
    async with rig(TABLE) as r:
        say(r, b"one", "Cache-Control: no-cache", 'ETag: "a"', "X-A: 1", "X-B: 1")
        await get(r)
        say(r, b"", FRESH, 'ETag: "a"', "X-A: 2", status="304 Not Modified")
        reply = await get(r)
        assert r.origin.requests[1].get("if-none-match") == '"a"'
        assert (reply.status, reply.body, reply.get("x-a"), reply.get("x-b")) == (200, b"one", "2", "1")
        assert (await get(r)).body == b"one"
        assert len(r.origin.requests) == 2


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("proxy", [{}, {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "api.example"}])
async def test_section_4_4_a_write_drops_its_target_and_its_location(method: str, proxy: dict[str, str]) -> None:
    """For a client of a trusted proxy too, under the name that the proxy says."""
    async with rig(TABLE) as r:
        say(r, b"one", FRESH)
        for target in ("/a", "/b", "/c"):
            await get(r, target, **proxy)
        say(r, b"two", FRESH, "Location: /b")
        await get(r, "/a", method, **proxy)
        assert [(await get(r, target, **proxy)).body for target in ("/a", "/b", "/c")] == [b"two", b"two", b"one"]


async def test_section_4_4_a_write_that_fails_drops_nothing() -> None:
    async with rig(TABLE) as r:
        say(r, b"one", FRESH)
        await get(r)
        say(r, b"two", FRESH, status="500 Internal Server Error")
        await get(r, method="POST")
        assert (await get(r)).body == b"one"


async def test_section_4_3_5_head_renews_what_it_matches() -> None:
    async with rig(TABLE) as r:
        say(r, b"one", "Cache-Control: no-cache", 'ETag: "a"', "X-A: 1", "X-B: 1")
        await get(r)
        say(r, b"two", FRESH, 'ETag: "a"', "X-A: 2")
        await get(r, method="HEAD")
        reply = await get(r)
        assert (reply.body, reply.get("x-a"), reply.get("x-b")) == (b"one", "2", "1")
        assert len(r.origin.requests) == 2


async def test_section_4_3_5_head_drops_what_it_does_not_match() -> None:
    async with rig(TABLE) as r:
        say(r, b"one", FRESH, 'ETag: "a"')
        await get(r)
        say(r, b"two", FRESH, 'ETag: "b"')
        await get(r, method="HEAD", Cache_Control="no-cache")
        assert (await get(r)).body == b"two"


async def test_section_5_2_1_7_only_if_cached() -> None:
    async with rig(TABLE) as r:
        say(r, b"one", FRESH)
        assert (await get(r, Cache_Control="only-if-cached")).status == 504
        assert r.origin.requests == []
        await get(r)
        assert (await get(r, Cache_Control="only-if-cached")).body == b"one"


@pytest.mark.parametrize(("coding", "is_kept_for_all"), [("aes128gcm", True), ("br", False)])
async def test_section_4_1_a_coding_that_servers_choose_is_not_given_to_who_does_not_take_it(
    coding: str, is_kept_for_all: bool
) -> None:
    async with rig(TABLE) as r:
        say(r, b"one", FRESH, f"Content-Encoding: {coding}")
        await get(r, Accept_Encoding="br")
        say(r, b"two", FRESH)
        assert (await get(r, Accept_Encoding="gzip")).body == (b"one" if is_kept_for_all else b"two")
