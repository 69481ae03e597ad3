"""The other side of a protocol, for tests that need no socket."""

import asyncio
from typing import Any

from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.plugin_api import Reply
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.outbox import Outbox


class FakeTransport(asyncio.Transport):
    """Keeps what is written; pausing, ending and closing are seen, not done."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = False
        self.has_eof = False
        self.closed_by = ""
        self.waiting = 0
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert not self.closed_by, "a write after the end"
        self.written += data

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        self.has_eof = True

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return bool(self.closed_by)

    def close(self) -> None:
        self.closed_by = self.closed_by or "close"

    def abort(self) -> None:
        self.closed_by = self.closed_by or "abort"

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Rack:
    """A connection over a fake transport, and what it called back."""

    def __init__(self) -> None:
        self.idle: list[UpstreamConnection] = []
        self.closed: list[UpstreamConnection] = []
        self.outcomes: list[Reply | GatewayError] = []
        self.interim: list[tuple[int, Headers]] = []
        self.transport = FakeTransport()
        loop = asyncio.get_running_loop()
        self.outbox = Outbox(loop)
        self.connection = UpstreamConnection(loop, self.outbox, self.idle.append, self.closed.append)
        self.connection.connection_made(self.transport)

    def start(self, method: str = "GET", **more: Any) -> None:
        settings = {"deadline_s": None, "idle_timeout_s": None, "interim": lambda *one: self.interim.append(one)}
        self.connection.start(method, b"request", **{**settings, "sink": self.outcomes.append, **more})
        self.outbox.flush()

    @property
    def reply(self) -> Reply:
        (outcome,) = self.outcomes
        assert isinstance(outcome, Reply)
        return outcome

    @property
    def error(self) -> GatewayError:
        (outcome,) = self.outcomes
        assert isinstance(outcome, GatewayError)
        return outcome
