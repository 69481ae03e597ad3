"""Hazard: a live explanation tells something else than the log, tells it to anybody, or leaks to the upstream."""

import json
import time

import pytest

from gateway.core.explain_token import make_explain_token
from tests.support.gateway import rig, token
from tests.support.origin import raw

KEY = "an-explain-key-of-this-test"
TABLE = """
version: 1
EXPLAINED
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
plans: {free: {limits: [1000/min]}}
defaults: {auth: test, limit: {plan: true}}
upstreams:
  origin: {endpoints: ["${env:ORIGIN}"]}
routes:
- {id: all, match: /a/*, to: origin, rewrite: {strip: /a}, cache: {ttl: 60s, scope: tenant}}
- {id: one, match: /one, auth: none, limit: none, respond: {text: one}}
"""
ON = TABLE.replace("EXPLAINED", f"gateway: {{explain_key: {KEY}}}")
OFF = TABLE.replace("EXPLAINED", "")


def signed(path: str, method: str = "GET", key: str = KEY, lifetime_s: float = 60) -> str:
    return make_explain_token(key, method, path, now_s=time.time(), lifetime_s=lifetime_s)


@pytest.mark.parametrize("lane", ["fast", "aiohttp"])
async def test_reply_and_log_say_the_same_and_the_upstream_hears_nothing(lane: str) -> None:
    async with rig(ON, lane=lane) as r:
        caller = {"Authorization": f"Bearer {token()}"}
        reply = await r.exchange("GET", "/a/x?y=1", {**caller, "X-Gateway-Explain": signed("/a/x")})
        (line,) = await r.gateway.log_lines()
        assert reply.get_all("x-gateway-explain") == [line["verdicts"]["explain"]]
        assert json.loads(reply.get("x-gateway-explain") or "") == {
            "version": r.gateway.serving.version,
            "route": "all",
            "status": 200,
            "code": None,
            "upstream": "origin",
            "upstream_path": "/x?y=1",
            "keys": {"limit": "plan:tenant:t1", "cache": ["t2:t1", "http", "gateway.test", "/a/x", "y=1"]},
        }
        (received,) = r.origin.requests
        assert b"explain" not in received.head.lower()
        # What was kept of it is for others, who have not asked.
        again = await r.exchange("GET", "/a/x?y=1", caller)
        assert again.get("x-gateway-explain") is None


async def test_a_refusal_is_explained_as_far_as_it_came() -> None:
    async with rig(ON) as r:
        reply = await r.exchange("GET", "/a/x", {"X-Gateway-Explain": signed("/a/x")})
        found = json.loads(reply.get("x-gateway-explain") or "")
        assert (found["route"], found["status"], found["code"]) == ("all", 401, "token_missing")
        assert (found["upstream"], found["keys"]) == (None, {})
        reply = await r.exchange("GET", "/none", {"X-Gateway-Explain": signed("/none")})
        found = json.loads(reply.get("x-gateway-explain") or "")
        assert (found["route"], found["code"]) == ("no-route", "no_route")


@pytest.mark.parametrize(
    "value",
    ["", "1", signed("/other"), signed("/one", "POST"), signed("/one", key="k" * 20), f"{signed('/one')}0"],
    ids=["empty", "no signature", "other path", "other method", "other key", "longer"],
)
async def test_without_a_valid_signature_it_looks_as_if_it_were_off(value: str) -> None:
    async with rig(ON) as on, rig(OFF) as off:
        replies = [await each.exchange("GET", "/one", {"X-Gateway-Explain": value}) for each in (on, off)]
        heads = [
            [(name, text) for name, text in reply.lines if name not in ("x-request-id", "server-timing", "date")]
            for reply in replies
        ]
        assert heads[0] == heads[1]
        assert [reply.body for reply in replies] == [b"one", b"one"]
        assert (await on.gateway.log_lines())[0]["verdicts"] == {}


async def test_a_valid_one_means_nothing_where_the_table_has_no_key() -> None:
    async with rig(OFF) as r:
        reply = await r.exchange("GET", "/one", {"X-Gateway-Explain": signed("/one")})
        assert reply.get("x-gateway-explain") is None
        reply = await r.exchange("GET", "/a/x", {"Authorization": f"Bearer {token()}", "X_Gateway_Explain": "1"})
        assert b"explain" not in r.origin.requests[0].head.lower()


async def test_two_lines_of_it_are_none() -> None:
    async with rig(ON) as r:
        value = signed("/one")
        reply = await r.send(
            f"GET /one HTTP/1.1\r\nHost: a\r\nX-Gateway-Explain: {value}\r\nX-Gateway-Explain: {value}\r\n\r\n".encode()
        )
        assert (reply.status, reply.get("x-gateway-explain")) == (200, None)


FORGED = b"X-Gateway-Explain: {}\r\nX-Other: kept\r\n"
FORGERIES = {
    "plain": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + FORGED + b"\r\nok",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + FORGED + b"\r\n2\r\nok\r\n0\r\n\r\n",
    "interim": b"HTTP/1.1 103 Early\r\n"
    + FORGED
    + b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    + FORGED
    + b"\r\nok",
    "error": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n" + FORGED.lower() + b"\r\nok",
    "trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Other: kept\r\n\r\n2\r\nok\r\n0\r\n"
    + FORGED
    + b"\r\n",
}


@pytest.mark.parametrize("lane", ["fast", "aiohttp"])
@pytest.mark.parametrize("forgery", FORGERIES)
async def test_an_upstream_cannot_speak_in_the_gateways_name(lane: str, forgery: str) -> None:
    async with rig(ON, raw(FORGERIES[forgery]), lane=lane) as r:
        caller = {"Authorization": f"Bearer {token()}", "TE": "trailers"}
        r.client.send(
            f"GET /a/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token()}\r\nTE: trailers\r\n\r\n".encode()
        )
        head = await r.client.read_head()
        while head.status < 200:
            assert (head.get("x-other"), head.get("x-gateway-explain")) == ("kept", None)
            head = await r.client.read_head()
        assert (head.get("x-other"), head.get("x-gateway-explain")) == ("kept", None)
        rest = b"" if head.get("content-length") else await r.client.reader.readuntil(b"\r\n\r\n")
        assert b"explain" not in rest.lower()
        if not rest:
            await r.client.reader.readexactly(2)
        asked = await r.exchange("GET", "/a/y", {**caller, "X-Gateway-Explain": signed("/a/y")})
        (said,) = asked.get_all("x-gateway-explain")
        assert json.loads(said)["route"] == "all"
