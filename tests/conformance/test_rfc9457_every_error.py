"""Every error of `gateway/core/errors.py`, provoked: problem+json (RFC 9457) with Proxy-Status (RFC 9209).

SCENARIOS says for each code how a client, an upstream or a store comes to it.
"""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest

from gateway.core.errors import ERRORS
from tests.support.certificates import Authority
from tests.support.client import ClientReply, connected
from tests.support.gateway import SECRET, Rig, rig, token, until
from tests.support.origin import Received, answer, deaf_endpoint, greeting_endpoint, raw, running_origin

TABLE = """
version: 1
plugins: [tests.support.faulty_plugin]
gateway: {on_invalid: partial, store: "${env:STORE:-memory://}", limits: {header_timeout: 250ms, max_connections: 2}}
auth:
  test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}", issuer: me, audience: api}}
  several: {jwt: {algorithms: [HS256], keys: [{kid: one, algorithm: HS256, secret: "${env:SECRET}"}]}}
  remote: {jwt: {algorithms: [RS256], jwks: "http://127.0.0.1:1/jwks.json"}}
  machines: {api_key: {header: X-Api-Key, keys: {ci: {sha256: "KEYHASH", tenant: t1}}}}
plans: {free: {limits: [2/d]}}
defaults: {auth: none, timeout: {connect: 200ms, total: 400ms}, body_max: 1KiB}
upstreams:
  origin: {endpoints: ["${env:ORIGIN}"], pool: {max: 1}}
  frail: {endpoints: ["${env:ORIGIN}"], breaker: {min: 1}}
  narrow: {endpoints: ["${env:ORIGIN}"], overload: {max: 1, min: 1, queue: 0}}
  nobody: {endpoints: ["http://127.0.0.1:1"]}
  deaf: {endpoints: ["${env:DEAF}"]}
  stranger: {endpoints: ["${env:STRANGER}"]}
  plain: {endpoints: ["${env:PLAIN}"]}
routes:
- {id: open, match: {path: "/open/*", methods: [GET, POST]}, to: origin}
- {id: closed, match: "/closed/*", to: origin, auth: test}
- {id: several, match: "/several", to: origin, auth: several}
- {id: keyed, match: "/keyed", to: origin, auth: machines}
- {id: remote, match: "/remote", to: origin, auth: remote}
- {id: scoped, match: "/scoped", to: origin, auth: test, allow: {scopes: [a]}}
- {id: licensed, match: "/licensed", to: origin, auth: test, allow: {modules: [crm]}}
- {id: inner, match: "/inner", to: origin, allow: {addresses: [10.0.0.0/8]}}
- {id: crossed, match: "/crossed", to: origin, cors: {origins: ["https://good.example"]}}
- {id: limited, match: "/limited", to: origin, limit: 1/d}
- {id: capped, match: "/capped", to: origin, limit: {concurrent: 1}}
- {id: shared, match: "/shared", to: origin, limit: {rate: 1/d, on_store_down: closed}}
- {id: kept, match: "/kept", to: origin, cache: 1m}
- {id: once, match: "/once", to: origin, idempotency: required}
- {id: batch, match: "/batch", batch: {max: 2, deadline: 100ms}}
- {id: nobody, match: "/nobody", to: nobody}
- {id: deaf, match: "/deaf", to: deaf}
- {id: stranger, match: "/stranger", to: stranger}
- {id: plain, match: "/plain", to: plain}
- {id: frail, match: "/frail", to: frail}
- {id: narrow, match: "/narrow", to: narrow}
- {id: closed-now, match: "/closed-now", to: origin, maintenance: 10m}
- {id: broken-now, match: "/broken-now", to: origin, fault: {status: 503}}
- {id: faulty, match: "/faulty", to: origin, faulty: on_request}
- {id: broken, match: "/broken", to: nowhere}
"""


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(iss='me', aud='api', **claims)}"}


async def batch_part(r: Rig, parts: list[dict[str, Any]]) -> ClientReply:
    """The reply of the part that failed, as if it had come alone."""
    reply = await r.exchange("POST", "/batch", body=json.dumps({"requests": parts}).encode())
    (part,) = (part for part in reply.json["responses"] if part["status"] >= 400)
    lines = [(name.lower(), value) for name, value in part["headers"].items()]
    return ClientReply(part["status"], lines, json.dumps(part["body"]).encode())


async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def too_many_connections(r: Rig) -> ClientReply:
    async with connected(r.gateway.port), connected(r.gateway.port) as third:
        return await third.read_reply()


async def busy(r: Rig) -> ClientReply:
    r.origin.script = silent
    async with connected(r.gateway.port) as other:
        other.send(b"GET /open/ HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: bool(r.origin.requests))
        return await r.exchange("GET", "/open/x")


async def one_too_many(r: Rig, path: str) -> ClientReply:
    r.origin.script = silent
    async with connected(r.gateway.port) as other:
        other.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
        await until(lambda: bool(r.origin.requests))
        return await r.exchange("GET", path)


async def after_a_failure(r: Rig) -> ClientReply:
    r.origin.script = answer(b"no", "503 No")
    return await second(r, "/frail")


async def with_script(r: Rig, script: Any) -> ClientReply:
    r.origin.script = script
    return await r.exchange("GET", "/open/")


async def keyed(r: Rig, key: str = "k1", body: bytes = b"") -> ClientReply:
    return await r.exchange("POST", "/once", {"Idempotency-Key": key}, body=body)


async def keyed_twice(r: Rig) -> ClientReply:
    await keyed(r)
    return await keyed(r, body=b"other")


async def keyed_large(r: Rig) -> ClientReply:
    r.origin.script = answer(bytes(2_000_000))
    await keyed(r)
    return await keyed(r)


async def keyed_in_flight(r: Rig) -> ClientReply:
    r.origin.script = silent
    async with connected(r.gateway.port) as other:
        other.send(b"POST /once HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k1\r\nContent-Length: 0\r\n\r\n")
        await until(lambda: bool(r.origin.requests))
        return await keyed(r)


async def second(r: Rig, path: str) -> ClientReply:
    await r.exchange("GET", path)
    return await r.exchange("GET", path)


def other_token(header: dict[str, Any] | None = None, key: str = SECRET, **claims: Any) -> dict[str, str]:
    payload = {"tenant_id": "t1", "iss": "me", "aud": "api", "exp": 4102444800, **claims}
    return {"Authorization": f"Bearer {jwt.encode(payload, key, algorithm='HS256', headers=header)}"}


def unsigned_token() -> dict[str, str]:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, {})]
    return {"Authorization": f"Bearer {b'.'.join([*parts, b'']).decode()}"}


def remote_token() -> dict[str, str]:
    parts = [{"alg": "RS256", "kid": "k"}, {"tenant_id": "t1"}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return {"Authorization": f"Bearer {'.'.join([*texts, 'c2ln'])}"}


PREFLIGHT = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
Scenario = Callable[[Rig], Awaitable[ClientReply]]
SCENARIOS: dict[str, Scenario] = {
    "bad_request": lambda r: r.send(b"GET /open/ HTTP/1.1\r\n\r\n"),
    "path_not_canonical": lambda r: r.exchange("GET", "/open/../closed/x"),
    "no_route": lambda r: r.exchange("GET", "/nowhere"),
    "method_not_allowed": lambda r: r.exchange("DELETE", "/open/x"),
    "request_timeout": lambda r: r.send(b"GET /open/ HT"),
    "body_too_large": lambda r: r.exchange("POST", "/open/", body=b"x" * 2000),
    "target_too_long": lambda r: r.exchange("GET", "/open/" + "x" * 9000),
    "expectation_failed": lambda r: r.exchange("POST", "/open/", {"Expect": "x"}, body=b"x"),
    "headers_too_large": lambda r: r.exchange("GET", "/open/", {"X-Long": "x" * 40_000}),
    "not_implemented": lambda r: r.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "version_not_supported": lambda r: r.send(b"GET /open/ HTTP/3.0\r\nHost: a\r\n\r\n"),
    "token_missing": lambda r: r.exchange("GET", "/closed/"),
    "token_malformed": lambda r: r.exchange("GET", "/closed/", {"Authorization": "Bearer x.y"}),
    "token_algorithm_refused": lambda r: r.exchange("GET", "/closed/", unsigned_token()),
    "token_key_unknown": lambda r: r.exchange("GET", "/several", other_token({"kid": "other"})),
    "token_signature_wrong": lambda r: r.exchange("GET", "/closed/", other_token(key="x" * 32)),
    "token_expired": lambda r: r.exchange("GET", "/closed/", bearer(exp=1)),
    "token_not_yet_valid": lambda r: r.exchange("GET", "/closed/", bearer(nbf=time.time() + 1000)),
    "token_issuer_wrong": lambda r: r.exchange("GET", "/closed/", other_token(iss="you")),
    "token_audience_wrong": lambda r: r.exchange("GET", "/closed/", other_token(aud="web")),
    "token_claim_missing": lambda r: r.exchange("GET", "/closed/", other_token(tenant_id=None)),
    "api_key_missing": lambda r: r.exchange("GET", "/keyed"),
    "api_key_unknown": lambda r: r.exchange("GET", "/keyed", {"X-Api-Key": "x" * 32}),
    "keys_unavailable": lambda r: r.exchange("GET", "/remote", remote_token()),
    "scope_missing": lambda r: r.exchange("GET", "/scoped", bearer(scope="b")),
    "module_not_licensed": lambda r: r.exchange("GET", "/licensed", bearer(modules=["hr"])),
    "address_refused": lambda r: r.exchange("GET", "/inner"),
    "origin_refused": lambda r: r.exchange("OPTIONS", "/crossed", PREFLIGHT),
    "rate_limited": lambda r: second(r, "/limited"),
    "concurrency_limited": lambda r: one_too_many(r, "/capped"),
    "limit_store_down": lambda r: r.exchange("GET", "/shared"),
    "idempotency_key_missing": lambda r: r.exchange("POST", "/once"),
    "idempotency_key_malformed": lambda r: keyed(r, "a b"),
    "idempotency_in_flight": keyed_in_flight,
    "not_kept": lambda r: r.exchange("GET", "/kept", {"Cache-Control": "only-if-cached"}),
    "idempotency_reply_not_kept": keyed_large,
    "idempotency_key_reused": keyed_twice,
    "idempotency_store_down": keyed,
    "maintenance": lambda r: r.exchange("GET", "/closed-now"),
    "fault_injected": lambda r: r.exchange("GET", "/broken-now"),
    "batch_invalid": lambda r: r.exchange("POST", "/batch", body=b"{}"),
    "batch_part_refused": lambda r: batch_part(r, [{"id": 1, "method": "GET", "path": "/batch"}]),
    "batch_deadline": lambda r: batch_part(r, [{"id": 1, "method": "GET", "path": "/open/"}]),
    "upstream_unreachable": lambda r: r.exchange("GET", "/nobody"),
    "upstream_connect_timeout": lambda r: r.exchange("GET", "/deaf"),
    "upstream_certificate_refused": lambda r: r.exchange("GET", "/stranger"),
    "upstream_tls_failed": lambda r: r.exchange("GET", "/plain"),
    "upstream_reset": lambda r: with_script(r, raw(b"HTTP/1.1 200", close=True)),
    "upstream_bad_reply": lambda r: with_script(r, raw(b"hello\r\n\r\n")),
    "upstream_timeout": lambda r: with_script(r, silent),
    "upstream_busy": busy,
    "upstream_circuit_open": after_a_failure,
    "upstream_overloaded": lambda r: one_too_many(r, "/narrow"),
    "internal_error": lambda r: r.exchange("GET", "/faulty"),
    "route_quarantined": lambda r: r.exchange("GET", "/broken"),
    "overloaded": too_many_connections,
}


def test_every_error_has_its_scenario() -> None:
    assert set(SCENARIOS) == set(ERRORS)


@pytest.mark.parametrize("code", SCENARIOS)
async def test_rfc9457_3_every_error_says_what_happened_and_where(code: str) -> None:
    environ = {}
    if code in ("limit_store_down", "idempotency_store_down"):
        environ["STORE"] = "redis://127.0.0.1:1/0"
    table = TABLE.replace("KEYHASH", "0" * 64)
    script = silent if code == "batch_deadline" else None
    authority = Authority()
    tls = authority.server_context(authority.local)
    with deaf_endpoint() as url:
        async with (
            running_origin(tls=tls) as stranger,
            greeting_endpoint() as plain,
            rig(table, script, {"DEAF": url, "STRANGER": stranger.url, "PLAIN": plain, **environ}) as r,
        ):
            reply = await SCENARIOS[code](r)
            if code not in ("batch_part_refused", "batch_deadline"):  # these are parts of a reply, not replies
                assert r.gateway.metric("gateway_errors_total", code=code) == 1
                await until(lambda: any(line["code"] == code for line in r.gateway.log()))
                (logged,) = [line for line in r.gateway.log() if line["code"] == code]
                assert logged["status"] == reply.status
                assert logged["request_id"] == reply.get("X-Request-Id") == reply.json["request_id"]
    kind = ERRORS[code]
    problem = reply.json
    assert reply.status == problem["status"] == kind.status
    assert reply.get("Content-Type") == "application/problem+json"
    assert problem["code"] == code
    assert problem["type"].endswith(code)
    assert problem["title"] == kind.title
    assert problem["detail"]
    assert problem["source"] == kind.source.value
    assert set(problem) == {"type", "title", "status", "detail", "code", "source", "route", "request_id"}
    if code == "batch_deadline":
        return  # the part has no head of its own
    status = reply.get("Proxy-Status") or ""
    assert status.startswith(f"gateway; error={kind.proxy_error}"), status
    assert f'details="{code}"' in status
    assert reply.get("Cache-Control") == "no-store"
    if kind.status in (429, 503):
        assert int(reply.get("Retry-After") or 0) >= 1
    if kind.status == 401:
        assert reply.get("WWW-Authenticate")


async def test_rfc9110_9_3_2_an_error_for_head_has_no_body() -> None:
    async with rig() as r:
        reply = await r.exchange("HEAD", "//")
        assert reply.status == 400
        assert int(reply.get("Content-Length") or 0) > 100
        assert (await r.exchange("GET", "//")).json["code"] == "path_not_canonical"
