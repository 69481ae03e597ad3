"""An upstream over a real socket that does exactly what a test tells it to, and records what it was sent."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Received:
    """One request as it arrived. head: raw bytes up to and with the empty line. body: decoded of its framing.
    is_complete: whether the body was read to its end.
    """

    head: bytes
    body: bytes = b""
    connection: int = 0
    is_complete: bool = False

    @property
    def request_line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def lines(self) -> list[tuple[bytes, bytes]]:
        found = []
        for line in self.head.split(b"\r\n")[1:]:
            if line:
                name, _, value = line.partition(b":")
                found.append((name.lower(), value.strip()))
        return found

    def get(self, name: str) -> str | None:
        values = self.get_all(name)
        return values[-1] if values else None

    def get_all(self, name: str) -> list[str]:
        return [value.decode("latin-1") for key, value in self.lines if key == name.encode()]


Script = Callable[[Received, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Origin:
    """`script` answers each request; set it before sending. `requests` holds all that arrived, in order."""

    script: Script
    port: int = 0
    scheme: str = "http"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    open_connections: set[asyncio.StreamWriter] = field(default_factory=set)
    read_body: bool = True
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a connection has ended."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def last(self) -> Received:
        return self.requests[-1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.open_connections.add(writer)
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, ConnectionError):
                    return
                received = Received(head, connection=number)
                self.requests.append(received)
                if self.read_body:
                    received.body = await read_body(received, reader)
                    received.is_complete = True
                await self.script(received, reader, writer)
                if writer.is_closing():
                    return
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_connections.discard(writer)
            writer.close()
            self.closed.set()

    async def close_connections(self) -> None:
        """Close every connection from this side; the kernel has said so to the others when this returns."""
        closing = list(self.open_connections)
        for writer in closing:
            writer.close()
        for writer in closing:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def read_body(received: Received, reader: asyncio.StreamReader) -> bytes:
    """A request's body by its framing, decoded."""
    if (received.get("transfer-encoding") or "").lower() == "chunked":
        body = b""
        while True:
            size = int((await reader.readline()).split(b";")[0], 16)
            if size == 0:
                while (await reader.readline()).strip():
                    pass
                return body
            body += await reader.readexactly(size)
            await reader.readexactly(2)
    return await reader.readexactly(int(received.get("content-length") or 0))


def answer(body: bytes = b"", status: str = "200 OK", headers: tuple[str, ...] = (), *, close: bool = False) -> Script:
    """A script that gives one whole reply."""

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        if close:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        writer.write(head if received.head.startswith(b"HEAD ") else head + body)
        if close:
            await writer.drain()
            writer.close()

    return script


def raw(data: bytes, *, close: bool = False) -> Script:
    """A script that writes these bytes, whatever they are."""

    async def script(received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return script


@asynccontextmanager
async def running_origin(
    script: Script | None = None, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Origin]:
    """An origin on a free port of 127.0.0.1."""
    origin = Origin(script or answer(b"hello"), scheme="https" if tls is not None else "http")
    server = await asyncio.start_server(origin._serve, "127.0.0.1", port, limit=4 << 20, ssl=tls)
    origin.port = server.sockets[0].getsockname()[1]
    try:
        yield origin
    finally:
        server.close()
        await origin.close_connections()
        await server.wait_closed()


@contextlib.contextmanager
def deaf_endpoint() -> Iterator[str]:
    """The URL of a socket whose backlog is full, so that the kernel answers no further connect."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def greeting_endpoint() -> AsyncIterator[str]:
    """The https URL of a server that speaks first, and no TLS."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
