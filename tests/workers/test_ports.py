import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings import TableSources, parse_worker_count
from gateway.workers import Listening
from gateway.workers.ports import bind_shared, reserve_port
from gateway.workers.supervisor import next_backoff_s


def test_workers_share_a_reserved_port_and_a_second_gateway_does_not():
    with reserve_port("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            reserve_port("127.0.0.1", port)
        with bind_shared("127.0.0.1", port) as first, bind_shared("127.0.0.1", port) as second:
            first.listen()
            second.listen()
            with pytest.raises(OSError, match="in use"):
                reserve_port("127.0.0.1", port)
    reserve_port("127.0.0.1", port).close()


def test_a_reserved_port_refuses_clients():
    with reserve_port("127.0.0.1", 0) as held, socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(held.getsockname())


def test_closed_connections_of_another_server_do_not_hold_the_port():
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = other.getsockname()
        with socket.create_connection(address) as client:
            # The server closes first, so TIME_WAIT is on its side.
            other.accept()[0].close()
            assert client.recv(1) == b""
    with reserve_port(*address), bind_shared(*address) as worker:
        worker.listen()


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_backoff_is_bounded_and_only_for_the_short_lived(previous_s, lived_s):
    backoff_s = next_backoff_s(previous_s, lived_s)
    if lived_s >= 5:
        assert backoff_s == 0
    else:
        assert 0.1 <= backoff_s <= 5
        assert backoff_s == 5 or backoff_s >= previous_s


def test_backoff_doubles():
    seconds = [0.0]
    for _ in range(8):
        seconds.append(next_backoff_s(seconds[-1], 0.2))
    assert seconds[1:] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5])


def test_the_line_that_an_operator_sees():
    assert str(Listening("::1", 8080, "127.0.0.1", 9901, 1)) == (
        "listening on http://[::1]:8080, admin http://127.0.0.1:9901, 1 worker"
    )


def test_worker_counts():
    assert parse_worker_count("auto") >= 1
    assert parse_worker_count("4") == 4
    for text in ("0", "-1", "1025", "four", "", "²"):
        with pytest.raises(ValueError, match="write auto, or 1 to 1024"):
            parse_worker_count(text)


def test_sources_do_not_show_their_texts():
    assert "topsecret" not in repr(TableSources("routes.yaml", {"keys.yaml": "topsecret"}))
