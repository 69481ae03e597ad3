"""Hazard: a head that says something else than its exchange, or more than one thing. `test_forwarding_heads.py` has the
properties that hold of any fields.
"""

import pytest

from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.core.plain_head import parse_plain_reply_head
from gateway.plugin_api import Reply
from gateway.proxy.heads import (
    has_no_body,
    interim_head,
    reply_head,
    request_head,
    strip_connection_options,
    wants_trailers,
)
from tests.support.plugins import Pieces, exchange


def head_of(reply: Reply, method: str = "GET", *, is_http10: bool = False, te: str = "") -> tuple[list[bytes], bool]:
    asked = exchange(method, "/", {"te": te} if te else None)
    head, is_chunked = reply_head(reply, asked, now_s=1.0, is_http10=is_http10, keep_alive=True)
    return head.split(b"\r\n"), is_chunked


def framing(reply: Reply, method: str = "GET", **more: bool) -> str:
    lines, is_chunked = head_of(reply, method, **more)  # type: ignore[arg-type]
    found = [line.decode() for line in lines if line.startswith((b"content-length", b"transfer-encoding"))]
    assert len(found) <= 1
    assert is_chunked == (found == ["transfer-encoding: chunked"])
    return found[0] if found else ""


def test_a_body_that_is_here_is_counted() -> None:
    assert framing(Reply(200, body=b"hello")) == "content-length: 5"
    assert framing(Reply(200)) == "content-length: 0"


def test_a_body_that_moves_has_its_length_or_chunks() -> None:
    assert framing(Reply(200, body=Pieces(b"x", length=7))) == "content-length: 7"
    assert framing(Reply(200, body=Pieces(b"x"))) == "transfer-encoding: chunked"
    assert framing(Reply(200, body=Pieces(b"x")), is_http10=True) == ""


@pytest.mark.parametrize("status", [101, 204])
def test_rfc9110_8_6_some_replies_never_say_a_length(status: int) -> None:
    assert framing(Reply(status)) == ""


def test_rfc9110_8_6_a_304_and_a_head_say_the_length_of_the_get_or_none() -> None:
    assert framing(Reply(304)) == ""
    assert framing(Reply(304, length=9)) == "content-length: 9"
    assert framing(Reply(200, length=9), "HEAD") == "content-length: 9"
    assert framing(Reply(200), "HEAD") == ""
    assert framing(Reply(200, body=b"hello"), "HEAD") == "content-length: 5"


def test_rfc9110_6_5_trailers_need_chunks_and_a_client_that_takes_them() -> None:
    reply = Reply(200, body=b"hello")
    reply.trailers = Headers([(b"x-sum", b"1")])
    assert head_of(reply)[1] is False
    assert head_of(reply, te="trailers")[1] is True
    assert head_of(reply, te="trailers", is_http10=True)[1] is False
    assert head_of(reply, "HEAD", te="trailers")[1] is False


@pytest.mark.parametrize(
    ("value", "wants"), [("trailers", True), ("gzip, Trailers", True), ("trailers;q=1", False), ("gzip", False)]
)
def test_rfc9110_10_1_4_te(value: str, wants: bool) -> None:
    assert wants_trailers(Headers([(b"te", value.encode())])) is wants
    assert wants_trailers(Headers()) is False


@pytest.mark.parametrize(("keep_alive", "is_http10"), [(True, False), (True, True), (False, False), (False, True)])
def test_rfc9112_9_3_what_becomes_of_the_connection_is_said_where_it_is_not_the_default(
    keep_alive: bool, is_http10: bool
) -> None:
    head, _ = reply_head(Reply(200), exchange(), now_s=0.0, is_http10=is_http10, keep_alive=keep_alive)
    said = [line for line in head.split(b"\r\n") if line.startswith(b"connection")]
    assert said == ([b"connection: close"] if not keep_alive else [b"connection: keep-alive"] if is_http10 else [])


def test_any_status_has_a_line() -> None:
    assert head_of(Reply(200))[0][0] == b"HTTP/1.1 200 OK"
    assert head_of(Reply(299))[0][0] == b"HTTP/1.1 299 "
    assert interim_head(103, Headers([(b"link", b"x")])) == b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    assert interim_head(100, Headers()) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_which_replies_end_with_their_head() -> None:
    bodiless = [(s, m) for s in (101, 200, 204, 205, 304, 404) for m in ("GET", "HEAD") if has_no_body(s, m)]
    assert bodiless == [
        (101, "GET"), (101, "HEAD"), (200, "HEAD"), (204, "GET"), (204, "HEAD"), (205, "HEAD"),
        (304, "GET"), (304, "HEAD"), (404, "HEAD"),
    ]  # fmt: skip


def test_the_identity_is_the_gateways_word() -> None:
    asked = exchange("GET", "/a?b", {"x-tenant-id": "forged", "x_plan": "forged", "x-kept": "1"})
    asked.identity = Identity(
        tenant="t1", user=None, plan="pro", scopes=frozenset({"b", "a"}), claims={}, credential="jwt:x"
    )
    head = request_head(asked, "/a?b", "crm:80", framing=b"", upgrade=None)
    assert b"forged" not in head
    for line in (b"x-tenant-id: t1", b"x-plan: pro", b"x-scopes: a b", b"x-kept: 1", b"host: crm:80"):
        assert head.count(b"\r\n" + line + b"\r\n") == 1
    assert b"x-user-id" not in head


def test_an_upgrade_and_trailers_are_asked_for_anew() -> None:
    asked = exchange("GET", "/", {"te": "trailers, gzip", "connection": "te, upgrade", "upgrade": "websocket"})
    head = request_head(asked, "/", "a", framing=b"", upgrade=None)
    assert head.endswith(b"\r\nte: trailers\r\nconnection: te\r\n\r\n")
    head = request_head(asked, "/", "a", framing=b"", upgrade=b"websocket")
    assert head.endswith(b"\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    assert b"\r\nte:" not in head


def test_rfc9110_7_6_1_what_connection_names_goes_and_what_the_lane_needs_stays() -> None:
    headers = Headers(
        [(b"connection", b"X-Hop, Host, close, TE"), (b"host", b"a"), (b"x-hop", b"1"), (b"te", b"x"), (b"x", b"2")]
    )
    strip_connection_options(headers)
    assert [name for name, _ in headers] == [b"connection", b"host", b"te", b"x"]


@pytest.mark.parametrize("change", [None, (b"x-b", b"3"), (b"date", b"now"), (b"x-new", b"3")])
def test_a_head_is_the_same_whether_the_parser_knows_its_lines_as_text(change: tuple[bytes, bytes] | None) -> None:
    parsed = parse_plain_reply_head(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B:2\r\nDate: then\r\nX-B: 4\r\nContent-Length: 0")
    assert parsed is not None and parsed.headers.texts is not None
    known, unknown = parsed.headers, Headers(parsed.headers.lines)
    heads = []
    for headers in (known, unknown):
        if change is not None:
            headers.set(*change)
        reply = Reply(200, headers)
        heads.append(reply_head(reply, exchange(), now_s=1.0, is_http10=False, keep_alive=True)[0])
    assert heads[0] == heads[1]
    assert heads[0].startswith(b"HTTP/1.1 200 OK\r\nx-a: 1\r\n")
    assert heads[0].count(b"\r\ndate: ") == 1
