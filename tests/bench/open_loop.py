"""`python -m tests.bench.open_loop`: many clients in one process, each of which asks when it is due.

The first line on standard input is a `Plan` as JSON. It connects, prints `connected`, waits for a line `go`, asks, and
prints `done` when every request is answered or given up; what it saw is then in the folder it runs in (`Outcome`).
A client whose last reply is still to come asks when it has come; its latency counts from when it was due, so that a
proxy which stalls cannot hide it (no coordinated omission). Timers of the loop tick in milliseconds, which is part of
each latency: compare groups of one process only. It ends when its standard input does.
"""

import asyncio
import gc
import json
import random
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import uvloop

from tests.bench.echo_upstream import echo_body
from tests.bench.records import Records

PATIENCE_S = 35.0
_CONNECTING_AT_ONCE = 64
_RECONNECT_S = (0.1, 1.0)
_FAILURES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Caller:
    """authorization: a header's value, or empty. tenant, user: as the gateway has to name them to the upstream."""

    authorization: str = ""
    tenant: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Clients of one kind. path: of the file they ask for; empty: they talk to `echo_upstream`, and every reply has to
    be the one that belongs to the request. interval_s: between two requests of one client; 0: one at the beginning,
    then silence. post_every, wait_every: each so-many-th request is a POST, or is answered after wait_ms; 0: none.
    names_itself: it says itself what the gateway would say of the caller. sources: addresses it connects from.
    """

    name: str
    port: int
    connections: int
    interval_s: float
    path: str = ""
    post_every: int = 0
    wait_every: int = 0
    wait_ms: int = 0
    names_itself: bool = False
    callers: Sequence[Caller] = (Caller(),)
    sources: Sequence[str] = ("127.0.0.1",)


@dataclass(frozen=True, slots=True)
class Plan:
    """seconds: for how long requests come due. ramp_per_s: new connections a second, at first."""

    groups: Sequence[Group]
    seconds: float
    ramp_per_s: int = 1000


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a good reply. Times are time.monotonic(). kind: `refused` (a reply of the gateway's own, with
    its code), `wrong` (not the reply that belongs to it), `no_reply`, `torn` (closed amid the reply), `given_up`,
    `surplus` (bytes that nobody asked for). source: address and port of the client's end.
    """

    request_id: str
    method: str
    due_s: float
    ended_s: float
    kind: str
    status: int = 0
    code: str = ""
    source: tuple[str, int] = ("", 0)


@dataclass(slots=True)
class Outcome:
    """What a group saw. records: of the good replies."""

    records: Records = field(default_factory=Records)
    failures: list[Failure] = field(default_factory=list)
    asked: int = 0
    reconnects: int = 0
    failed_connects: int = 0

    def write(self, name: str) -> None:
        self.records.write(Path(f"{name}.records"))
        rest = {
            "failures": [asdict(each) for each in self.failures],
            "asked": self.asked,
            "reconnects": self.reconnects,
            "failed_connects": self.failed_connects,
        }
        Path(f"{name}.json").write_text(json.dumps(rest))

    @classmethod
    def read(cls, folder: Path, name: str) -> "Outcome":
        rest = json.loads((folder / f"{name}.json").read_text())
        failures = [Failure(**{**each, "source": tuple(each["source"])}) for each in rest.pop("failures")]
        return cls(Records.read(folder / f"{name}.records"), failures, **rest)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request under way, and what its reply has to be (None: anything with status 200)."""

    due_s: float
    request_id: str
    method: str
    wait_s: float
    expected: bytes | None


def judge_reply(asked: Asked, status: int, head: bytes, body: bytes) -> tuple[str, str]:
    """The kind of failure and its code; two empty texts for a good reply."""
    if status == 200:
        return ("", "") if asked.expected is None or body == asked.expected else ("wrong", "")
    if b"content-type: application/problem+json" not in head.lower():
        return "wrong", f"status {status} is no problem+json"
    try:
        problem = json.loads(body)
        if problem["status"] != status:
            return "wrong", "another status in the body"
        return "refused", str(problem["code"])
    except (ValueError, KeyError, TypeError):
        return "wrong", "not a problem"


def split_reply(data: bytes) -> tuple[int, bytes, bytes, bytes] | None:
    """Status, head, body and what follows, of the reply at the front of the bytes; None while it is not whole.

    Raises ValueError for what is no reply with a length.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    if not head.startswith(b"HTTP/1.1 "):
        raise ValueError("no status line")
    _, separator, rest = head.lower().partition(b"\r\ncontent-length:")
    if not separator:
        raise ValueError("no length")
    body_end = end + 4 + int(rest.partition(b"\r\n")[0])
    if len(data) < body_end:
        return None
    return int(head[9:12]), head, data[end + 4 : body_end], data[body_end:]


class Connection(asyncio.Protocol):
    """One client. It has one request under way at most; those that come due meanwhile wait here."""

    def __init__(self, crowd: "Crowd", number: int) -> None:
        self._crowd = crowd
        self._caller = crowd.group.callers[number % len(crowd.group.callers)]
        self._source = crowd.group.sources[number % len(crowd.group.sources)]
        self._local: tuple[str, int] = ("", 0)
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.asked: Asked | None = None
        self.waiting: deque[tuple[float, int]] = deque()
        self._buffer = b""

    async def connect(self) -> None:
        """Raises OSError."""
        loop, group = asyncio.get_running_loop(), self._crowd.group
        await loop.create_connection(lambda: self, "127.0.0.1", group.port, local_addr=(self._source, 0))

    def ask(self, due_s: float, turn: int) -> None:
        if self.asked is not None or self.transport is None:
            self.waiting.append((due_s, turn))
            return
        data, self.asked = self._request(due_s, turn)
        self.transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._local = tuple(transport.get_extra_info("sockname")[:2])
        self._ask_next()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        asked = self.asked
        if asked is None:
            self._break_off(Asked(time.monotonic(), "-", "-", 0.0, None), "surplus")
            return
        try:
            reply = split_reply(self._buffer)
        except ValueError:
            self._break_off(asked, "wrong")
            return
        if reply is None:
            return
        now_s = time.monotonic()
        status, head, body, self._buffer = reply
        self.asked = None
        kind, code = judge_reply(asked, status, head, body)
        if kind:
            self._fail(asked, kind, status, code)
        else:
            self._crowd.outcome.records.add(asked.due_s, now_s - asked.due_s - asked.wait_s)
        if self._buffer:
            self._break_off(Asked(now_s, asked.request_id, asked.method, 0.0, None), "surplus")
            return
        self._ask_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        asked, self.asked = self.asked, None
        if asked is not None:
            self._fail(asked, "torn" if self._buffer else "no_reply")
        self._buffer = b""
        self._crowd.connect_again(self)

    def give_up(self) -> None:
        """What is not answered by now is not going to be."""
        if self.asked is not None:
            self._fail(self.asked, "given_up")
        for due_s, turn in self.waiting:
            self._fail(Asked(due_s, self._request_id(turn), "-", 0.0, None), "given_up")

    def _ask_next(self) -> None:
        if self.waiting:
            self.ask(*self.waiting.popleft())

    def _break_off(self, asked: Asked, kind: str) -> None:
        self.asked = None
        self._fail(asked, kind)
        if self.transport is not None:
            self.transport.abort()

    def _fail(self, asked: Asked, kind: str, status: int = 0, code: str = "") -> None:
        failures = self._crowd.outcome.failures
        if len(failures) < _FAILURES_MAX:
            ended_s = time.monotonic()
            failures.append(
                Failure(asked.request_id, asked.method, asked.due_s, ended_s, kind, status, code, self._local)
            )

    def _request_id(self, turn: int) -> str:
        return f"{self._crowd.group.name}-{self.number}-{turn}"

    def _request(self, due_s: float, turn: int) -> tuple[bytes, Asked]:
        group, caller = self._crowd.group, self._caller
        lines = f"Host: 127.0.0.1:{group.port}\r\n"
        if caller.authorization:
            lines += f"Authorization: {caller.authorization}\r\n"
        request_id = self._request_id(turn)
        if group.path:
            return f"GET {group.path} HTTP/1.1\r\n{lines}\r\n".encode(), Asked(due_s, request_id, "GET", 0.0, None)
        if group.names_itself:
            lines += f"X-Tenant-Id: {caller.tenant}\r\nX-User-Id: {caller.user}\r\n"
        turn += self.number
        method = "POST" if group.post_every and turn % group.post_every == 0 else "GET"
        waits = bool(group.wait_every) and turn % group.wait_every == 1
        body = f"of {request_id}" if method == "POST" else ""
        if body:
            lines += f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        target = f"/echo?id={request_id}" + (f"&wait_ms={group.wait_ms}" if waits else "")
        expected = echo_body(method, request_id, caller.tenant, caller.user, body)
        data = f"{method} {target} HTTP/1.1\r\n{lines}\r\n{body}".encode()
        return data, Asked(due_s, request_id, method, group.wait_ms / 1000 if waits else 0.0, expected)


class Crowd:
    """The clients of a group, and their timetable: each has its own point in the interval, as users come, at random."""

    def __init__(self, group: Group, seconds: float) -> None:
        self.group = group
        self.outcome = Outcome()
        self.connections = [Connection(self, number) for number in range(group.connections)]
        self._seconds = seconds
        rng = random.Random(group.name)
        self._points = sorted(rng.random() * group.interval_s for _ in self.connections)
        self._order = rng.sample(self.connections, len(self.connections))
        self._rng = rng
        self._start_s = 0.0
        self._next = 0
        self.is_over = False
        self.is_closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self, ramp_per_s: int) -> None:
        """All of them, so many a second. Raises OSError where one cannot."""
        places = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        began_s = time.monotonic()

        async def connect(connection: Connection) -> None:
            async with places:
                await connection.connect()

        async with asyncio.TaskGroup() as group:
            for number, connection in enumerate(self.connections):
                early_s = began_s + number / ramp_per_s - time.monotonic()
                if early_s > 0:
                    await asyncio.sleep(early_s)
                group.create_task(connect(connection))

    def start(self, start_s: float) -> None:
        self._start_s = start_s
        self._tick()

    def _tick(self) -> None:
        now_s = time.monotonic()
        while True:
            turn, place = divmod(self._next, len(self._order))
            due_s = self._start_s + turn * self.group.interval_s + self._points[place]
            if due_s >= self._start_s + self._seconds:
                self.is_over = True
                return
            if due_s > now_s:
                break
            self._next += 1
            self.outcome.asked += 1
            self._order[place].ask(due_s, turn)
        # In whole milliseconds the loop would round less than half of one down to none, and spin.
        asyncio.get_running_loop().call_later(max(due_s - now_s, 0.001), self._tick)

    @property
    def is_answered(self) -> bool:
        return self.is_over and all(each.asked is None and not each.waiting for each in self.connections)

    def connect_again(self, connection: Connection) -> None:
        if not self.is_closing:
            task = asyncio.get_running_loop().create_task(self._connect_again(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect_again(self, connection: Connection) -> None:
        while not self.is_closing:
            await asyncio.sleep(self._rng.uniform(*_RECONNECT_S))
            try:
                await connection.connect()
            except OSError:
                self.outcome.failed_connects += 1
            else:
                self.outcome.reconnects += 1
                return


async def run(plan: Plan, lines: asyncio.StreamReader) -> None:
    """Carry the plan out; `lines` is standard input."""
    crowds = [Crowd(group, plan.seconds) for group in plan.groups]
    for crowd in crowds:
        await crowd.connect(plan.ramp_per_s)
    # What lives now lives to the end; and nothing that dies is a cycle worth a pause.
    gc.collect()
    gc.freeze()
    gc.disable()
    print("connected", flush=True)
    if await lines.readline() != b"go\n":
        return
    start_s = time.monotonic()
    for crowd in crowds:
        crowd.start(start_s)
    give_up_s = start_s + plan.seconds + PATIENCE_S
    while not all(crowd.is_answered for crowd in crowds) and time.monotonic() < give_up_s:
        await asyncio.sleep(0.1)
    for crowd in crowds:
        crowd.is_closing = True
        for connection in crowd.connections:
            connection.give_up()
        crowd.outcome.write(crowd.group.name)
    print("done", flush=True)
    while await lines.readline():
        pass


def plan_line(plan: Plan) -> str:
    """The first line that the process reads."""
    return json.dumps(asdict(plan))


def read_plan(line: bytes) -> Plan:
    """The inverse of `plan_line`."""
    found = json.loads(line)
    groups = [
        Group(**{**group, "callers": [Caller(**caller) for caller in group["callers"]]}) for group in found["groups"]
    ]
    return Plan(groups, found["seconds"], found["ramp_per_s"])


async def _main() -> None:
    lines = asyncio.StreamReader(limit=1 << 28)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await run(read_plan(await lines.readline()), lines)


if __name__ == "__main__":
    uvloop.run(_main())
