"""Script calls to one Redis server over one connection, each sent as it comes and answered in turn.

For the limits alone, which every request waits for: a call through redis-py costs five times as much
(decisions/0020). What is not that hot goes through redis-py, and so does a cluster.

Nothing is sent twice. A connection that fails, or that owes a reply for longer than `late_s`, ends with all calls on
it; the next call makes another.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hiredis import HiredisError, Reader, ReplyError, pack_command

from gateway.core.store_url import StoreUrl
from gateway.stores.redis_client import CONNECT_TIMEOUT_S
from gateway.stores.redis_link import Script

FindServer = Callable[[], Awaitable[tuple[str, int]]]
"""Host and port of the server that counts now (behind sentinels: of the master)."""

# A reply is looked for in so many steps of `late_s`.
_STEPS = 4


class RedisPipe:
    """store: login, database and TLS; find_server: asked at each connection. Connects at the first call."""

    def __init__(self, store: StoreUrl, find_server: FindServer, late_s: float) -> None:
        self._store = store
        self._find_server = find_server
        self._late_s = late_s
        self._connection: PipeConnection | None = None
        self._connecting: asyncio.Task[PipeConnection] | None = None

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """What the script returns. Raises OSError, TimeoutError, ssl.SSLError or hiredis.HiredisError."""
        connection = self._connection
        if connection is None or connection.is_closed:
            connection = await self._connect()
        try:
            return await connection.send(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        except ReplyError as error:
            said = str(error)
            if said.startswith("NOSCRIPT"):
                return await connection.send(("EVAL", script.text, len(keys), *keys, *arguments))
            if "READONLY" in said:  # before version 7 in the middle of what a script's error says
                # It was the master once: whoever is now has to be found.
                connection.close()
            raise

    async def aclose(self) -> None:
        """End the connection, and what is under way on it."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> "PipeConnection":
        # One for all who wait; it goes on without them, for a later call.
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._open())
            self._connecting.add_done_callback(self._opened)
        return await asyncio.shield(self._connecting)

    def _opened(self, task: "asyncio.Task[PipeConnection]") -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._connection = task.result()

    async def _open(self) -> "PipeConnection":
        store = self._store
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            host, port = await self._find_server()
            context = ssl.create_default_context(cafile=store.ca_file) if store.is_tls else None
            connection = PipeConnection(loop, self._late_s)
            await loop.create_connection(lambda: connection, host, port, ssl=context)
            try:
                if store.password is not None:
                    login = (store.password,) if store.username is None else (store.username, store.password)
                    await connection.send(("AUTH", *login))
                if store.database:
                    await connection.send(("SELECT", store.database))
            except BaseException:
                connection.close()
                raise
        return connection

    def __repr__(self) -> str:
        connection = self._connection
        return f"<RedisPipe {'closed' if connection is None or connection.is_closed else 'open'}>"


class PipeConnection(asyncio.Protocol):
    """Replies come in the order of the commands (redis.io, "Redis serialization protocol specification")."""

    def __init__(self, loop: asyncio.AbstractEventLoop, late_s: float) -> None:
        self.is_closed = False
        self._loop = loop
        self._step_s = late_s / _STEPS
        self._reader = Reader(notEnoughData=_NOT_ENOUGH)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        # For how many steps the reply that is due next has been due.
        self._steps = 0

    def send(self, command: tuple[str | int, ...]) -> "asyncio.Future[Any]":
        """The reply to come; or its exception: ReplyError where the server says that something is wrong."""
        transport = self._transport
        if transport is None or self.is_closed:
            raise ConnectionResetError("the connection to the store is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(future)
        if self._watch is None:
            self._steps = 0
            self._watch = self._loop.call_later(self._step_s, self._look)
        transport.write(pack_command(command))  # type: ignore[arg-type]  # its stub means one element
        return future

    def close(self) -> None:
        """End it, and all that it owes."""
        self._end(ConnectionResetError("the connection to the store was closed"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a Transport on every loop there is

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOT_ENOUGH:
                if not self._waiting:
                    self._end(ConnectionResetError("the store said something that it was not asked"))
                    return
                future = self._waiting.popleft()
                self._steps = 0
                if future.done():
                    continue
                if isinstance(reply, ReplyError):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except HiredisError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionResetError("the store closed the connection"))

    def _look(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        self._steps += 1
        if self._steps > _STEPS:
            self._end(TimeoutError("no reply from the store"))
        else:
            self._watch = self._loop.call_later(self._step_s, self._look)

    def _end(self, error: Exception) -> None:
        self.is_closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    def __repr__(self) -> str:
        return f"<PipeConnection {'closed' if self.is_closed else 'open'}, {len(self._waiting)} replies due>"


_NOT_ENOUGH = object()
