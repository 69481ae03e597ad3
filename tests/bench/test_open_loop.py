"""Hazard: a client that hides a stall, takes a wrong reply for a good one, or loses a request from its account."""

import asyncio
from pathlib import Path

import pytest

from tests.bench import open_loop
from tests.bench.echo_upstream import echo_body
from tests.bench.open_loop import (
    Asked,
    Caller,
    Connection,
    Crowd,
    Failure,
    Group,
    Outcome,
    Plan,
    judge_reply,
    plan_line,
    read_plan,
    split_reply,
)
from tests.bench.records import Records

GROUP = Group("gateway", 1, 1, 10.0, callers=(Caller("Bearer t", "tenant-1", "user-1"),))
ASKED = Asked(0.0, "gateway-0-0", "GET", 0.0, b"{}")
PROBLEM = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/problem+json"


class Wire(asyncio.Transport):
    """The client's end of a connection that goes nowhere."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.2", 5)})
        self.written: list[bytes] = []
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.is_aborted = True


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(open_loop.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def connection(clock: Clock) -> Connection:
    crowd = Crowd(GROUP, 10.0)
    crowd.is_closing = True  # so that nothing connects again
    (connection,) = crowd.connections
    connection.connection_made(Wire())
    return connection


def wire(connection: Connection) -> Wire:
    assert isinstance(connection.transport, Wire)
    return connection.transport


def reply(request_id: str, tenant: str = "tenant-1") -> bytes:
    body = echo_body("GET", request_id, tenant, "user-1", "")
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def outcome(connection: Connection) -> Outcome:
    return connection._crowd.outcome


def kinds(connection: Connection) -> list[str]:
    return [failure.kind for failure in outcome(connection).failures]


def test_latency_counts_from_when_a_request_was_due_not_from_when_it_could_go(
    connection: Connection, clock: Clock
) -> None:
    connection.ask(100.0, 0)
    connection.ask(101.0, 1)
    assert len(wire(connection).written) == 1
    clock.now_s = 105.0
    connection.data_received(reply("gateway-0-0"))
    assert len(wire(connection).written) == 2
    clock.now_s = 106.0
    connection.data_received(reply("gateway-0-1"))
    assert list(outcome(connection).records.latency_s) == [5.0, 5.0]
    assert kinds(connection) == []


def test_a_reply_in_pieces_is_one_reply(connection: Connection) -> None:
    connection.ask(100.0, 0)
    data = reply("gateway-0-0")
    connection.data_received(data[:30])
    assert len(outcome(connection).records) == 0
    connection.data_received(data[30:])
    assert len(outcome(connection).records) == 1


def test_the_reply_of_somebody_else_is_wrong(connection: Connection) -> None:
    connection.ask(100.0, 0)
    connection.data_received(reply("gateway-7-0"))
    connection.ask(100.0, 1)
    connection.data_received(reply("gateway-0-1", tenant="tenant-2"))
    assert kinds(connection) == ["wrong", "wrong"]
    assert len(outcome(connection).records) == 0


def test_a_request_that_is_answered_twice_is_seen(connection: Connection) -> None:
    connection.ask(100.0, 0)
    connection.data_received(reply("gateway-0-0") * 2)
    assert kinds(connection) == ["surplus"]
    assert wire(connection).is_aborted


def test_bytes_that_nobody_asked_for_are_seen(connection: Connection) -> None:
    connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert kinds(connection) == ["surplus"]


@pytest.mark.parametrize(("came", "kind"), [(b"", "no_reply"), (b"HTTP/1.1 200 OK\r\n", "torn")])
def test_a_connection_that_ends_loses_the_request_under_way_and_no_other(
    came: bytes, kind: str, connection: Connection
) -> None:
    connection.ask(100.0, 0)
    connection.ask(100.0, 1)
    if came:
        connection.data_received(came)
    connection.connection_lost(None)
    assert kinds(connection) == [kind]
    assert outcome(connection).failures[0].source == ("127.0.0.2", 5)
    connection.connection_made(Wire())
    connection.data_received(reply("gateway-0-1"))
    assert len(outcome(connection).records) == 1


def test_what_is_never_answered_is_given_up_and_counted(connection: Connection) -> None:
    for turn in range(3):
        connection.ask(100.0, turn)
    connection.give_up()
    assert kinds(connection) == ["given_up"] * 3
    assert [each.request_id for each in outcome(connection).failures] == [f"gateway-0-{turn}" for turn in range(3)]


@pytest.mark.parametrize(
    ("status", "head", "body", "verdict"),
    [
        (200, b"", b"{}", ("", "")),
        (200, b"", b"{ }", ("wrong", "")),
        (502, PROBLEM, b'{"status": 502, "code": "upstream_reset"}', ("refused", "upstream_reset")),
        (502, PROBLEM, b'{"status": 503, "code": "upstream_reset"}', ("wrong", "another status in the body")),
        (502, PROBLEM, b"<html>", ("wrong", "not a problem")),
        (502, b"HTTP/1.1 502 Bad Gateway", b'{"status": 502}', ("wrong", "status 502 is no problem+json")),
    ],
)
def test_each_reply_is_judged(status: int, head: bytes, body: bytes, verdict: tuple[str, str]) -> None:
    assert judge_reply(ASKED, status, head, body) == verdict


def test_what_is_no_reply_with_a_length_is_refused() -> None:
    for data in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"SSH-2.0\r\n\r\n"):
        with pytest.raises(ValueError):
            split_reply(data)


async def test_the_timetable_asks_each_client_once_an_interval(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(Group("many", 1, 50, 10.0), seconds=30.0)
    calls: list[tuple[float, object]] = []
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_later", lambda delay_s, call: calls.append((delay_s, call)), raising=False
    )
    crowd.start(100.0)
    while not crowd.is_over:
        delay_s, tick = calls.pop()
        clock.now_s += delay_s
        assert callable(tick)
        tick()
    asked = {connection.number: [due_s for due_s, _ in connection.waiting] for connection in crowd.connections}
    assert crowd.outcome.asked == 150
    for times in asked.values():
        assert len(times) == 3
        assert times[1] - times[0] == pytest.approx(10.0)
        assert 100.0 <= times[0] < 110.0


def test_a_plan_and_an_outcome_come_through_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = read_plan(plan_line(Plan([GROUP], 60.0)).encode())
    assert plan.groups[0].callers == [Caller("Bearer t", "tenant-1", "user-1")]
    assert (plan.seconds, plan.groups[0].name, plan.groups[0].interval_s) == (60.0, "gateway", 10.0)
    monkeypatch.chdir(tmp_path)
    failure = Failure("gateway-0-0", "GET", 1.0, 2.0, "refused", 502, "upstream_reset", ("127.0.0.2", 5))
    found = Outcome(failures=[failure], asked=3, reconnects=1)
    found.records.add(1.0, 0.5)
    found.write("gateway")
    again = Outcome.read(tmp_path, "gateway")
    assert again == found


def test_percentiles_are_of_the_nearest_rank() -> None:
    records = Records()
    for number in range(100, 0, -1):
        records.add(float(number), number / 1000)
    assert [records.percentile_ms(percent) for percent in (50.0, 99.0, 99.9, 100.0)] == pytest.approx(
        [50.0, 99.0, 100.0, 100.0]
    )
    assert records.between(10.0, 20.0).percentile_ms(100.0) == pytest.approx(19.0)
    assert Records().percentile_ms(50.0) is None
