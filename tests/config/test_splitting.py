"""Hazard: a choice made before it is known who asks, or forgotten once something has to be waited for."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from gateway.config.compile import compile_snapshot
from gateway.config.load import load_table
from gateway.config.offline import offline_services
from gateway.config.problems import TableInvalid
from gateway.config.snapshot import Snapshot
from gateway.config.source import from_memory
from gateway.config.splitting import caller_of
from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.core.weighted_choice import WeightedChoice
from gateway.plugin_api import Exchange, Plugin, Reply, RouteInfo, Stage
from gateway.proxy.forward import Forwarder
from gateway.proxy.outbox import Outbox
from gateway.proxy.pipeline import Current, Pipeline
from tests.support.gateway import SECRET, token
from tests.support.in_process import Worker, load

TABLE = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: test}
upstreams:
  old: {endpoints: ["http://127.0.0.1:1"]}
  new: {endpoints: ["http://127.0.0.1:2"]}
routes:
- {id: a, match: /a/*, split: [{to: old, weight: 50}, {to: new, weight: 50}], CACHE}
"""
CHOICE = WeightedChoice([("old", 50), ("new", 50)])
NEW, OLD = (next(f"u{n}" for n in range(99) if CHOICE.choose(f"user:t1/u{n}") == name) for name in ("new", "old"))


def identity(**known: Any) -> Identity:
    given = {"tenant": None, "user": None, "plan": None, "scopes": frozenset(), "claims": {}, "credential": "jwt:a"}
    return Identity(**{**given, **known})


@pytest.mark.parametrize(
    ("who", "caller"),
    [
        (identity(tenant="t1", user="u1", key="k"), "user:t1/u1"),
        (identity(user="u1"), "user:/u1"),
        (identity(tenant="t1", key="ci"), "key:t1/ci"),
        (identity(tenant="t1"), "tenant:t1"),
        (identity(), "ip:192.0.2.7"),
        (None, "ip:192.0.2.7"),
    ],
)
def test_the_caller_is_who_was_verified_else_the_address(who: Identity | None, caller: str) -> None:
    exchange = Exchange(
        method="GET",
        target="/",
        headers=Headers([(b"x-user-id", b"somebody"), (b"cookie", b"canary=1")]),
        peer_ip="10.0.0.1",
        client_ip="192.0.2.7",
    )
    exchange.identity = who
    assert caller_of(exchange) == caller


class _Waiting(Plugin):
    """Notes what it sees of the route, after a wait."""

    Policy = Any

    def __init__(self, policy: Any, route: RouteInfo, services: Any) -> None:
        self._route = route

    def on_request(self, exchange: Exchange) -> Awaitable[Reply | None] | None:
        return self._look(exchange)

    async def _look(self, exchange: Exchange) -> Reply | None:
        assert exchange.route is not None
        SEEN.append((self.name, self._route.upstream, exchange.route.upstream))
        return None


class Early(_Waiting):
    name = "early"
    stage = Stage.ADMISSION


class Late(_Waiting):
    name = "late"
    stage = Stage.CACHE


class Last(_Waiting):
    name = "last"
    stage = Stage.LOCAL


SEEN: list[tuple[str, str | None, str | None]] = []


def compiled(text: str, *plugins: type[Plugin]) -> Snapshot:
    read_file, find_files = from_memory({"routes.yaml": text})
    loaded = load_table(
        "routes.yaml", plugins or None, environ={"SECRET": SECRET}, read_file=read_file, find_files=find_files
    )
    return compile_snapshot(loaded, offline_services(loaded), _upstream)


async def _upstream(exchange: Exchange) -> Reply:
    assert exchange.route is not None
    return Reply(200, body=(exchange.route.upstream or "").encode())


async def test_hooks_that_wait_before_and_after_the_choice_run_once_each_and_in_order() -> None:
    text = (
        TABLE.replace("auth: {test", "#")
        .replace("defaults: {auth: test}", "")
        .replace("CACHE", "early: 1, late: 1, last: 1")
    )
    snapshot = compiled(text, Early, Late, Last)
    loop = asyncio.get_running_loop()
    pipeline = Pipeline(Current(snapshot, Forwarder(loop, Outbox(loop))), loop, lambda exchange: None)
    SEEN.clear()
    exchange = Exchange(method="GET", target="/a/x", headers=Headers(), client_ip="192.0.2.1")
    reply = await pipeline.handle(exchange)
    chosen = CHOICE.choose("ip:192.0.2.1")
    assert reply.body == chosen.encode()
    assert [("early", None, None), ("late", chosen, chosen), ("last", chosen, chosen)] == SEEN
    pipeline.finish(exchange)
    assert snapshot.uses.count == 0


def test_what_comes_before_the_choice_is_built_once_and_the_rest_for_each_upstream() -> None:
    (route,) = compiled(TABLE.replace("CACHE", "cache: {ttl: 60s, scope: tenant}, compress: [gzip]")).routes
    old, new = route.legs["old"], route.legs["new"]
    assert (route.info.upstream, old.info.upstream, new.info.upstream) == (None, "old", "new")
    assert [plugin.name for plugin in route.plugins] == ["auth", "split", "cache", "compress"]
    same = [one is other for one, other in zip(old.plugins, new.plugins, strict=True)]
    assert same == [True, True, False, False]
    assert len(route.request_hooks) == 2


def test_a_route_without_a_split_is_compiled_as_ever() -> None:
    text = TABLE.replace("split: [{to: old, weight: 50}, {to: new, weight: 50}], CACHE", "to: old")
    (route,) = compiled(text).routes
    assert (route.legs, [plugin.name for plugin in route.plugins]) == ({}, ["auth"])


def test_a_mistake_in_every_leg_is_told_once() -> None:
    with pytest.raises(TableInvalid) as told:
        compiled(TABLE.replace("CACHE", "cache: 60s, rewrite: {strip: /b}"))
    assert sorted(problem.code for problem in told.value.problems) == ["rewrite_mismatch", "scope_needed"]


async def test_what_is_refreshed_or_warmed_in_the_background_goes_where_its_caller_goes() -> None:
    asked: list[str] = []

    async def upstream(exchange: Exchange) -> Reply:
        assert exchange.route is not None and exchange.route.upstream is not None
        asked.append(f"{exchange.route.upstream} {exchange.target}")
        return Reply(200, Headers([(b"cache-control", b"max-age=10")]), exchange.route.upstream.encode())

    text = TABLE.replace("CACHE", "cache: {scope: tenant, stale: 60s, warm: [/a/warm]}")
    worker = Worker(load(text), upstream)
    try:
        caller = {"Authorization": f"Bearer {token(sub=NEW)}"}
        assert (await worker.request("GET", "/a/x", caller)).body == b"new"
        await worker.settle()
        assert sorted(asked) == ["new /a/warm", "new /a/x"]
        assert [each.request_id for each in worker.records].count("r1.warm") == 1
        asked.clear()
        worker.now_s += 20
        assert (await worker.request("GET", "/a/x", caller)).body == b"new"
        await worker.settle()
        assert asked == ["new /a/x"]
        other = await worker.request("GET", "/a/x", {"Authorization": f"Bearer {token(sub=OLD)}"})
        assert other.body == b"old"
    finally:
        await worker.close()
