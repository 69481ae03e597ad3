"""The streams of CRM: the change feed as server-sent events, and a WebSocket that echoes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from aiohttp import WSCloseCode, WSMsgType, web

from upstream_services.kit.changes import ChangeFeed
from upstream_services.kit.keys import CHANGES, DATABASE, DRAINING, SETTINGS
from upstream_services.kit.operations import operation
from upstream_services.kit.tenancy import tenant_of
from upstream_services.kit.views import to_json

HEARTBEAT_S = 15.0
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

SOCKETS: web.AppKey[Any] = web.AppKey("sockets", WeakSet)


async def streams(app: web.Application) -> AsyncIterator[None]:
    """The process's ear on the database and its open sockets, for the life of the application."""
    feed = ChangeFeed(app[SETTINGS].listen_database or app[DATABASE].url)
    await feed.connect()
    app[CHANGES], app[SOCKETS] = feed, WeakSet()
    app.on_shutdown.append(_end_streams)
    keeper = asyncio.create_task(feed.keep_connected())
    yield
    keeper.cancel()
    with suppress(asyncio.CancelledError):
        await keeper
    await feed.close()


async def _end_streams(app: web.Application) -> None:
    # Streams have no end of their own, and the drain would wait for them in vain.
    app[CHANGES].end_streams()
    for socket in tuple(app[SOCKETS]):
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the service is stopping")


def _event(name: str, data: dict[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json(data))


@operation("GET", "events", media_type="text/event-stream")
async def events(request: web.Request) -> web.StreamResponse:
    """Server-sent events: `hello`, then `contact.created`, `deal.updated`, ... as they are committed."""
    tenant = tenant_of(request)
    with request.app[CHANGES].listen(tenant) as queue:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await reply.prepare(request)
        with suppress(ConnectionResetError):
            await reply.write(_event("hello", {"service": "crm", "tenant": tenant}))
            while not request.app[DRAINING].is_set():
                try:
                    change = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    await reply.write(b": still here\n\n")
                    continue
                if change is None:
                    break
                await reply.write(_event(change["type"], change))
    return reply


@operation("GET", "echo", status=101, media_type="application/octet-stream")
async def echo(request: web.Request) -> web.WebSocketResponse:
    """A WebSocket that sends back every text and binary message, and the client's close code."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    protocols = [name.strip() for name in offered.split(",") if name.strip()][:1]
    # aiohttp would answer every close with 1000
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=MAX_MESSAGE_BYTES, autoclose=False)
    await socket.prepare(request)
    request.app[SOCKETS].add(socket)
    while True:
        message = await socket.receive()
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        else:
            if message.type is WSMsgType.CLOSE:
                await socket.close(code=message.data or WSCloseCode.OK)
            return socket
