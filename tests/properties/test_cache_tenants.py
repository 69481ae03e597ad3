"""Hazard: a byte of one tenant in the reply to another. Every cached route of routes.yaml, both layers, any headers.

The upstream answers with who it was asked for, and with whatever it may say about caching, well or badly.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.load import LoadedTable, load_table
from gateway.core.headers import Headers
from gateway.plugin_api import Exchange, Reply
from tests.support.in_process import SharedMemory, Worker, load

SECRET = "no-secret-just-long-enough-for-the-test"
TENANTS = ("t1", "t2", "t1:u1", "t")
USERS = ("u1", "u2", "t2")
MODULES = ("crm", "finance", "hr", "marketing")

# Beside the product's own routes: every scope, each layer alone, and what the policy may add to the key.
MORE = """
version: 1
auth: {payaid: {jwt: {algorithms: [HS256], secret: "${env:JWT_SECRET}", issuer: payaid, audience: api}}}
defaults: {auth: payaid}
upstreams: {up: {endpoints: ["http://127.0.0.1:1"]}}
routes:
- {id: a, match: "/a/{id}", to: up, cache: {ttl: 24h, scope: user, stale: 30s, stale_if_error: 1h}}
- {id: b, match: "/b/{id}", to: up, cache: {ttl: 2m, scope: tenant, override: true, layers: [l1]}, compress: [gzip]}
- {id: c, match: "/c/{id}", to: up, cache: {ttl: 1h, scope: tenant, layers: [l2], vary: [x-plan]}, compress: [br]}
- {id: d, match: {path: "/b/{id}", headers: {x-other: "1"}}, to: up, cache: {ttl: 1h, scope: user, heuristic: true}}
"""


def token(tenant: str, user: str) -> str:
    claims = {
        "tenant_id": tenant,
        "sub": user,
        "plan": "enterprise",
        "iss": "payaid",
        "aud": "api",
        "exp": 4102444800,
        "scope": " ".join(f"{module}.{right}" for module in MODULES for right in ("read", "write")),
        "modules": list(MODULES),
    }
    return jwt.encode(claims, SECRET, algorithm="HS256")


TOKENS = {(tenant, user): token(tenant, user) for tenant in TENANTS for user in USERS}


def product_table() -> LoadedTable:
    path = Path(__file__).parents[2] / "routes.yaml"
    return load_table(str(path), environ={"JWT_SECRET": SECRET})


def cached_paths(loaded: LoadedTable) -> list[str]:
    """A path or two of each route that keeps replies."""
    found = []
    for route in loaded.routes:
        if route.policies.get("cache") is not None:
            pattern = route.settings.match.path
            found += [
                pattern.replace("*", "things").replace("{collection}", "things").replace("{id}", end) for end in "12"
            ]
    return sorted(set(found))


class Echo:
    """Answers with whom it was asked for."""

    def __init__(self) -> None:
        self.says: list[dict[str, str]] = []
        self.status = 200
        self.count = 0

    async def __call__(self, exchange: Exchange) -> Reply:
        self.count += 1
        identity = exchange.identity
        assert identity is not None
        if exchange.headers.get(b"if-none-match") is not None and self.status == 304:
            return Reply(304, Headers([(b"etag", b'"1"')]))
        body = json.dumps({"tenant": identity.tenant, "user": identity.user, "pad": "x" * 1_200}).encode()
        lines = [(b"content-type", b"application/json"), (b"etag", b'"1"')]
        lines += [(b"x-owner", f"{identity.tenant}/{identity.user}".encode())]
        for says in self.says:
            lines += [(name.encode(), value.encode()) for name, value in says.items()]
        return Reply(self.status if self.status != 304 else 200, Headers(lines), body)


request_headers = st.lists(
    st.sampled_from(
        [
            *(("X-Tenant-Id", tenant) for tenant in TENANTS),
            *(("X_Tenant_Id", "t2"), ("X-User-Id", "u2"), ("X-Plan", "free"), ("X-Scopes", "crm.read")),
            *(("Accept-Encoding", "gzip"), ("Accept-Encoding", "br"), ("Accept-Encoding", "identity;q=0, *;q=0")),
            *(("Cache-Control", "no-cache"), ("Cache-Control", "max-stale"), ("Cache-Control", "only-if-cached")),
            *(("Pragma", "no-cache"), ("If-None-Match", '"1"'), ("If-None-Match", "*"), ("Range", "bytes=0-40")),
            *(("If-Modified-Since", "Thu, 01 Jan 2099 00:00:00 GMT"), ("If-Range", '"1"'), ("Cookie", "tenant=t2")),
            *(("X-Forwarded-Host", "other.example"), ("X-Forwarded-Proto", "https"), ("X-Other", "1")),
            *(("X-Original-URL", "/x"), ("Vary", "*"), ("Surrogate-Key", "a"), ("Connection", "authorization")),
        ]
    ),
    max_size=4,
).map(dict)

upstream_says = st.lists(
    st.sampled_from(
        [
            {"cache-control": "public, max-age=600"},
            {"cache-control": "s-maxage=600"},
            {"cache-control": "private"},
            {"cache-control": "no-store"},
            {"cache-control": "max-age=0, stale-while-revalidate=600"},
            {"cache-control": 'no-cache="x-owner"'},
            {"cdn-cache-control": "public, max-age=600"},
            {"vary": "Accept-Encoding"},
            {"vary": "X-Tenant-Id"},
            {"vary": "Authorization"},
            {"vary": "*"},
            {"surrogate-key": "t1 t2"},
            {"set-cookie": "a=b"},
        ]
    ),
    max_size=3,
)

step = st.fixed_dictionaries(
    {
        "worker": st.integers(0, 1),
        "tenant": st.sampled_from(TENANTS),
        "user": st.sampled_from(USERS),
        "path": st.integers(0, 30),
        "method": st.sampled_from(["GET", "GET", "GET", "GET", "HEAD", "POST"]),
        "query": st.sampled_from(["", "?page=1", "?tenant_id=t2"]),
        "headers": request_headers,
        "says": upstream_says,
        "status": st.sampled_from([200, 200, 200, 404, 500, 304]),
        "is_trusted": st.booleans(),
        "pause_s": st.sampled_from([0, 0, 0, 1, 70, 200, 1_000]),
        "at_once": st.booleans(),
    }
)


def check(asked: dict[str, Any], reply: Reply) -> None:
    assert isinstance(reply.body, bytes)
    body = reply.body
    for line in reply.headers:
        if line[0] == b"content-encoding":
            import brotli
            from isal import isal_zlib

            body = brotli.decompress(body) if line[1] == b"br" else isal_zlib.decompress(body, wbits=31)
        if line[0] == b"x-owner":
            assert line[1].decode().rpartition("/")[0] == asked["tenant"]
    if reply.status == 206:
        # Of the whole `{"tenant": "…", "user"…`
        assert body.startswith(f'{{"tenant": "{asked["tenant"]}", '.encode()[: len(body)])
    elif body and b'"tenant"' in body:
        owner = json.loads(body)
        assert owner["tenant"] == asked["tenant"]
        if asked["target"].startswith("/a/"):
            assert owner["user"] == asked["user"]


async def play(loaded: LoadedTable, steps: list[dict[str, Any]]) -> int:
    """Two workers over one store. Returns how many requests did without the upstream."""
    paths = cached_paths(loaded)
    echo = Echo()
    store = SharedMemory(1 << 24, lambda: workers[0].now_s)
    workers: list[Worker] = []
    workers += [Worker(loaded, echo, store) for _ in range(2)]
    replies = 0
    running: list[tuple[dict[str, Any], asyncio.Task[Reply]]] = []
    for each in steps:
        for worker in workers:
            worker.now_s += each["pause_s"]
        echo.says, echo.status = each["says"], each["status"]
        each["target"] = paths[each["path"] % len(paths)] + each["query"]
        headers = {**each["headers"], "Authorization": f"Bearer {TOKENS[each['tenant'], each['user']]}"}
        asking = workers[each["worker"]].request(
            each["method"], each["target"], headers, is_trusted_peer=each["is_trusted"]
        )
        running.append((each, asyncio.get_running_loop().create_task(asking)))
        if not each["at_once"]:
            for asked, task in running:
                check(asked, await task)
                replies += 1
            running.clear()
    for asked, task in running:
        check(asked, await task)
        replies += 1
    verdicts = [verdict for worker in workers for verdict in worker.verdicts()]
    for worker in workers:
        await worker.close()
    return sum(verdict in ("hit-l1", "hit-l2", "coalesced", "stale", "revalidated") for verdict in verdicts)


@pytest.fixture(scope="module")
def tables() -> list[LoadedTable]:
    return [product_table(), load(MORE, {"JWT_SECRET": SECRET})]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [0, 1], ids=["routes.yaml", "every scope and layer"])
# Building two workers of the product's table takes longer than a hundred steps of a play; so few plays, and long ones.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(steps=st.lists(step, min_size=12, max_size=48))
def test_no_reply_has_a_byte_of_another_tenant(
    tables: list[LoadedTable], number: int, steps: list[dict[str, Any]]
) -> None:
    asyncio.run(play(tables[number], steps))


def test_the_product_keeps_lists_and_records_of_every_service() -> None:
    paths = cached_paths(product_table())
    assert {path.split("/")[3] for path in paths} == set(MODULES)


def test_what_is_played_does_use_what_is_kept() -> None:
    """Or the fuzz above would prove nothing."""
    plain = {
        "worker": 0,
        "tenant": "t1",
        "user": "u1",
        "path": 0,
        "method": "GET",
        "query": "",
        "headers": {},
        "says": [],
        "status": 200,
        "is_trusted": False,
        "pause_s": 0,
        "at_once": False,
    }
    steps = [plain | {"worker": worker, "tenant": tenant} for tenant in TENANTS for worker in (0, 0, 1, 1)]
    for loaded in (product_table(), load(MORE, {"JWT_SECRET": SECRET})):
        assert asyncio.run(play(loaded, [dict(each) for each in steps])) >= 2 * len(TENANTS)
