"""The upstream learns how much time is left, where the route says so, and from the gateway only."""

import asyncio

import pytest

from tests.support.gateway import rig
from tests.support.origin import Received, answer

TABLE = """
version: 1
defaults: {auth: none, retry: {attempts: 2, on: ["503"]}, timeout: {total: 5s}}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: all, match: /*, to: origin}
- {id: quiet, match: /quiet, to: origin, timeout: {send: false}}
- {id: endless, match: /endless, to: origin, timeout: {total: none}}
"""
NAME = "x-request-timeout-ms"


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", b"x"), ("POST", b"x" * 100_000)])
async def test_each_attempt_says_what_is_left(method: str, body: bytes) -> None:
    async with rig(TABLE) as r:
        assert (await r.exchange(method, "/", {NAME: "1000000"}, body=body)).status == 200
        (value,) = r.origin.last.get_all(NAME)
        assert 4000 <= int(value) <= 5000
        assert r.origin.last.body == body


async def test_a_repeat_has_less() -> None:
    async def slow(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        await answer(b"no", "503 No")(received, reader, writer)

    async with rig(TABLE, slow) as r:
        assert (await r.exchange("GET", "/")).status == 503
        first, again = (int(request.get(NAME) or 0) for request in r.origin.requests)
        assert first - again >= 190


@pytest.mark.parametrize("path", ["/quiet", "/endless"])
@pytest.mark.parametrize("name", [NAME, "X_Request_Timeout_Ms"])
async def test_where_nothing_is_said_the_clients_own_does_not_pass_either(path: str, name: str) -> None:
    async with rig(TABLE) as r:
        assert (await r.exchange("GET", path, {name: "1"})).status == 200
        assert [line for line in r.origin.last.lines if b"timeout" in line[0]] == []
