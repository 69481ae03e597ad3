"""Any fields that a parser can give: the head written anew parses back to the same end-to-end fields and no others."""

import asyncio
import string

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.headers import HOP_BY_HOP, Headers, connection_options
from gateway.core.identity import IDENTITY_HEADERS
from gateway.plugin_api import Reply
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.heads import reply_head, request_head, strip_connection_options
from gateway.proxy.outbox import Outbox
from tests.proxy.fakes import FakeTransport
from tests.support.plugins import exchange

OWNED = sorted(
    HOP_BY_HOP
    | IDENTITY_HEADERS
    | {b"x_tenant_id", b"x-tenant_id", b"x_user-id", b"x_plan", b"x-forwarded-for", b"x_forwarded_host", b"forwarded"}
    | {b"x-request-id", b"traceparent", b"host", b"content-length", b"expect", b"x-real-ip", b"via", b"x-made-up"}
)
token = st.text(string.ascii_lowercase + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(str.encode)
names = st.one_of(token, st.sampled_from(OWNED))
# What llhttp lets through: visible characters, blanks amid, tabs amid, bytes beyond ASCII.
values = st.binary(max_size=30).map(
    lambda data: bytes(byte for byte in data if byte == 9 or 32 <= byte != 127).strip(b" \t")
)
option_lists = st.lists(names, max_size=3).map(lambda listed: (b"connection", b", ".join(listed)))
lines = st.lists(st.one_of(st.tuples(names, values), option_lists), max_size=12)
SET_HERE = {b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id", b"traceparent"}


class Parsed:
    """What httptools, which had no part in the writing, reads."""

    def __init__(self, head: bytes, kind: type) -> None:
        self.lines: list[tuple[bytes, bytes]] = []
        self.is_complete = 0
        parser = kind(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self.is_complete += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.is_complete += 1


@given(lines, st.booleans(), st.sampled_from([b"", b"content-length: 0", b"transfer-encoding: chunked"]))
@settings(max_examples=250, deadline=None)
def test_a_request_passes_on_exactly_its_end_to_end_fields(
    given_lines: list[tuple[bytes, bytes]], is_trusted: bool, framing: bytes
) -> None:
    asked = exchange("GET", "/a?b", peer_ip="192.0.2.1", authority="gw", is_trusted_peer=is_trusted)
    asked.headers = Headers(given_lines)
    options = connection_options(asked.headers)
    strip_connection_options(asked.headers)
    head = request_head(asked, "/a?b", "crm:80", framing=framing, upgrade=None)
    parsed = Parsed(head, httptools.HttpRequestParser)
    assert head.count(b"\r\n\r\n") == 1 and head.endswith(b"\r\n\r\n")
    assert parsed.is_complete
    found = Headers(parsed.lines)

    def is_owned(name: bytes) -> bool:
        dashed = name.replace(b"_", b"-")
        return (
            dashed in HOP_BY_HOP | IDENTITY_HEADERS | {b"content-length", b"expect", b"forwarded"}
            or dashed in SET_HERE
            or dashed in {b"x-real-ip", b"x-forwarded-port"}
        )

    expected = [line for line in given_lines if not is_owned(line[0]) and line[0] not in options - {b"close"}]
    passed = [line for line in parsed.lines if not is_owned(line[0])]
    # The gateway's own Via comes after what there was.
    assert passed == [*expected, (b"via", b"1.1 gateway")]
    assert not [name for name, _ in parsed.lines if name.replace(b"_", b"-") in IDENTITY_HEADERS]
    for name in SET_HERE:
        assert len(found.get_all(name)) == 1, name
    assert found.get(b"host") == b"crm:80"
    if not is_trusted:
        assert found.get(b"x-forwarded-for") == b"192.0.2.1"
        assert found.get(b"x-forwarded-host") == b"gw"
    hop = {name: value for name, value in parsed.lines if name in HOP_BY_HOP}
    assert set(hop) <= {b"te", b"connection", b"transfer-encoding"}
    assert hop.get(b"te", b"trailers") == b"trailers"
    assert [line for line in parsed.lines if line[0] in (b"content-length", b"transfer-encoding")] == (
        [tuple(framing.split(b": "))] if framing else []
    )


@given(lines, st.sampled_from([200, 204, 299, 304, 404, 503]), st.sampled_from(["GET", "HEAD"]), st.booleans())
@settings(max_examples=250, deadline=None)
def test_a_reply_passes_back_exactly_its_end_to_end_fields(
    given_lines: list[tuple[bytes, bytes]], status: int, method: str, keep_alive: bool
) -> None:
    given_lines = [line for line in given_lines if line[0] not in (b"content-length", b"transfer-encoding", b"date")]
    received = asyncio.run(_received(given_lines, status, method))
    head, is_chunked = reply_head(received, exchange(method), now_s=1.0, is_http10=False, keep_alive=keep_alive)
    assert head.count(b"\r\n\r\n") == 1 and head.endswith(b"\r\n\r\n")
    parsed = Parsed(head, httptools.HttpResponseParser)
    assert parsed.is_complete
    options = connection_options(Headers(given_lines))
    dropped = HOP_BY_HOP | {b"x-request-id"} | options
    expected = [line for line in given_lines if line[0] not in dropped]
    written_here = {b"x-request-id", b"server-timing", b"date", b"connection", b"content-length", b"transfer-encoding"}
    assert [line for line in parsed.lines if line[0] not in written_here] == [
        line for line in expected if line[0] not in written_here
    ]
    assert [value for name, value in parsed.lines if name == b"connection"] == ([] if keep_alive else [b"close"])
    assert len([1 for name, _ in parsed.lines if name == b"x-request-id"]) == 1
    assert not is_chunked
    lengths = [value for name, value in parsed.lines if name == b"content-length"]
    if status == 204:
        assert lengths == []
    elif status != 304 and method == "GET":
        assert lengths == [b"2"]


async def _received(given_lines: list[tuple[bytes, bytes]], status: int, method: str) -> Reply:
    """The reply as `UpstreamConnection` makes it of these lines."""
    outcomes: list[object] = []
    loop = asyncio.get_running_loop()
    connection = UpstreamConnection(loop, Outbox(loop), lambda _: None, lambda _: None)
    connection.connection_made(FakeTransport())
    connection.start(method, b"", deadline_s=None, idle_timeout_s=None, interim=None, sink=outcomes.append)
    is_bodiless = method == "HEAD" or status in (204, 304)
    text = [b"HTTP/1.1 %d X" % status, *(b"%b: %b" % line for line in given_lines), b"Content-Length: 2", b"", b""]
    connection.data_received(b"\r\n".join(text) + (b"" if is_bodiless else b"ok"))
    (outcome,) = outcomes
    assert isinstance(outcome, Reply), outcome
    return outcome
