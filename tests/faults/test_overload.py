"""An upstream with a limit gets no more than that at once; others wait in turn, or are refused."""

import asyncio

from tests.support.client import ClientReply, connected
from tests.support.gateway import Rig, rig, token, until
from tests.support.origin import Received, answer

TABLE = """
version: 1
auth: {test: {jwt: {algorithms: [HS256], secret: "${env:SECRET}"}}}
defaults: {auth: test, timeout: {total: 5s}}
upstreams:
  origin: {endpoints: ["${env:ORIGIN}"], overload: {max: 1, min: 1, queue: 2, wait: 400ms}}
routes:
- {id: all, match: /*, to: origin}
- {id: vital, match: /vital, to: origin, priority: critical}
"""


class Gate:
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.at_once = self.most = 0

    async def __call__(self, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.is_open.wait()
        self.at_once -= 1
        await answer(received.request_line.split()[1])(received, reader, writer)


def ask(r: Rig, path: str, tenant: str = "t1") -> asyncio.Task[ClientReply]:
    async def run() -> ClientReply:
        async with connected(r.gateway.port) as client:
            return await client.request("GET", path, {"Authorization": f"Bearer {token(tenant)}"})

    return asyncio.get_running_loop().create_task(run())


async def queued(r: Rig, count: int) -> None:
    await until(lambda: r.gateway.metric("gateway_upstream_queued") == count)


async def test_who_finds_no_place_waits_in_turn() -> None:
    gate = Gate()
    async with rig(TABLE, gate) as r:
        first = ask(r, "/1")
        await until(lambda: gate.at_once == 1)
        second = ask(r, "/2")
        await queued(r, 1)
        third = ask(r, "/3")
        await queued(r, 2)
        gate.is_open.set()
        assert [(await each).body for each in (first, second, third)] == [b"/1", b"/2", b"/3"]
        assert [each.request_line.split()[1] for each in r.origin.requests] == [b"/1", b"/2", b"/3"]
        assert gate.most == 1


async def test_who_waits_too_long_is_refused_and_nothing_was_sent() -> None:
    gate = Gate()
    async with rig(TABLE, gate) as r:
        first = ask(r, "/1")
        await until(lambda: gate.at_once == 1)
        reply = await ask(r, "/2")
        assert (reply.status, reply.json["code"], reply.get("Retry-After")) == (503, "upstream_overloaded", "1")
        gate.is_open.set()
        assert (await first).status == 200
        assert len(r.origin.requests) == 1
        assert r.gateway.metric("gateway_upstream_shed_total", upstream="origin", priority="normal") == 1


async def test_what_is_critical_takes_the_place_of_what_is_not_and_goes_first() -> None:
    gate = Gate()
    async with rig(TABLE, gate) as r:
        first = ask(r, "/1")
        await until(lambda: gate.at_once == 1)
        waiting = [ask(r, "/2"), ask(r, "/3")]
        await queued(r, 2)
        vital = ask(r, "/vital")
        refused, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().json["code"] for task in refused] == ["upstream_overloaded"]
        gate.is_open.set()
        assert (await vital).body == b"/vital"
        assert (await first).status == 200
        assert [(await task).status for task in pending] == [200]
        assert [each.request_line.split()[1] for each in r.origin.requests][:2] == [b"/1", b"/vital"]


async def test_who_leaves_gives_his_place_to_the_next() -> None:
    gate = Gate()
    async with rig(TABLE, gate) as r:
        async with connected(r.gateway.port) as leaving:
            head = f"GET /gone HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token()}\r\n\r\n"
            leaving.send(head.encode())
            await until(lambda: gate.at_once == 1)
            waiting = ask(r, "/2")
            await queued(r, 1)
        gate.is_open.set()
        assert (await waiting).body == b"/2"
