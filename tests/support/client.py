"""A client over a real socket that sends exactly the bytes it is given."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ClientReply:
    """One reply as it arrived; body is decoded of its framing."""

    status: int
    lines: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    head: bytes = b""

    def get(self, name: str) -> str | None:
        values = self.get_all(name)
        return values[-1] if values else None

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self.lines if key == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def request(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"", version: str = "1.1"
    ) -> ClientReply:
        """Send one plain request and read its reply."""
        given = {"Host": "gateway.test", **(headers or {})}
        if body and "Content-Length" not in given:
            given["Content-Length"] = str(len(body))
        head = f"{method} {target} HTTP/{version}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in given.items()
        )
        self.send(head.encode("latin-1") + b"\r\n" + body)
        return await self.read_reply(method)

    async def read_head(self) -> ClientReply:
        """The next head, interim ones included."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status_line, *rest = head.decode("latin-1").split("\r\n")
        lines = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest if line)]
        return ClientReply(int(status_line.split(" ")[1]), lines, head=head)

    async def read_reply(self, method: str = "GET") -> ClientReply:
        """The next final reply, whole. Raises asyncio.IncompleteReadError or ConnectionError where it breaks off."""
        reply = await self.read_head()
        while reply.status < 200 and reply.status != 101:
            reply = await self.read_head()
        if method == "HEAD" or reply.status in (101, 204, 304):
            return reply
        if reply.get("transfer-encoding") == "chunked":
            while piece := await self.read_chunk():
                reply.body += piece
            while line := (await self.reader.readuntil(b"\r\n")).strip():
                name, _, value = line.decode("latin-1").partition(":")
                reply.trailers.append((name.lower(), value.strip()))
        elif (length := reply.get("content-length")) is not None:
            reply.body = await self.reader.readexactly(int(length))
        else:
            reply.body = await self.reader.read()
        return reply

    async def read_chunk(self) -> bytes:
        """The next chunk of a chunked body, b"" for the last."""
        size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            return b""
        piece = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return piece

    async def is_closed(self) -> bool:
        """Wait for the end of the connection; True where nothing more came."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


async def breaks_off(reading: Awaitable[object]) -> bool:
    """Whether what is awaited ends in a broken transfer instead of a result."""
    try:
        await reading
    except (asyncio.IncompleteReadError, ConnectionError):
        return True
    return False


@asynccontextmanager
async def connected(
    port: int, tls: ssl.SSLContext | None = None, name: str = "gateway.test"
) -> AsyncIterator[RawClient]:
    """A connection to 127.0.0.1. name: whom a client with TLS asks for and expects."""
    host = name if tls is not None else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 << 20, ssl=tls, server_hostname=host)
    try:
        yield RawClient(reader, writer)
    finally:
        # What a test has left unsent is not waited for.
        writer.transport.abort()
        try:
            await writer.wait_closed()
        except OSError:
            pass
