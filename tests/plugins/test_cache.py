"""What the cache does with requests and replies, hook by hook; the rules themselves are tested in tests/core."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.errors import UPSTREAM_UNREACHABLE, GatewayError
from gateway.core.headers import Headers
from gateway.core.kept_replies import Purge
from gateway.plugin_api import Exchange, PolicyError, Reply
from gateway.stores import kept_replies
from plugins.cache import Cache
from tests.plugins.lent_services import ROUTE, build
from tests.support.gateway import token
from tests.support.in_process import SharedMemory, Worker, load
from tests.support.plugins import Pieces

PUBLIC = replace(ROUTE, policies={})
TABLE = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
plans: {free: {limits: [1000/min]}}
defaults: {auth: none}
upstreams: {up: {endpoints: ["http://127.0.0.1:1"]}}
routes:
- {id: all, match: /all/*, to: up, cache: {ttl: 60s, tags: [all], max_size: 1KiB, negative: {404: 5s}}}
- {id: store, match: /store/*, to: up, cache: {ttl: 60s, layers: [l2]}}
- {id: stale, match: /stale/*, to: up, cache: {ttl: 60s, stale: 30s, stale_if_error: 1h}}
- {id: zip, match: /zip/*, to: up, cache: {ttl: 60s}, compress: [br, gzip]}
- {id: tenant, match: /tenant/*, to: up, auth: test, cache: {ttl: 60s, scope: tenant}}
- {id: user, match: /user/*, to: up, auth: test, cache: {ttl: 60s, scope: user, vary: [x-plan]}}
- {id: quiet, match: /quiet/*, to: up, cache: {scope: public}}
- {id: beta, match: {path: /two/*, headers: {x-beta: "1"}}, to: up, cache: 60s}
- {id: plain, match: /two/*, to: up, cache: 60s}
- {id: warm, match: /warm/*, to: up, auth: test, limit: 2/d, cache: {ttl: 60s, scope: tenant, warm: [/warm/1, /warm/2]}}
"""


class Upstream:
    """Counts; answers with what the test says, the number of the request in it."""

    def __init__(self) -> None:
        self.seen: list[Exchange] = []
        self.heads: list[Headers] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.body: Callable[[int], Any] = lambda number: json.dumps({"number": number}).encode()
        self.failure: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, exchange: Exchange) -> Reply:
        self.seen.append(exchange)
        self.heads.append(exchange.headers.copy())
        number = len(self.seen)
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        lines = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        return Reply(self.status, Headers(lines), b"" if self.status == 304 else self.body(number))

    @property
    def count(self) -> int:
        return len(self.seen)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def worker(upstream: Upstream) -> AsyncIterator[Worker]:
    made = Worker(load(TABLE), upstream)
    yield made
    await made.close()


def number(reply: Reply) -> int:
    assert isinstance(reply.body, bytes)
    return int(json.loads(reply.body)["number"])


def status_of(reply: Reply) -> str:
    return (reply.headers.get(b"cache-status") or b"").decode()


def bearer(tenant: str = "t1", **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(tenant, **claims)}"}


async def test_the_second_request_is_answered_from_memory(worker: Worker, upstream: Upstream) -> None:
    first = await worker.request("GET", "/all/1")
    worker.now_s += 7
    second = await worker.request("GET", "/all/1")
    assert (number(first), number(second), upstream.count) == (1, 1, 1)
    assert status_of(first) == "gateway; fwd=uri-miss; ttl=60; stored"
    assert status_of(second) == "gateway; hit; ttl=53"
    assert (first.headers.get(b"age"), second.headers.get(b"age")) == (None, b"7")
    assert worker.verdicts() == ["miss", "hit-l1"]
    worker.now_s += 60
    assert number(await worker.request("GET", "/all/1")) == 2


async def test_what_a_reply_says_grows_older_with_it(worker: Worker) -> None:
    await worker.request("GET", "/all/1")
    for age in (b"1", b"2"):
        worker.now_s += 1
        assert (await worker.request("GET", "/all/1")).headers.get(b"age") == age


async def test_another_path_query_host_or_scheme_is_another_reply(worker: Worker, upstream: Upstream) -> None:
    await worker.request("GET", "/all/1")
    for target, more in (
        ("/all/2", {}),
        ("/all/1?a=1", {}),
        ("/all/1?a=2", {}),
        ("/all/1", {"authority": "other.example"}),
        ("/all/1", {"scheme": "https"}),
    ):
        before = upstream.count
        await worker.request("GET", target, **more)
        assert upstream.count == before + 1
    await worker.request("GET", "/all/%31")
    assert upstream.count == 6


async def test_only_a_trusted_proxy_names_another_host(worker: Worker, upstream: Upstream) -> None:
    forwarded = {"X-Forwarded-Host": "shop.example"}
    await worker.request("GET", "/all/1", forwarded)
    await worker.request("GET", "/all/1")
    assert upstream.count == 1
    await worker.request("GET", "/all/1", forwarded, is_trusted_peer=True)
    await worker.request("GET", "/all/1", authority="shop.example")
    assert upstream.count == 2


async def test_many_at_once_are_one_request(worker: Worker, upstream: Upstream) -> None:
    upstream.go_on.clear()
    asking = [asyncio.create_task(worker.request("GET", "/all/1")) for _ in range(1_000)]
    while upstream.count == 0:
        await asyncio.sleep(0)
    upstream.go_on.set()
    replies = await asyncio.gather(*asking)
    assert upstream.count == 1
    assert {number(reply) for reply in replies} == {1}
    assert sorted(set(worker.verdicts())) == ["coalesced", "miss"]
    assert worker.verdicts().count("coalesced") == 999
    assert {status_of(reply) for reply in replies[1:]} == {"gateway; fwd=uri-miss; collapsed"}


async def test_a_client_that_goes_away_lets_the_next_one_ask(worker: Worker, upstream: Upstream) -> None:
    upstream.go_on.clear()
    first = asyncio.create_task(worker.request("GET", "/all/1"))
    while upstream.count == 0:
        await asyncio.sleep(0)
    second = asyncio.create_task(worker.request("GET", "/all/1"))
    await asyncio.sleep(0)
    first.cancel()
    while upstream.count == 1:
        await asyncio.sleep(0)
    upstream.go_on.set()
    assert number(await second) == 2


async def test_what_is_not_kept_is_not_waited_for(
    worker: Worker, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waits here waits longer than the test may take.
    monkeypatch.setattr(kept_replies, "LEASE_S", 1_000.0)
    upstream.headers = {"cache-control": "no-store"}
    await worker.request("GET", "/all/1")
    upstream.go_on.clear()
    asking = [asyncio.create_task(worker.request("GET", "/all/1")) for _ in range(10)]
    while upstream.count < 11:
        await asyncio.sleep(0)
    upstream.go_on.set()
    assert len({number(reply) for reply in await asyncio.gather(*asking)}) == 10


async def test_what_is_too_large_or_endless_is_not_kept(worker: Worker, upstream: Upstream) -> None:
    for body in (
        lambda _: b"x" * 1_025,
        lambda _: Pieces(b"x" * 600, b"x" * 600),
        lambda _: Pieces(b"x", length=2_000),
    ):
        before = upstream.count
        upstream.body = body
        target = f"/all/{before}"
        await worker.request("GET", target)
        await worker.request("GET", target)
        assert upstream.count == before + 2
    upstream.headers = {"content-type": "text/event-stream"}
    upstream.body = lambda _: Pieces(b"data: 1\n\n")
    for _ in range(2):
        await worker.request("GET", "/all/events")
    assert upstream.count == 8


async def test_a_body_that_streams_is_kept_when_it_has_ended(worker: Worker, upstream: Upstream) -> None:
    upstream.body = lambda _: Pieces(b'{"num', b'ber": 1}', length=13)
    first = await worker.request("GET", "/all/1")
    assert (number(first), number(await worker.request("GET", "/all/1")), upstream.count) == (1, 1, 1)


async def test_a_body_that_breaks_off_is_not_kept(worker: Worker, upstream: Upstream) -> None:
    class Breaking(Pieces):
        async def read(self) -> bytes:
            piece = await super().read()
            if not piece:
                raise GatewayError(UPSTREAM_UNREACHABLE)
            return piece

    upstream.body = lambda _: Breaking(b"{}")
    for _ in range(2):
        with pytest.raises(GatewayError):
            await worker.request("GET", "/all/1")
    assert upstream.count == 2


async def test_head_is_answered_from_get_and_keeps_nothing(worker: Worker, upstream: Upstream) -> None:
    await worker.request("HEAD", "/all/1")
    await worker.request("GET", "/all/1")
    reply = await worker.request("HEAD", "/all/1")
    assert upstream.count == 2
    assert (reply.body, reply.length) == (b"", 13)


async def test_parts_and_conditions_of_a_client_are_answered_from_the_whole(worker: Worker, upstream: Upstream) -> None:
    upstream.headers = {"etag": '"1"'}
    first = await worker.request("GET", "/all/1", {"If-None-Match": '"0"'})
    assert b"if-none-match" not in upstream.heads[0]
    assert first.status == 200
    assert (await worker.request("GET", "/all/1", {"If-None-Match": '"1"'})).status == 304
    part = await worker.request("GET", "/all/1", {"Range": "bytes=1-3"})
    assert (part.status, part.body) == (206, b'"nu')
    assert upstream.count == 1
    # What is not kept is not fetched whole for the sake of a part.
    await worker.request("GET", "/all/2", {"Range": "bytes=1-3"})
    assert upstream.heads[1].get(b"range") == b"bytes=1-3"


async def test_a_stale_reply_is_asked_about_and_renewed(worker: Worker, upstream: Upstream) -> None:
    upstream.headers = {"etag": '"1"'}
    await worker.request("GET", "/all/1")
    worker.now_s += 61
    upstream.status = 304
    reply = await worker.request("GET", "/all/1", {"Accept": "x"})
    assert upstream.heads[1].get(b"if-none-match") == b'"1"'
    assert (reply.status, number(reply)) == (200, 1)
    assert status_of(reply) == "gateway; fwd=stale; fwd-status=304; ttl=60; stored"
    assert (await worker.request("GET", "/all/1", {"If-None-Match": '"1"'})).status == 304
    assert upstream.count == 2
    assert worker.verdicts() == ["miss", "revalidated", "hit-l1"]


async def test_stale_while_it_is_fetched_anew_once(worker: Worker, upstream: Upstream) -> None:
    await worker.request("GET", "/stale/1")
    worker.now_s += 61
    upstream.go_on.clear()
    replies = [await worker.request("GET", "/stale/1") for _ in range(3)]
    assert [number(reply) for reply in replies] == [1, 1, 1]
    assert status_of(replies[0]) == "gateway; hit; ttl=-1"
    while upstream.count == 1:
        await asyncio.sleep(0)
    upstream.go_on.set()
    await worker.settle()
    assert number(await worker.request("GET", "/stale/1")) == 2
    assert upstream.count == 2
    assert worker.verdicts() == ["miss", "stale", "stale", "stale", "-", "hit-l1"]


async def test_stale_in_place_of_a_failure(worker: Worker, upstream: Upstream) -> None:
    await worker.request("GET", "/stale/1")
    worker.now_s += 1_000
    upstream.failure = GatewayError(UPSTREAM_UNREACHABLE)
    reply = await worker.request("GET", "/stale/1")
    assert (number(reply), status_of(reply)) == (1, "gateway; fwd=stale; fwd-status=502")
    upstream.failure, upstream.status = None, 503
    assert number(await worker.request("GET", "/stale/1")) == 1
    assert (await worker.request("GET", "/stale/2")).status == 503
    worker.now_s += 3_600
    assert (await worker.request("GET", "/stale/1")).status == 503


async def test_errors_are_kept_as_long_as_the_policy_says(worker: Worker, upstream: Upstream) -> None:
    upstream.status = 404
    for _ in range(2):
        assert number(await worker.request("GET", "/all/1")) == 1
    worker.now_s += 6
    assert number(await worker.request("GET", "/all/1")) == 2
    upstream.status = 410
    await worker.request("GET", "/all/2")
    await worker.request("GET", "/all/2")
    assert upstream.count == 4


async def test_without_a_ttl_the_upstream_has_to_say_one(worker: Worker, upstream: Upstream) -> None:
    await worker.request("GET", "/quiet/1")
    await worker.request("GET", "/quiet/1")
    assert upstream.count == 2
    upstream.headers = {"cache-control": "max-age=10"}
    await worker.request("GET", "/quiet/2")
    await worker.request("GET", "/quiet/2")
    assert upstream.count == 3


async def test_only_if_cached_never_asks_the_upstream(worker: Worker, upstream: Upstream) -> None:
    wish = {"Cache-Control": "only-if-cached"}
    reply = await worker.request("GET", "/all/1", wish)
    assert reply.status == 504
    assert json.loads(reply.body)["code"] == "not_kept"  # type: ignore[arg-type]
    await worker.request("GET", "/all/1")
    assert number(await worker.request("GET", "/all/1", wish)) == 1
    worker.now_s += 61
    assert (await worker.request("GET", "/all/1", wish)).status == 504
    assert upstream.count == 1


async def test_one_representation_for_each_coding_compressed_once(worker: Worker, upstream: Upstream) -> None:
    upstream.headers = {"content-type": "application/json", "etag": '"1"'}
    upstream.body = lambda count: json.dumps({"number": count, "more": "x" * 3_000}).encode()
    for accepted in ("br, gzip", "gzip", "identity", "gzip;q=0.1, br"):
        reply = await worker.request("GET", "/zip/1", {"Accept-Encoding": accepted})
        coding = reply.headers.get(b"content-encoding")
        assert coding == (
            None if accepted == "identity" else accepted.split(", ")[-1 if "q=" in accepted else 0].encode()
        )
        assert reply.headers.get(b"vary") == b"Accept-Encoding"
        assert reply.headers.get(b"etag") == (b'"1"' if coding is None else b'W/"1"')
    assert upstream.count == 3


async def test_a_coding_of_the_upstreams_own_choice_only_goes_to_who_takes_it(
    worker: Worker, upstream: Upstream
) -> None:
    upstream.headers = {"content-encoding": "gzip", "content-type": "application/json"}
    await worker.request("GET", "/zip/1", {"Accept-Encoding": "br, gzip"})
    await worker.request("GET", "/zip/1", {"Accept-Encoding": "br"})
    assert upstream.count == 2


async def test_tenants_and_users_have_their_own(worker: Worker, upstream: Upstream) -> None:
    for tenant, user, expected in (("t1", "u1", 1), ("t2", "u1", 2), ("t1", "u2", 1), ("t2", "u9", 2)):
        reply = await worker.request("GET", "/tenant/1", bearer(tenant, sub=user))
        assert number(reply) == expected
    for tenant, user, plan, expected in (
        ("t1", "u1", "free", 3),
        ("t1", "u2", "free", 4),
        ("t1", "u1", "pro", 5),
        ("t1", "u1", "free", 3),
        ("t2", "u1", "free", 6),
    ):
        reply = await worker.request("GET", "/user/1", bearer(tenant, plan=plan, sub=user))
        assert number(reply) == expected


async def test_who_may_not_come_in_gets_nothing_that_is_kept(worker: Worker) -> None:
    await worker.request("GET", "/tenant/1", bearer())
    assert (await worker.request("GET", "/tenant/1")).status == 401


async def test_two_routes_of_one_path_do_not_share(worker: Worker, upstream: Upstream) -> None:
    one = await worker.request("GET", "/two/1", {"X-Beta": "1"})
    other = await worker.request("GET", "/two/1")
    assert (number(one), number(other)) == (1, 2)
    assert number(await worker.request("GET", "/two/1", {"X-Beta": "1"})) == 1


@pytest.mark.parametrize("field", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL"])
async def test_a_request_that_may_mean_another_resource_fills_nothing(
    worker: Worker, upstream: Upstream, field: str
) -> None:
    await worker.request("GET", "/all/1", {field: "/admin"})
    assert number(await worker.request("GET", "/all/1")) == 2
    assert number(await worker.request("GET", "/all/1", {field: "/admin"})) == 2


async def test_a_get_with_a_body_goes_past(worker: Worker, upstream: Upstream) -> None:
    await worker.request("GET", "/all/1", body=b"poison")
    assert number(await worker.request("GET", "/all/1")) == 2
    await worker.request("GET", "/all/1", body=b"poison")
    assert upstream.count == 3
    assert worker.verdicts() == ["bypass", "miss", "bypass"]


async def test_the_upstreams_tags_stay_inside_and_drop_it(worker: Worker, upstream: Upstream) -> None:
    upstream.headers = {"surrogate-key": "thing-1 list", "cache-tag": "other"}
    for _ in range(2):
        reply = await worker.request("GET", "/all/1")
        assert b"surrogate-key" not in reply.headers
        assert b"cache-tag" not in reply.headers
    for count, tag in enumerate(("thing-1", "list", "other", "all"), start=2):
        await worker.kept.purge(Purge(tags=("thing", f"{tag}x")))
        assert number(await worker.request("GET", "/all/1")) == count - 1
        await worker.kept.purge(Purge(tags=(tag,)))
        assert number(await worker.request("GET", "/all/1")) == count


async def test_a_write_on_the_same_route_drops_its_target(worker: Worker, upstream: Upstream) -> None:
    await worker.request("GET", "/all/1")
    await worker.request("GET", "/all/2")
    await worker.request("PUT", "/all/1")
    assert number(await worker.request("GET", "/all/1")) == 4
    assert number(await worker.request("GET", "/all/2")) == 2
    upstream.status = 500
    await worker.request("DELETE", "/all/2")
    upstream.status = 200
    assert number(await worker.request("GET", "/all/2")) == 2


async def test_the_store_answers_what_memory_does_not_have(upstream: Upstream) -> None:
    store = SharedMemory(1 << 24, lambda: 0.0)
    one, other = Worker(load(TABLE), upstream, store), Worker(load(TABLE), upstream, store)
    for target, second in (("/all/1", "hit-l1"), ("/store/1", "hit-l2")):
        await one.request("GET", target)
        await one.settle()
        for _ in range(2):
            await other.request("GET", target)
        assert other.verdicts()[-2:] == ["hit-l2", second]
    assert upstream.count == 2
    await one.close()
    await other.close()


async def test_what_is_counted(worker: Worker) -> None:
    for _ in range(3):
        await worker.request("GET", "/all/1")
    counter = worker.metrics.counter
    assert counter("gateway_cache_requests", "", route="all", result="miss").value == 1
    assert counter("gateway_cache_requests", "", route="all", result="hit-l1").value == 2
    assert counter("gateway_cache_bytes", "", route="all", layer="l1").value == 26


async def test_a_tenant_finds_it_warm_and_pays_for_its_own_requests_only(worker: Worker, upstream: Upstream) -> None:
    assert (await worker.request("GET", "/warm/1", bearer())).status == 200
    await worker.settle()
    reply = await worker.request("GET", "/warm/2", bearer())
    assert (reply.status, status_of(reply)) == (200, "gateway; hit; ttl=60")
    assert upstream.count == 2
    assert (await worker.request("GET", "/warm/2", bearer())).status == 429


# -- the policy -------------------------------------------------------------------------------------------------------


def test_it_has_to_say_whose_a_reply_is_where_there_is_auth() -> None:
    with pytest.raises(PolicyError, match="say who may share") as caught:
        build(Cache, "3m")
    assert (caught.value.path, caught.value.code) == (("scope",), "scope_needed")
    for scope in ("tenant", "user"):
        build(Cache, {"ttl": "3m", "scope": scope})
        with pytest.raises(PolicyError, match=f"there is no {scope}"):
            build(Cache, {"ttl": "3m", "scope": scope}, route=PUBLIC)
    build(Cache, "3m", route=PUBLIC)


def test_a_tag_that_cannot_be_filled_is_an_error_at_load() -> None:
    with pytest.raises(PolicyError, match=r"known: \{id\}, \{tenant\}, \{user\}") as caught:
        build(
            Cache,
            {"ttl": "3m", "scope": "tenant", "tags": ["crm:{id}", "crm:{tennant}"]},
            route=replace(ROUTE, pattern="/crm/{id:int}/*"),
        )
    assert caught.value.path == ("tags", 1)
