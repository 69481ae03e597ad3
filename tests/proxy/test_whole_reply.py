"""Hazard: a head that is remembered says something else than the one that would have been written."""

import pytest

from gateway.core.headers import HeaderBlock, Headers
from gateway.plugin_api import Exchange, Reply
from gateway.proxy.heads import reply_head
from gateway.proxy.whole_reply import whole_reply
from tests.support.plugins import exchange

LINES = [(b"content-type", b"text/plain"), (b"date", b"Tue, 24 Nov 2026 20:00:00 GMT"), (b"x-a", b"x-request-id: 9")]


def block_of(*lines: tuple[bytes, bytes]) -> HeaderBlock:
    return HeaderBlock(list(lines), dict(lines))


def asked(request_id: str, method: str = "GET", upstream_s: float = 0.0) -> Exchange:
    made = exchange(method, "/", {"te": "trailers"})
    made.request_id, made.started_s, made.upstream_s = request_id, 5.0, upstream_s
    return made


def written(reply: Reply, asked: Exchange, now_s: float, *, keep_alive: bool = True) -> bytes:
    """What goes out where nothing is remembered."""
    head, _ = reply_head(reply, asked, now_s=now_s, is_http10=False, keep_alive=keep_alive)
    return head


def test_each_reply_is_as_it_would_have_been_written() -> None:
    block = block_of(*LINES)
    for number, now_s in enumerate((5.001, 6.5, 6.5)):
        ask, reply = asked(f"id-{number}", upstream_s=number / 7), Reply(200, Headers((), block), b"hello")
        sent = whole_reply(reply, ask, b"hello", now_s=now_s, keep_alive=True)
        assert sent == written(reply, ask, now_s) + b"hello"
        assert (ask.bytes_out, b"\r\nx-request-id: id-%d\r\n" % number in sent) == (5, True)
    assert block.returned is not None


def test_what_is_remembered_is_for_whole_replies_to_get_over_a_connection_that_goes_on() -> None:
    block = block_of(*LINES)
    whole_reply(Reply(200, Headers((), block), b"hello"), asked("first"), b"hello", now_s=6.0, keep_alive=True)
    reply = Reply(200, Headers((), block), b"hello")
    closing = whole_reply(reply, asked("second"), b"hello", now_s=6.0, keep_alive=False)
    assert closing == written(reply, asked("second"), 6.0, keep_alive=False) + b"hello"
    head = whole_reply(reply, asked("third", "HEAD"), b"hello", now_s=6.0, keep_alive=True)
    assert head == written(reply, asked("third", "HEAD"), 6.0)
    trailed = Reply(200, Headers((), block), b"hello")
    trailed.trailers = Headers([(b"x-sum", b"1")])
    sent = whole_reply(trailed, asked("fourth"), b"hello", now_s=6.0, keep_alive=True)
    assert b"transfer-encoding: chunked" in sent
    changed = Reply(200, Headers((), block), b"hello")
    changed.headers.add(b"ratelimit", b"9")
    assert b"ratelimit: 9" in whole_reply(changed, asked("fifth"), b"hello", now_s=6.0, keep_alive=True)


@pytest.mark.parametrize(
    ("status", "lines", "length", "keep_alive"),
    [(200, LINES[:1], None, True), (204, LINES, None, True), (304, LINES, 7, True), (200, LINES, None, False)],
)
def test_what_differs_from_reply_to_reply_is_not_remembered(
    status: int, lines: list[tuple[bytes, bytes]], length: int | None, keep_alive: bool
) -> None:
    block = block_of(*lines)
    reply = Reply(status, Headers((), block), b"", length=length)
    whole_reply(reply, asked("id"), b"", now_s=6.0, keep_alive=keep_alive)
    assert block.returned is None
