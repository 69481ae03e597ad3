"""Hazard: what `gateway explain` and the tests of a table say is not what the gateway does.

A thousand requests, drawn with a seed, go over real sockets; what the client got, what the upstream received, what the
stores were asked, and what the log says has to be what the rehearsal of the same table said before.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gateway.app
from gateway.config.load import load_table
from gateway.config.source import from_memory
from gateway.config.table_test import Caller
from gateway.core.explain_token import make_explain_token
from gateway.core.kept_replies import Sought
from gateway.core.rate_limit import Decision, Window
from gateway.explain.rehearsal import Outcome, Rehearsal, Request
from gateway.stores.kept_replies import KeptReplies
from gateway.stores.memory import MemoryLimits
from tests.support.client import RawClient, connected
from tests.support.gateway import SECRET, RunningGateway, running_gateway, token
from tests.support.origin import Origin, Received, running_origin

KEY = "an-explain-key-of-this-test"
API_KEY = "a-key-of-a-machine"
TABLE = """
version: 1
gateway: {explain_key: "${env:EXPLAIN_KEY}", TRUSTED}
auth:
  test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}
  machines:
    api_key:
      keys:
        ci:
          sha256: 5b9cf72c631f621e99e21a90d3f13dd9ff9c48f3167266c8bcb98e2d5fd74451
          tenant: m1
          plan: pro
          scopes: [a.read]
plans:
  free: {limits: [1000000/min]}
  pro: {limits: [2000000/min, 9000000/h]}
defaults:
  auth: test
  limit: {plan: true}
  cors: ["https://app.example"]
  rewrite: {strip: /api}
upstreams:
  one: {endpoints: ["${env:ORIGIN}"]}
  two: {endpoints: ["${env:ORIGIN}"]}
routes:
- id: lists
  match: {path: /api/a/*, methods: [GET]}
  to: one
  allow: {scopes: [a.read]}
  cache: {ttl: 3m, scope: tenant}
- id: records
  match: {path: "/api/a/{kind}/{id:int}", methods: [GET, DELETE]}
  to: one
  allow: {modules: [crm]}
  cache: {ttl: 1m, scope: user, vary: [accept]}
- id: writes
  match: {path: /api/a/*, methods: [POST, PUT]}
  to: two
  limit: {rate: 1000000/s, by: user}
  idempotency: optional
- id: beta
  match: {path: /api/a/*, methods: [GET], headers: {x-beta: "1"}}
  to: two
  limit: {rate: 1000000/s, by: ip}
- id: query
  match: {path: /api/a/*, methods: [GET], query: {v: "2", w: "*"}}
  to: two
  auth: none
  limit: none
  cache: {ttl: 5s}
- id: hosted
  match: {path: /api/*, host: "*.tenants.example"}
  to: two
  rewrite: {prefix: /hosted}
  limit: {rate: 1000000/s, by: route}
- id: exact
  match: {path: /api/*, host: api.example}
  to: one
  rewrite: {strip: /api, prefix: /x}
  auth: machines
  limit: {rate: 1000000/s, by: key}
- id: templated
  match: "/t/{one}/{two}"
  to: one
  rewrite: {path: "/into/{two}/{one}"}
  auth: none
  limit: {rate: 1000000/h, by: ip}
- {id: near, match: /near, to: one, rewrite: none, allow: {addresses: [127.0.0.0/8]}, auth: none}
- {id: far, match: /far, to: one, rewrite: none, allow: {addresses: [10.0.0.0/8]}, auth: none}
- {id: fixed, match: /status, respond: {json: {ok: true}}, auth: none, limit: none}
- {id: mine, match: /mine, respond: limits}
- {id: moved, match: /old/*, redirect: {to: /api/a/}, auth: none}
"""
PATHS = (
    *(
        "/api/a/x",
        "/api/a/x/7",
        "/api/a/x/seven",
        "/api/a/x?v=2",
        "/api/a/x/7?v=2&w=1",
        "/api/a/x/y?v=2&w=1",
        "/api/a/x/y?w=1&v=2",
        "/api/a",
        "/api/a/%41b",
        "/api/b",
    ),
    *(
        "/t/a/b",
        "/t/a%20b/c",
        "/t/a",
        "/near",
        "/far",
        "/status",
        "/mine",
        "/old/x?y=1",
        "/api",
        "/nowhere",
        "/api/a//x",
    ),
    *("/api/a/../b", "/api/a/x;y=1", "/api/%61/x", "/"),
)
HOSTS = ("gateway.test", "api.example", "API.example:8080", "x.tenants.example", "tenants.example")
HEADERS = (
    ("x-beta", "1"),
    ("accept", "text/html"),
    ("if-none-match", '"1"'),
    ("x-forwarded-for", "203.0.113.9"),
    ("x-tenant-id", "somebody-else"),
    ("origin", "https://app.example"),
    ("access-control-request-method", "GET"),
)
METHODS = ("GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")


class Asked:
    """What the live stores were asked since the last look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limit_keys: list[str] = []
        self.cache_keys: list[list[str]] = []
        asked, find = self, KeptReplies.find

        class Recording:
            # Around it and not below it: compiled, it has no interpreted heirs.
            def __init__(self, now_ms: Callable[[], int]) -> None:
                self._limits = MemoryLimits(now_ms)

            def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> Decision:
                asked.limit_keys.append(key)
                return self._limits.take(key, windows, cost)

        def recording(kept: KeptReplies, sought: Sought) -> Any:
            asked.cache_keys.append(list(sought.key))
            return find(kept, sought)

        monkeypatch.setattr(gateway.app, "MemoryLimits", Recording)
        monkeypatch.setattr(KeptReplies, "find", recording)

    def take(self) -> tuple[list[str], list[list[str]]]:
        found = self.limit_keys, self.cache_keys
        self.limit_keys, self.cache_keys = [], []
        return found


async def echo(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Nothing is kept of this, so every request comes here that may."""
    writer.write(b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 2\r\n\r\n")
    writer.write(b"" if received.request_line.startswith(b"HEAD") else b"ok")


def drawn(rng: random.Random) -> Iterator[tuple[Request, Request]]:
    """The request as it goes over the wire, and as it is rehearsed: with the credential, or with whom it names."""
    for number in range(1000):
        headers: dict[str, str] = {}
        caller: Caller | None = None
        credential: dict[str, str] = {}
        kind = rng.choice(("nobody", "token", "token", "token", "key", "bad"))
        if kind == "token":
            tenant, user = rng.choice(("t1", "t2")), rng.choice(("u1", "u2"))
            plan, scopes = rng.choice(("free", "pro", "unheard-of")), rng.choice((["a.read"], []))
            modules = rng.choice((["crm"], ["hr"]))
            caller = Caller(tenant=tenant, user=user, plan=plan, scopes=tuple(scopes), claims={"modules": modules})
            signed = token(tenant, plan, sub=user, scope=" ".join(scopes), modules=modules)
            credential = {"authorization": f"Bearer {signed}"}
        elif kind == "key":
            headers["x-api-key"] = API_KEY
        elif kind == "bad":
            headers["authorization"] = rng.choice(("Bearer a.b.c", "Basic eDp5"))
        headers |= {name: value for name, value in HEADERS if rng.random() < 0.2}
        if rng.random() < 0.3:
            headers["idempotency-key"] = f'"k{number}"'
        host = rng.choice(HOSTS)
        method, target = rng.choice(METHODS), rng.choice(PATHS)
        # Of a URL that was asked for before, the live cache knows already that nothing is kept.
        target += f"{'&' if '?' in target else '?'}n={number}"
        body = b"{}" if method in ("POST", "PUT") and rng.random() < 0.7 else b""
        # A profile of API keys does not see a token, and the rehearsal vouches for whatever the route asks for.
        is_vouched = caller is not None and rng.random() < 0.5 and "api.example" not in host.lower()
        sent = Request(method, target, host, headers=tuple({**headers, **credential}.items()), body=body)
        asked = Request(
            method,
            target,
            host,
            headers=tuple((headers if is_vouched else {**headers, **credential}).items()),
            body=body,
            caller=caller if is_vouched else None,
        )
        yield sent, asked


def told(outcome: Outcome) -> dict[str, Any]:
    """The parts of the explanation that a live one has as well."""
    return {name: outcome.summary[name] for name in ("route", "code", "upstream", "upstream_path", "keys")}


async def compare(
    sent: Request, outcome: Outcome, client: RawClient, origin: Origin, asked: Asked, explain: bool
) -> dict[str, Any] | None:
    """Send it, and compare what is seen from outside; the live explanation where it was asked for."""
    headers = {"Host": sent.authority, **dict(sent.headers)}
    if explain:
        path = sent.target.partition("?")[0]
        headers["X-Gateway-Explain"] = make_explain_token(KEY, sent.method, path, now_s=time.time(), lifetime_s=60)
    before = len(origin.requests)
    reply = await client.request(sent.method, sent.target, headers, sent.body)
    limit_keys, cache_keys = asked.take()
    summary = outcome.summary
    assert limit_keys == ([summary["keys"]["limit"]] if "limit" in summary["keys"] else [])
    assert set(map(tuple, cache_keys)) <= {tuple(summary["keys"].get("cache", ()))}
    if summary["upstream"] is None:
        assert len(origin.requests) == before
        assert reply.status == summary["status"]
    else:
        (received,) = origin.requests[before:]
        assert received.request_line.split(b" ")[1].decode() == summary["upstream_path"]
        assert sorted(lines_of(received)) == sorted(line for line in outcome.sent or () if line[0] not in FRESH)
    shown = reply.get("x-gateway-explain")
    assert (shown is not None) == explain
    return None if shown is None else dict(json.loads(shown))


# Each time another, or not there where the rehearsal vouches.
FRESH = ("host", "content-length", "x-request-id", "traceparent", "authorization", "x-request-timeout-ms")


def lines_of(received: Received) -> list[tuple[str, str]]:
    lines = [(name.decode(), value.decode("latin-1")) for name, value in received.lines]
    assert "x-gateway-explain" not in dict(lines)
    return [line for line in lines if line[0] not in FRESH]


async def log_line(gateway: RunningGateway, count: int) -> dict[str, Any]:
    return (await gateway.log_lines(count))[count - 1]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("trusted", ["trusted_proxies: []", "trusted_proxies: [127.0.0.1/32]"])
async def test_a_thousand_requests_end_as_the_rehearsal_says(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    table = TABLE.replace("TRUSTED", trusted)
    rng = random.Random(5)
    explained: list[tuple[dict[str, Any], dict[str, Any] | None]] = []
    async with running_origin(echo) as origin:
        environ = {"ORIGIN": origin.url, "EXPLAIN_KEY": KEY, "SECRET": SECRET}
        read_file, find_files = from_memory({"routes.yaml": table})
        rehearsal = Rehearsal(load_table("routes.yaml", environ=environ, read_file=read_file, find_files=find_files))
        async with running_gateway(table, environ) as gateway:
            for sent, rehearsed in drawn(rng):
                outcome = await rehearsal.run(rehearsed)
                async with connected(gateway.port) as client:
                    explained.append(
                        (dict(outcome.summary), await compare(sent, outcome, client, origin, asked, rng.random() < 0.5))
                    )
            lines = await gateway.log_lines(1000)
    reached: dict[str, set[Any]] = {"status": set(), "routes": set(), "keys": set()}
    for (summary, live), line in zip(explained, lines, strict=True):
        assert (line["route"], line["code"]) == (summary["route"], summary["code"])
        assert summary["status"] in (None, line["status"])
        assert bool(line["attempts"]) == (summary["upstream"] is not None)
        if live is not None:
            assert {**live, "status": None, "version": None} == {**summary, "status": None, "version": None}
            assert live["status"] == line["status"]
            assert json.loads(line["verdicts"]["explain"]) == live
        else:
            assert "explain" not in line["verdicts"]
        reached["status"].add(line["status"])
        reached["routes"].add(line["route"])
        reached["keys"] |= set(summary["keys"])
    # The drawing is worth something: every route, every kind of answer.
    assert reached["routes"] == {route.info.id for route in rehearsal.snapshot.routes} | {"no-route"}
    assert reached["status"] >= {200, 204, 308, 400, 401, 403, 404, 405}
    assert reached["keys"] == {"limit", "cache"}
