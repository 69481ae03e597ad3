"""Hazard: an operator asks for the table of yesterday, and does not learn whether it is served."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.workers.history import History
from gateway.workers.history_commands import ask_rollback, history_rows
from tests.workers.test_history import table


@contextmanager
def admin(status: int, body: bytes) -> Iterator[tuple[int, list[str]]]:
    """An admin listener that always answers the same. Yields its port and what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


def test_the_newest_stands_first(tmp_path: Path) -> None:
    history = History(str(tmp_path))
    history.add(table("a"), "first table", 0.0)
    history.add(table("b"), "routes: ~crm", 60.0)
    assert history_rows(history) == [
        {"version": "b", "time": "1970-01-01 00:01:00+00:00", "changes": "routes: ~crm"},
        {"version": "a", "time": "1970-01-01 00:00:00+00:00", "changes": "first table"},
    ]


def test_what_came_of_it_is_said() -> None:
    said = json.dumps({"result": "swapped", "version": "v1", "detail": "rolled back"}).encode()
    with admin(200, said) as (port, asked):
        assert ask_rollback("0.0.0.0", port, None) == (True, "version v1 is served: rolled back")
        assert ask_rollback("127.0.0.1", port, "v1 &")[0]
        assert asked == ["/rollback", "/rollback?version=v1+%26"]


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (404, b'{"detail": "there is no good table x"}', "gateway rollback: there is no good table x"),
        (422, b'{"detail": "no", "problems": [{"text": "a:1:1: b: c"}]}', "gateway rollback: no\na:1:1: b: c"),
        (200, b"<html>", "no gateway answers at http://127.0.0.1:"),
    ],
)
def test_what_did_not_work_is_said_without_a_traceback(status: int, body: bytes, text: str) -> None:
    with admin(status, body) as (port, _):
        is_done, said = ask_rollback("127.0.0.1", port, "x")
    assert not is_done and text in said


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    is_done, said = ask_rollback("127.0.0.1", port, None)
    assert (is_done, said) == (
        False,
        f"gateway rollback: no gateway answers at http://127.0.0.1:{port}: Connection refused",
    )
