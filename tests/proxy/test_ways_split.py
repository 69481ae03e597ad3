"""Hazard: a caller who meets two versions of a service in turn, or one version under the other's name."""

import asyncio
import json
import time

import pytest

from gateway.core.explain_token import make_explain_token
from gateway.core.weighted_choice import WeightedChoice
from gateway.explain.explanation import explain, read_request
from gateway.explain.rehearsal import Rehearsal
from tests.support.client import connected
from tests.support.gateway import Rig, rig, token
from tests.support.in_process import load
from tests.support.origin import Received, answer, running_origin

KEY = "an-explain-key-of-this-test"
TABLE = """
version: 1
gateway: {explain_key: an-explain-key-of-this-test}
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: test, limit: none, retry: {attempts: 3, on: [connect, reset, 503], budget: 100%}}
upstreams:
  old: {endpoints: ["${env:ORIGIN}"]}
  new: {endpoints: ["${env:NEW}"], breaker: {min: 5, window: 30s, open: 60s}}
routes:
- {id: live, match: /live/*, split: [{to: old, weight: 50}, {to: new, weight: 50}]}
- {id: kept, match: /kept/*, split: [{to: new, weight: 50}, {to: old, weight: 50}], cache: {ttl: 60s, scope: tenant}}
- {id: open, match: /open, auth: none, split: [{to: old, weight: 0}, {to: new, weight: 1}]}
- {id: batch, match: /batch, batch: {max: 20}}
"""
CHOICE = WeightedChoice([("old", 50), ("new", 50)])
USERS = [f"u{number}" for number in range(12)]
VERSION_OF = {user: CHOICE.choose(f"user:t1/{user}") for user in USERS}
OLD = next(user for user in USERS if VERSION_OF[user] == "old")
NEW = next(user for user in USERS if VERSION_OF[user] == "new")

pytestmark = pytest.mark.usefixtures("each_lane")


def of(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(sub=user)}"}


async def each(user: str, two: Rig, path: str = "/live/x") -> str:
    reply = await two.exchange("GET", path, of(user))
    assert reply.status == 200
    return reply.body.decode()


async def test_each_caller_stays_with_one_version_and_everything_names_it() -> None:
    async with (
        running_origin(answer(b"new")) as new,
        rig(TABLE, answer(b"old"), {"NEW": new.url}) as r,
    ):
        assert set(VERSION_OF.values()) == {"old", "new"}
        for user in USERS * 3:
            assert await each(user, r) == VERSION_OF[user]
        lines = await r.gateway.log_lines(36)
        endpoints = {"old": f"127.0.0.1:{r.origin.port}", "new": f"127.0.0.1:{new.port}"}
        for line in lines:
            version = VERSION_OF[line["user"]]
            assert (line["route"], line["verdicts"]["split"], line["endpoint"]) == ("live", version, endpoints[version])
        for version, origin in (("old", r.origin), ("new", new)):
            count = 3 * list(VERSION_OF.values()).count(version)
            assert len(origin.requests) == count
            metric = r.gateway.metric
            assert metric("gateway_upstream_attempts_total", upstream=version, outcome="ok") == count
            assert metric("gateway_upstream_seconds_count", upstream=version) == count
            assert metric("gateway_split_requests_total", route="live", upstream=version) == count
        assert {row["upstream"]: row["shares"] for row in r.gateway.serving.upstreams()} == {
            "old": ["live: 50%", "kept: 50%", "open: 0%"],
            "new": ["live: 50%", "kept: 50%", "open: 100%"],
        }


async def test_a_kept_reply_of_one_version_is_not_given_to_callers_of_the_other() -> None:
    """Both are of one tenant, and so of one scope."""
    async with running_origin(answer(b"new")) as new, rig(TABLE, answer(b"old"), {"NEW": new.url}) as r:
        for _ in range(3):
            assert [await each(user, r, "/kept/x") for user in (OLD, NEW)] == ["old", "new"]
        assert (len(r.origin.requests), len(new.requests)) == (1, 1)
        lines = await r.gateway.log_lines(6)
        assert [line["verdicts"]["cache"] for line in lines] == ["miss", "miss", *["hit-l1"] * 4]


async def test_a_version_that_fails_fails_for_its_own_callers_only() -> None:
    async with running_origin(answer(status="503 Broken")) as new, rig(TABLE, answer(b"old"), {"NEW": new.url}) as r:
        statuses = [(await r.exchange("GET", "/live/x", of(NEW))).status for _ in range(6)]
        assert statuses == [503] * 6
        last = await r.exchange("GET", "/live/x", of(NEW))
        assert last.json["code"] == "upstream_circuit_open"
        assert [await each(OLD, r) for _ in range(3)] == ["old"] * 3
        assert len(r.origin.requests) == 3
        assert r.gateway.metric("gateway_upstream_retries_total", upstream="new") >= 5
        assert r.gateway.metric("gateway_upstream_retries_total", upstream="old") == 0


async def test_a_version_that_is_gone_is_502_and_is_not_replaced_by_the_other() -> None:
    async with running_origin() as gone:
        url = gone.url
    async with rig(TABLE, answer(b"old"), {"NEW": url}) as r:
        reply = await r.exchange("GET", "/live/x", of(NEW))
        assert (reply.status, reply.json["code"], r.origin.requests) == (502, "upstream_unreachable", [])


async def test_an_upgrade_goes_where_the_callers_requests_go() -> None:
    async def switch(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello")

    async with running_origin(switch) as new, rig(TABLE, switch, {"NEW": new.url}) as r:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
        for user, origin in ((NEW, new), (OLD, r.origin)):
            async with connected(r.gateway.port) as client:
                reply = await client.request("GET", "/live/ws", {**of(user), **upgrade})
                assert (reply.status, await client.reader.readexactly(5)) == (101, b"hello")
                assert len(origin.requests) == 1


async def test_the_parts_of_a_batch_go_where_the_callers_requests_go() -> None:
    async with running_origin(answer(b"new")) as new, rig(TABLE, answer(b"old"), {"NEW": new.url}) as r:
        parts = json.dumps(
            {"requests": [{"id": str(number), "method": "GET", "path": f"/live/{number}"} for number in range(3)]}
        ).encode()
        for user, origin in ((NEW, new), (OLD, r.origin)):
            reply = await r.exchange("POST", "/batch", {**of(user), "Content-Type": "application/json"}, parts)
            assert reply.status == 200, reply.body
            assert sorted(received.request_line for received in origin.requests) == [
                b"GET /live/%d HTTP/1.1" % number for number in range(3)
            ]


async def test_one_of_weight_0_gets_nobody_and_unknown_callers_are_told_apart_by_address() -> None:
    async with running_origin(answer(b"new")) as new, rig(TABLE, answer(b"old"), {"NEW": new.url}) as r:
        reply = await r.exchange("GET", "/open", {"X-Gateway-Explain": signed("/open")})
        assert reply.body == b"new"
        assert json.loads(reply.get("x-gateway-explain") or "")["keys"] == {"split": "ip:127.0.0.1"}


def signed(path: str) -> str:
    return make_explain_token(KEY, "GET", path, now_s=time.time(), lifetime_s=60)


@pytest.mark.parametrize("route", ["live", "kept"])
async def test_offline_and_live_explanations_say_the_same(route: str) -> None:
    async with running_origin(answer(b"new")) as new, rig(TABLE, answer(b"old"), {"NEW": new.url}) as r:
        rehearsal = Rehearsal(load(TABLE, {"ORIGIN": r.origin.url, "NEW": new.url}))
        for user in USERS[:6]:
            path = f"/{route}/{user}"
            live = await r.exchange("GET", path, {**of(user), "X-Gateway-Explain": signed(path)})
            said = json.loads(live.get("x-gateway-explain") or "")
            offline = await explain(rehearsal, read_request("GET", path, token=token(sub=user)))
            assert said["upstream"] == offline["outcome"]["upstream"] == VERSION_OF[user]
            assert said["keys"]["split"] == offline["reports"]["split"]["key"] == f"user:t1/{user}"
            assert offline["upstream"]["name"] == VERSION_OF[user]
