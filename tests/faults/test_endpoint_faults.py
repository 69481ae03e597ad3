"""One of three endpoints refuses connections, hangs, or answers 503: requests succeed all the while, and it gets none
once that is known; when it is mended, it gets its share again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.client import RawClient, connected
from tests.support.gateway import RunningGateway, running_gateway, until
from tests.support.origin import Origin, Received, answer, running_origin

TABLE = """
version: 1
defaults:
  auth: none
  retry: {attempts: 3, on: [connect, reset, timeout, 503], budget: 100%}
  timeout: {connect: 200ms, total: none, idle: 300ms}
upstreams:
  origin:
    endpoints: ["${env:A}", "${env:B}", "${env:C}"]
    RULES
routes: [{id: all, match: /*, to: origin}]
"""
PROBED = TABLE.replace(
    "RULES", "health: {path: /health, every: 50ms, timeout: 400ms, healthy_after: 2, unhealthy_after: 2}"
)
EJECTED = TABLE.replace("RULES", "eject: {errors: 2, for: 500ms, at_most: 50%}")


async def hang(*arguments: object) -> None:
    await asyncio.Event().wait()


class Three:
    """Endpoints A, B and C, and a gateway before them."""

    def __init__(self, origins: list[Origin], gateway: RunningGateway, client: RawClient) -> None:
        self.origins = origins
        self.gateway = gateway
        self.client = client

    def name(self, index: int) -> str:
        return f"127.0.0.1:{self.origins[index].port}"

    def report(self, index: int = 0) -> dict[str, object]:
        return next(row for row in self.gateway.serving.upstreams() if row["endpoint"] == self.name(index))

    def served(self, index: int = 0) -> int:
        return sum(request.request_line.startswith(b"GET /r") for request in self.origins[index].requests)

    async def ask(self, count: int = 1) -> None:
        for _ in range(count):
            assert (await self.client.request("GET", "/r")).status == 200

    async def ask_until_state(self, state: str) -> None:
        """Requests go on, and none fails, until A is in that state."""
        async with asyncio.timeout(10):
            while self.report()["state"] != state:
                await self.ask()
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def three(table: str) -> AsyncIterator[Three]:
    async with contextlib.AsyncExitStack() as stack:
        origins = [await stack.enter_async_context(running_origin()) for _ in "ABC"]
        environ = {name: origin.url for name, origin in zip("ABC", origins, strict=True)}
        gateway = await stack.enter_async_context(running_gateway(table, environ))
        yield Three(origins, gateway, await stack.enter_async_context(connected(gateway.port)))


@pytest.mark.parametrize("table", [PROBED, EJECTED], ids=["probed", "ejected"])
@pytest.mark.parametrize("fault", ["503", "hang"])
async def test_one_that_fails_gets_nothing_more_and_its_share_when_it_is_mended(table: str, fault: str) -> None:
    async with three(table) as t:
        await t.ask(6)
        t.origins[0].script = answer(b"no", "503 Broken") if fault == "503" else hang
        out = "unhealthy" if table == PROBED else "ejected"
        await t.ask_until_state(out)
        before = t.served()
        await t.ask(20)
        # One that is ejected comes back by itself, to be tried again.
        assert t.served() - before <= (0 if table == PROBED else 4)
        if table == EJECTED:
            assert t.gateway.metric("gateway_upstream_endpoint_ejections_total", endpoint=t.name(0)) >= 1
        t.origins[0].script = answer(b"hello")
        await t.ask_until_state("up")
        before = t.served()
        await t.ask(30)
        # One turn off, for who was left out kept its turn.
        assert 9 <= t.served() - before <= 11


@pytest.mark.parametrize("table", [PROBED, EJECTED], ids=["probed", "ejected"])
async def test_one_that_refuses_connections(table: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        t = await stack.enter_async_context(three(table.replace('"${env:A}"', '"http://127.0.0.1:1"')))
        t.origins[0].port = 1
        await t.ask_until_state("unhealthy" if table == PROBED else "ejected")
        await t.ask(10)
        why = str(t.report()["why"])
        assert "connection refused" in why if table == PROBED else "the last with: connect" in why


async def test_an_endpoint_that_is_down_from_the_start_gets_hardly_anything() -> None:
    async with three(PROBED) as t:
        t.origins[0].script = answer(b"no", "503 Broken")
        await until(lambda: t.report()["state"] == "unhealthy")
        before = t.served()
        await t.ask(20)
        assert t.served() == before
        assert t.gateway.metric("gateway_upstream_endpoint_up") == 2


async def test_when_all_are_unhealthy_requests_are_tried_all_the_same() -> None:
    async with three(PROBED) as t:

        async def sick(received: Received, *more: object) -> None:
            script = answer(b"no", "503 No") if b"/health" in received.request_line else answer(b"hello")
            await script(received, *more)  # type: ignore[arg-type]

        for origin in t.origins:
            origin.script = sick
        await until(lambda: all(t.report(index)["state"] == "unhealthy" for index in range(3)))
        await t.ask(9)
        assert [t.served(index) for index in range(3)] == [3, 3, 3]


async def test_a_slow_start_begins_with_a_tenth() -> None:
    table = PROBED.replace("    health:", "    slow_start: 1h\n    health:")
    async with three(table) as t:
        t.origins[0].script = answer(b"no", "503 Broken")
        await until(lambda: t.report()["state"] == "unhealthy")
        t.origins[0].script = answer(b"hello")
        await until(lambda: t.report()["state"] == "warming")
        before = t.served()
        await t.ask(42)
        assert 1 <= t.served() - before <= 4


async def test_a_name_of_several_addresses_is_served_by_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    table = TABLE.replace('"${env:A}", "${env:B}", "${env:C}"', '"http://crm.internal:${env:PORT}"').replace(
        "RULES", "resolve: 50ms"
    )
    found = ["127.0.0.1"]

    async def getaddrinfo(self: object, host: str, port: int, **more: object) -> list[tuple[object, ...]]:
        assert host == "crm.internal"
        return [(2, 1, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo)
    async with running_origin() as origin, running_gateway(table, {"PORT": str(origin.port)}) as gateway:
        await until(lambda: gateway.serving.upstreams()[0]["addresses"] == ["127.0.0.1"])
        async with connected(gateway.port) as client:
            assert (await client.request("GET", "/")).status == 200
            found[:] = ["127.0.0.9", "127.0.0.1"]
            await until(lambda: gateway.serving.upstreams()[0]["addresses"] == ["127.0.0.9", "127.0.0.1"])
            # Nobody listens at the new one, which costs no request.
            for _ in range(3):
                await origin.close_connections()
                assert (await client.request("GET", "/")).status == 200
            assert origin.last.get("host") == f"crm.internal:{origin.port}"
            found[:] = ["127.0.0.9"]
            await until(lambda: not origin.open_connections)
            assert (await client.request("GET", "/")).status == 502


async def test_a_key_stays_with_its_endpoint() -> None:
    table = TABLE.replace("RULES", "balance: hash\n    hash_on: header:X-Key")
    async with three(table) as t:
        for number in range(30):
            for _ in range(2):
                assert (await t.client.request("GET", "/r", {"X-Key": str(number)})).status == 200
        homes = [{request.get("x-key") for request in origin.requests} for origin in t.origins]
        assert sum(map(len, homes)) == 30 and all(homes)
