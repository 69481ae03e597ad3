import asyncio
import fcntl
import json
import os

import pytest

from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.observe.access_log import AccessLog
from gateway.observe.line_writer import LINE_MAX_BYTES
from gateway.observe.metrics import Counter, WorkerMetrics
from gateway.plugin_api import Exchange, Reply, RouteInfo


def counter() -> Counter:
    return WorkerMetrics().counter("gateway_access_log_dropped", "Dropped.")


def exchange(**more) -> Exchange:
    made = Exchange(
        method="GET",
        target="/api/v1/crm/contacts?token=topsecret",
        headers=Headers([(b"authorization", b"Bearer topsecret")]),
        client_ip="192.0.2.1",
        request_id="ab" * 16,
        traceparent=b"00-" + b"cd" * 16 + b"-" + b"ef" * 8 + b"-01",
    )
    made.path, made.query = "/api/v1/crm/contacts", "token=topsecret"
    made.route = RouteInfo("crm", "/api/v1/crm/*", None, "crm")
    made.identity = Identity(
        tenant="t1", user="u1", plan="free", scopes=frozenset(), claims={"x": "topsecret"}, credential="jwt:payaid"
    )
    made.verdicts = {"auth": "ok", "limit": "allowed"}
    made.reply = Reply(200)
    made.endpoint, made.attempts, made.upstream_s = "127.0.0.1:8101", 1, 0.0101
    made.bytes_in, made.bytes_out, made.outcome = 5, 1234, "complete"
    for name, value in more.items():
        setattr(made, name, value)
    return made


async def lines_of(tmp_path, *exchanges: Exchange, total_s: float = 0.0123, **options) -> list[str]:
    log = AccessLog(str(tmp_path / "access.log"), counter(), **options)
    for each in exchanges:
        log.log(each, total_s)
    await log.close()
    return (tmp_path / "access.log").read_text().splitlines()


async def test_a_line_says_it_all(tmp_path):
    (line,) = await lines_of(tmp_path, exchange(), wall_clock=lambda: 1_700_000_000.0625)
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.062Z",
        "request_id": "ab" * 16,
        "trace_id": "cd" * 16,
        "route": "crm",
        "tenant": "t1",
        "user": "u1",
        "plan": "free",
        "method": "GET",
        "path": "/api/v1/crm/contacts",
        "status": 200,
        "code": None,
        "outcome": "complete",
        "bytes_in": 5,
        "bytes_out": 1234,
        "total_ms": 12.3,
        "upstream_ms": 10.1,
        "endpoint": "127.0.0.1:8101",
        "attempts": 1,
        "client_ip": "192.0.2.1",
        "verdicts": {"auth": "ok", "limit": "allowed"},
    }


async def test_what_is_not_known_is_null(tmp_path):
    bare = Exchange(method="GET", target="/a%2Fb?token=topsecret#topsecret", headers=Headers())
    nobody = Identity(tenant=None, user=None, plan=None, scopes=frozenset(), claims={}, credential="api_key:x")
    lines = await lines_of(tmp_path, bare, exchange(identity=nobody, error_code="scope_missing", verdicts={}))
    first, second = map(json.loads, lines)
    for key in ("route", "tenant", "user", "plan", "status", "code", "endpoint", "trace_id"):
        assert first[key] is None
    assert first["path"] == "/a%2Fb"
    assert (second["tenant"], second["user"], second["plan"]) == (None, None, None)
    assert (second["code"], second["verdicts"]) == ("scope_missing", {})


async def test_no_query_header_or_claim_gets_into_it(tmp_path):
    lines = await lines_of(tmp_path, exchange(), exchange(path=""), exchange(path="", target="/a#topsecret"))
    assert len(lines) == 3
    assert "topsecret" not in "".join(lines)


async def test_the_time_moves_on(tmp_path):
    times = iter([10.0, 10.999, 11.0, 71.5])
    lines = await lines_of(tmp_path, *[exchange()] * 4, wall_clock=lambda: next(times))
    assert [json.loads(line)["time"][17:] for line in lines] == ["10.000Z", "10.999Z", "11.000Z", "11.500Z"]


async def test_lines_leave_soon_without_close():
    reader, writer = os.pipe()
    log = AccessLog(writer, counter())
    log.log(exchange(), 0.1)
    arrived = await asyncio.to_thread(os.read, reader, 65536)
    assert json.loads(arrived)["route"] == "crm"
    await log.close()
    os.close(reader)
    os.close(writer)


async def test_a_pipe_gets_whole_lines_that_stay_together():
    # In packet mode each read takes what one write gave, and a write of more than PIPE_BUF bytes is cut.
    reader, writer = os.pipe2(os.O_DIRECT)
    log = AccessLog(writer, counter())
    for _ in range(100):
        log.log(exchange(), 0.1)
    await log.close()
    os.close(writer)
    packets = []
    while packet := os.read(reader, 65536):
        packets.append(packet)
    assert all(packet.endswith(b"\n") for packet in packets)
    assert len([json.loads(line) for line in b"".join(packets).splitlines()]) == 100
    assert 1 < len(packets) < 20
    os.close(reader)


async def test_a_blocked_sink_costs_lines_not_time():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    dropped = counter()
    # More than one batch: what was handed over and is not written counts as well.
    log = AccessLog(writer, dropped, pending_max_bytes=100_000)
    for _ in range(1000):
        log.log(exchange(), 0.1)
    at_once = dropped.values[dropped.index]
    assert 700 < at_once < 850
    await log.close(timeout_s=0.05)
    lost = dropped.values[dropped.index]
    assert lost > at_once
    # The reader comes back too late for the count, not for the thread, which can now end.
    os.set_blocking(reader, False)
    while log._writer.pending_bytes:
        try:
            os.read(reader, 65536)
        except BlockingIOError:
            await asyncio.sleep(0)
    await log._writer._ended.wait()
    os.close(reader)
    os.close(writer)


async def test_a_sink_that_fails_is_counted_and_said_once(caplog):
    reader, writer = os.pipe()
    os.close(reader)
    dropped = counter()
    log = AccessLog(writer, dropped)
    for _ in range(3):
        log.log(exchange(), 0.1)
        log.flush_soon()
    await log.close()
    assert dropped.values[dropped.index] == 3
    assert [record.getMessage() for record in caplog.records] == [
        "the access log cannot be written, lines are dropped: Broken pipe"
    ]
    os.close(writer)


async def test_a_nonblocking_sink_is_waited_for():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    dropped = counter()
    log = AccessLog(writer, dropped)
    for _ in range(100):
        log.log(exchange(), 0.1)
    log.flush_soon()
    closing = asyncio.create_task(log.close())
    received = b""
    while received.count(b"\n") < 100:
        received += await asyncio.to_thread(os.read, reader, 65536)
    await closing
    assert all(json.loads(line) for line in received.splitlines())
    assert dropped.values[dropped.index] == 0
    os.close(reader)
    os.close(writer)


async def test_a_rotated_file_is_opened_anew(tmp_path):
    path = tmp_path / "access.log"
    log = AccessLog(str(path), counter())
    log.log(exchange(request_id="first"), 0.1)
    await written(log)
    path.rename(tmp_path / "access.log.1")
    log.log(exchange(request_id="second"), 0.1)
    await log.close()
    assert json.loads((tmp_path / "access.log.1").read_text())["request_id"] == "first"
    assert json.loads(path.read_text())["request_id"] == "second"
    assert path.stat().st_mode & 0o777 == 0o640


async def written(log: AccessLog) -> None:
    log.flush_soon()
    while log._writer.pending_bytes:
        await asyncio.sleep(0)


async def test_an_endless_path_is_cut_so_that_the_line_stays_whole(tmp_path):
    (line,) = await lines_of(tmp_path, exchange(path="/" + "x" * 20_000))
    assert len(line) < LINE_MAX_BYTES
    fields = json.loads(line)
    assert fields["path"] == "/" + "x" * 239
    assert (fields["cut"], fields["route"], fields["status"]) == (True, "crm", 200)


async def test_a_file_that_cannot_be_opened_is_said_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        AccessLog(str(tmp_path / "no" / "a.log"), counter())
