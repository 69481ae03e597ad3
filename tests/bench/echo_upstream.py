"""`python -m tests.bench.echo_upstream PORT JOURNAL`: an upstream that says back what it was asked, and by whom.

Each reply differs, so that one in the wrong place shows. Each request's method and id go into the journal before it is
answered, so that what was done twice, or for nobody, shows as well. `wait_ms` in the query delays the reply.
"""

import asyncio
import os
import sys
from typing import cast
from urllib.parse import parse_qsl

import uvloop

_FILLING = "f" * 900


def echo_body(method: str, request_id: str, tenant: str, user: str, body: str) -> bytes:
    """What the reply to a request is, about 1.1 KB of JSON. No argument may need escaping."""
    return (
        f'{{"id":"{request_id}","method":"{method}","tenant":"{tenant}","user":"{user}",'
        f'"body":"{body}","filling":"{_FILLING}"}}'
    ).encode()


class _Echo(asyncio.Protocol):
    def __init__(self, journal: int) -> None:
        self._journal = journal
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        request_line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body_end = end + 4 + int(fields.get("content-length", 0))
        if len(self._buffer) < body_end:
            return
        body = self._buffer[end + 4 : body_end].decode()
        self._buffer = self._buffer[body_end:]
        method, target, _ = request_line.split(" ")
        query = dict(parse_qsl(target.partition("?")[2]))
        request_id = query.get("id", "-")
        os.write(self._journal, f"{method} {request_id}\n".encode())
        reply = echo_body(method, request_id, fields.get("x-tenant-id", ""), fields.get("x-user-id", ""), body)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(reply)
        if "wait_ms" in query:
            asyncio.get_running_loop().call_later(int(query["wait_ms"]) / 1000, self._answer, head + reply)
        else:
            self._answer(head + reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def _answer(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def _main(port: int, path: str) -> None:
    journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = await asyncio.get_running_loop().create_server(lambda: _Echo(journal), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), sys.argv[2]))
