"""A plugin that fails, over each lane: one 500, never a hang or a reply that looks whole, and the finish hooks run."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from tests.support import faulty_plugin
from tests.support.client import breaks_off, connected
from tests.support.gateway import Rig, rig, until
from tests.support.origin import Received, answer, raw

pytestmark = pytest.mark.usefixtures("each_lane")


def table(*, where: str = "nowhere", more: str = "") -> str:
    return f"""
version: 1
plugins: [tests.support.faulty_plugin]
auth: {{test: {{jwt: {{algorithms: [HS256], secret: "${{env:SECRET}}"}}}}}}
defaults: {{auth: none}}
upstreams: {{origin: {{endpoints: ["${{env:ORIGIN}}"]}}}}
routes:
- {{id: all, match: /*, to: origin, faulty: {where}{more}}}
- {{id: local, match: /local, respond: {{text: please fail}}, faulty: {where}}}
"""


@pytest.fixture(autouse=True)
def _nothing_finished() -> Iterator[None]:
    faulty_plugin.finished.clear()
    yield
    faulty_plugin.finished.clear()


async def assert_finished(r: Rig, count: int = 1) -> None:
    await until(lambda: len(faulty_plugin.finished) == count)
    assert r.gateway.metric("gateway_requests_in_flight") == 0
    assert len(await r.gateway.log_lines(count)) == count


@pytest.mark.parametrize("path", ["/", "/local"])
@pytest.mark.parametrize("where", ["on_request", "on_response", "body_transform", "feed", "finish"])
async def test_a_hook_that_raises_makes_one_500_and_the_connection_goes_on(
    where: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    script = answer(b"please fail")
    async with rig(table(where=where), script) as r:
        for count in (1, 2):
            reply = await r.exchange("GET", path)
            assert (reply.status, reply.json["code"]) == (500, "internal_error")
            assert "asked" not in reply.body.decode()
            await assert_finished(r, count)
        assert r.gateway.metric("gateway_errors_total", code="internal_error") == 2
    assert sum(record.levelno >= logging.ERROR for record in caplog.records) == 2


async def test_a_finish_hook_that_raises_is_logged_and_the_rest_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    async with rig(table(where="on_finish")) as r:
        for count in (1, 2):
            assert (await r.exchange("GET", "/")).status == 200
            await assert_finished(r, count)
    assert any("finish hook" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_transform_that_raises_amid_a_stream_breaks_the_transfer(
    framing: str, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    first_read = asyncio.Event()

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_chunked = framing.startswith("T")
        writer.write(
            f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + (b"b\r\n" if is_chunked else b"") + b"first piece"
        )
        await first_read.wait()
        # The reply does not end here, so that its connection can only be closed.
        writer.write(b"\r\n7\r\nand two\r\n" if is_chunked else b"second half")

    async with rig(table(where="feed"), script) as r:
        r.client.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        assert (await r.client.read_head()).status == 200
        first = await (r.client.read_chunk() if version == "1.1" else r.client.reader.readexactly(11))
        assert first == b"first piece"
        first_read.set()
        assert await breaks_off(r.client.read_chunk() if version == "1.1" else r.client.reader.read())
        await assert_finished(r)
        (line,) = r.gateway.log()
        assert line["outcome"] == "broken"
        # Nothing is left of it: the upstream connection is closed, too.
        await r.origin.closed.wait()
    assert any(record.levelno >= logging.ERROR for record in caplog.records)


async def test_a_plugin_that_makes_up_a_status_ends_the_connection_instead_of_hanging_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with rig(table(where="status")) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await r.client.is_closed()
        await assert_finished(r)
    assert any(record.levelno >= logging.ERROR for record in caplog.records)


async def test_finish_hooks_run_where_the_client_left() -> None:
    async def silent(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with rig(table(), silent) as r:
        r.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: bool(r.origin.requests))
        r.client.close()
        await assert_finished(r)
        assert faulty_plugin.finished[0].outcome == "client_gone"


@pytest.mark.parametrize(
    "request_bytes", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"]
)
async def test_finish_hooks_run_where_the_client_left_at_once(request_bytes: bytes) -> None:
    async with rig(table()) as r:
        for turns in range(15):
            faulty_plugin.finished.clear()
            before = len(r.gateway.log())
            async with connected(r.gateway.port) as client:
                client.send(request_bytes)
                for _ in range(turns):
                    await asyncio.sleep(0)
            await until(lambda: r.gateway.metric("gateway_connections") == 1)
            assert r.gateway.metric("gateway_requests_in_flight") == 0
            await until(lambda before=before: len(r.gateway.log()) - before == len(faulty_plugin.finished))


async def test_finish_hooks_run_where_the_upstream_broke_off() -> None:
    async with rig(table(), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxx", close=True)) as r:
        # Where the fault comes before the head has left, it takes the reply's place.
        await breaks_off(r.exchange("GET", "/"))
        await assert_finished(r)


async def test_only_the_plugins_entered_are_left() -> None:
    """`auth` refuses before a later stage is entered; `faulty`, at the edge, was entered and hears of the end."""
    async with rig(table(more=", auth: test")) as r:
        reply = await r.exchange("GET", "/")
        assert reply.status == 401
        await assert_finished(r)
        assert faulty_plugin.finished[0].error_code == "token_missing"
