"""The access log: one line of JSON a request.

time (RFC 3339, UTC, of the request's end), request_id, trace_id, route, tenant, user, plan, method, path, status, code
(of the error that the gateway made), outcome (complete, client_gone, client_slow, broken), bytes_in, bytes_out,
total_ms, upstream_ms, endpoint, attempts, client_ip, verdicts. What is not known is null. The query, header values and
bodies never get here: they may hold secrets.

The event loop only formats and gathers lines; `line_writer.py` writes them.
"""

import asyncio
import time
from collections.abc import Callable
from json import dumps, loads
from json.encoder import encode_basestring_ascii as quote
from typing import Final

from gateway.core.identity import Identity
from gateway.core.memo import Memo
from gateway.core.milliseconds import decimal, milliseconds
from gateway.observe.line_writer import LINE_MAX_BYTES, LineWriter
from gateway.plugin_api import Counter, Exchange

_FLUSH_S: Final = 0.05
_FLUSH_BYTES: Final = 256 << 10
_PENDING_MAX_BYTES: Final = 4 << 20
_CLOSE_S: Final = 2.0
_LINE_MAX_BYTES: Final[int] = LINE_MAX_BYTES


class AccessLog:
    """Writes to a file descriptor, or appends to the file of a path. Needs the running event loop.

    Lines leave in batches, after 50 ms or 256 KiB. While the sink takes none, up to 4 MiB wait for it; then lines are
    dropped and counted. wall_clock: seconds since the epoch. Raises OSError where the file cannot be opened.
    """

    def __init__(
        self,
        sink: int | str,
        dropped: Counter,
        *,
        pending_max_bytes: int = _PENDING_MAX_BYTES,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = LineWriter(sink)
        self._dropped = dropped
        self._counted = 0
        self._pending_max_bytes = pending_max_bytes
        self._wall_clock = wall_clock
        self._millisecond = -1
        self._start_text = ""
        self._second = -1
        self._second_text = ""
        # As JSON: what is the same in many lines. Routes, methods, endpoints, codes, addresses; a key is short.
        self._texts: Memo[str, str] = Memo(quote)
        # By plugin, then by its word: there are few of either.
        self._verdict_texts: Memo[str, Memo[str, str]] = Memo(_verdict_texts)
        self._lines: list[str] = []
        self._size_bytes = 0
        # How many bytes of lines there was room for when last asked; the writer only makes more.
        self._room_bytes = pending_max_bytes
        self._timer: asyncio.TimerHandle | None = None

    def log(self, exchange: Exchange, total_s: float) -> None:
        """Log one finished exchange. total_s: from its head to the end of its reply."""
        line = self._line(exchange, total_s)
        if len(line) > _LINE_MAX_BYTES:
            line = _shortened(line)
        size_bytes = self._size_bytes + len(line)
        if size_bytes > self._room_bytes:
            self._room_bytes = self._pending_max_bytes - self._writer.pending_bytes
            if size_bytes > self._room_bytes:
                self._dropped.inc()
                return
        self._lines.append(line)
        self._size_bytes = size_bytes
        if self._size_bytes >= _FLUSH_BYTES:
            self.flush_soon()
        elif self._timer is None:
            self._timer = self._loop.call_later(_FLUSH_S, self.flush_soon)

    def flush_soon(self) -> None:
        """Hand what is gathered to the writing thread now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            self._writer.put(self._lines, self._size_bytes)
            self._lines = []
            self._size_bytes = 0
            self._room_bytes = self._pending_max_bytes - self._writer.pending_bytes
        self._count_lost()

    async def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Write what is left. What a blocked sink has not taken after timeout_s is dropped and counted."""
        self.flush_soon()
        await self._writer.close(timeout_s)
        self._count_lost()

    def _count_lost(self) -> None:
        lost = self._writer.lost_lines
        if lost != self._counted:
            self._dropped.inc(lost - self._counted)
            self._counted = lost

    def _start(self) -> str:
        """How a line of this millisecond begins."""
        now_s = self._wall_clock()
        millisecond = int(now_s * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._start_text = f'{{"time":"{self._second_text}.{rest:03d}Z","request_id":"'
        return self._start_text

    def _line(self, exchange: Exchange, total_s: float) -> str:
        route, identity, reply, verdicts = exchange.route, exchange.identity, exchange.reply, exchange.verdicts
        if identity is None:
            caller = '"tenant":null,"user":null,"plan":null'
        else:
            # Once for the life of a token, which serves many requests.
            caller = identity.log_text or _caller(identity)
        # A request that was refused before it was routed has no path in normal form.
        path = exchange.path or exchange.target.partition("?")[0].partition("#")[0]
        trace_id = f'"{exchange.traceparent[3:35].decode("ascii")}"' if exchange.traceparent else "null"
        texts = self._texts
        total_ms, total_rest = milliseconds(total_s)
        upstream_ms, upstream_rest = milliseconds(exchange.upstream_s)
        # No format specification here: it goes through Python's own formatter, and three of them were half of the line.
        return (
            f'{self._start()}{exchange.request_id}","trace_id":{trace_id},'
            f'"route":{"null" if route is None else texts[route.id]},{caller},'
            f'"method":{texts[exchange.method]},"path":{quote(path)},'
            f'"status":{"null" if reply is None else decimal(reply.status)},'
            f'"code":{texts[exchange.error_code] if exchange.error_code else "null"},'
            f'"outcome":"{exchange.outcome}","bytes_in":{decimal(exchange.bytes_in)},"bytes_out":{exchange.bytes_out},'
            f'"total_ms":{total_ms}{total_rest},"upstream_ms":{upstream_ms}{upstream_rest},'
            f'"endpoint":{texts[exchange.endpoint] if exchange.endpoint else "null"},'
            f'"attempts":{decimal(exchange.attempts)},"client_ip":{texts[exchange.client_ip]},"verdicts":{{{self._verdicts(verdicts)}}}}}\n'
        )

    def _verdicts(self, verdicts: dict[str, str]) -> str:
        """The members of a JSON object."""
        members = ""
        for name, verdict in verdicts.items():
            members += self._verdict_texts[name][verdict]
        return members[1:]


def _caller(identity: Identity) -> str:
    tenant, user, plan = identity.tenant, identity.user, identity.plan
    identity.log_text = text = (
        f'"tenant":{"null" if tenant is None else quote(tenant)},'
        f'"user":{"null" if user is None else quote(user)},"plan":{"null" if plan is None else quote(plan)}'
    )
    return text


def _verdict_texts(name: str) -> Memo[str, str]:
    start = f",{quote(name)}:"
    return Memo(lambda verdict: start + quote(verdict), entries_max=256)


def _shortened(line: str) -> str:
    """The same fields with their texts cut, so that the line is no longer than can be written in one piece."""
    fields = loads(line)
    for key, value in fields.items():
        if isinstance(value, str):
            fields[key] = value[:240] if len(dumps(value[:240])) <= 300 else value[:40]
    fields["verdicts"] = {}
    return dumps(fields | {"cut": True}, separators=(",", ":")) + "\n"
