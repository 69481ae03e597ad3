"""One function for each way in: any bytes are either read or refused as documented, and never anything else.

A target returns where that holds and raises where it does not. Seeds say where to begin.
"""

import asyncio
import re
from collections.abc import Callable
from ipaddress import ip_address

from pydantic_core import PydanticCustomError

from gateway.config.load import read_table
from gateway.config.source import from_memory
from gateway.core.batch_parts import BatchInvalid, read_parts
from gateway.core.client_address import TrustedProxies, client_address, parse_address
from gateway.core.content_coding import choose_coding
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.keys import KeyRefused, read_jwk_set
from gateway.core.paths import PathNotCanonical, normal_form
from gateway.core.plain_head import parse_plain_head, parse_plain_reply_head
from gateway.core.request_framing import ChunkedBody, HeadRules
from gateway.core.routing import Found, Router, Rule, parse_pattern
from gateway.core.scalars import (
    parse_claim,
    parse_duration_or_none,
    parse_flow_or_none,
    parse_id,
    parse_percent,
    parse_rate,
    parse_size,
)
from gateway.core.tokens import parse_claims, parse_token
from gateway.observe.tracing import next_traceparent
from gateway.plugin_api import Reply
from gateway.proxy.connection import UpstreamConnection

RULES = HeadRules(target_max=200, header_max=1000, header_line_max=500, header_count_max=20)
PROXIES = TrustedProxies(["192.0.2.0/24", "2001:db8::/32"])
SCALARS = (
    parse_claim,
    parse_duration_or_none,
    parse_flow_or_none,
    parse_id,
    parse_percent,
    parse_rate,
    parse_size,
)
TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def _rule(name: str, path: str, host: str | None = None, **predicates: tuple[tuple[str, str | None], ...]) -> Rule[str]:
    return Rule(name, parse_pattern(path), host, None, (), predicates.get("query", ()), name)


ROUTER = Router.build(
    [
        _rule("number", "/items/{id:int}/*"),
        _rule("other", "/items/{id}/*"),
        _rule("number", "/items/{id:int}/x", "*.example", query=(("x", "1"),)),
    ]
)


def plain_head(data: bytes) -> None:
    """What is plain, the strict check finds right, with the same length; and nothing in it can end a line."""
    found = parse_plain_head(data)
    if found is None:
        return
    if len(data) < 1000 and len(found.target) <= 200 and len(found.headers) <= 20:
        assert RULES.check(data) == (found.length, False)
    parts = [found.target.encode(), found.authority.encode(), *[part for line in found.headers.lines for part in line]]
    assert not {0, 10, 13}.intersection(b"".join(parts))


def plain_reply_head(data: bytes) -> None:
    """As `plain_head`, for the other direction."""
    found = parse_plain_reply_head(data)
    if found is not None:
        assert 200 <= found.status < 600
        assert not {0, 10, 13}.intersection(b"".join([part for line in found.fields for part in line]))


def request_framing(data: bytes) -> None:
    """A head is judged or refused; a chunked body ends at the same place however it is cut."""
    head, _, rest = data.partition(b"\r\n\r\n")
    try:
        RULES.check_unfinished(data)
        RULES.check(head)
    except GatewayError as error:
        if not error.close:
            raise
    whole = _follow([rest])
    assert whole == _follow([rest[at : at + 1] for at in range(len(rest))])
    assert whole is None or whole <= len(rest)


def _follow(pieces: list[bytes]) -> int | None:
    body = ChunkedBody(RULES)
    taken = 0
    try:
        for piece in pieces:
            taken += body.feed(piece)
    except GatewayError:
        return None
    return taken


def path_normal_form(data: bytes) -> None:
    """The normal form of a normal form is itself, and has nothing left that could be read another way."""
    try:
        path = normal_form("/" + data.decode("latin-1"))
    except PathNotCanonical:
        return
    assert normal_form(path) == path
    assert not any(part in path for part in ("//", "/./", "/../", "\\", ";", "%2F", "%2f"))


def routes_yaml(data: bytes) -> None:
    """Any text is a table or a list of problems with their places."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    read_file, find_files = from_memory({"routes.yaml": text})
    loaded = read_table("routes.yaml", environ={}, read_file=read_file, find_files=find_files)
    for problem in loaded.problems:
        assert str(problem).startswith("routes.yaml:")


def token(data: bytes) -> None:
    """A token is taken apart or refused."""
    for read in (parse_token, parse_claims):
        try:
            read(data)
        except GatewayError:
            pass


def batch_json(data: bytes) -> None:
    """A batch is read or refused whole."""
    try:
        parts = read_parts(data, 20)
    except BatchInvalid:
        return
    assert 0 < len(parts) <= 20


def forwarded_for(data: bytes) -> None:
    """Whatever stands in X-Forwarded-For, the client has an address in the one form that an address has."""
    address = client_address("192.0.2.1", data.split(b"\n"), PROXIES)
    assert str(ip_address(address)) == address == parse_address(address)


def scalars(data: bytes) -> None:
    """A text of routes.yaml is the value that it says or an error that says how to write it."""
    text = data.decode("latin-1")
    for read in SCALARS:
        try:
            read(text)
        except PydanticCustomError:
            pass
    try:
        parse_pattern(text)
    except ValueError:
        pass


def routing(data: bytes) -> None:
    """Authority, path and query of any request lead to a route or to none."""
    authority, _, target = data.decode("latin-1").partition("\n")
    raw_path, _, query = target.partition("?")
    try:
        path = normal_form("/" + raw_path)
    except PathNotCanonical:
        return
    found = ROUTER.match("GET", authority, path, Headers([(b"x-a", data)]), query)
    if isinstance(found, Found):
        assert found.target == "other" or found.params["id"].isdecimal()


def accept_encoding(data: bytes) -> None:
    """What a client accepts is one of what is offered, plain, or nothing."""
    assert choose_coding(data, ("zstd", "br", "gzip")) in {"zstd", "br", "gzip", "identity", None}


def trace_context(data: bytes) -> None:
    """What a service gets is a valid traceparent, whatever came."""
    assert TRACEPARENT.fullmatch(next_traceparent(data, lambda count: "a" * count))


def key_set(data: bytes) -> None:
    """What a server of keys says has usable keys, or is refused."""
    try:
        keys, _ = read_jwk_set(data, ["RS256", "ES256", "EdDSA"])
    except KeyRefused:
        return
    assert keys


class _Transport(asyncio.Transport):
    """Takes everything and says nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


_loop = asyncio.new_event_loop()


def upstream_reply(data: bytes) -> None:
    """Whatever an upstream says is one outcome, a reply that may be passed on or an error."""
    for method in ("GET", "HEAD"):
        outcomes: list[Reply | GatewayError] = []
        connection = UpstreamConnection(_loop, lambda _: None, lambda _: None)
        connection.connection_made(_Transport())
        interim: list[tuple[int, Headers]] = []
        connection.start(
            method,
            b"",
            deadline_s=None,
            idle_timeout_s=None,
            interim=lambda *one, to=interim: to.append(one),
            sink=outcomes.append,
        )
        middle = len(data) // 2
        for piece in (data[:middle], data[middle:]):
            if piece and not connection.is_closed:
                connection.data_received(piece)
        if not connection.is_closed:
            connection.connection_lost(None)
        assert len(outcomes) == 1
        heads = [(status, headers) for status, headers in interim if 101 < status < 200]
        assert len(heads) == len(interim)
        if isinstance(outcomes[0], Reply):
            assert 200 <= outcomes[0].status < 600
            heads.append((outcomes[0].status, outcomes[0].headers))
        for _, headers in heads:
            assert not {0, 10, 13}.intersection(b"".join([part for line in headers for part in line]))


TARGETS: dict[Callable[[bytes], None], list[bytes]] = {
    plain_head: [
        b"GET /a?b=c HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 5\r\nConnection: keep-alive\r\nX-A: b",
    ],
    plain_reply_head: [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nSet-Cookie: a=b"],
    request_framing: [
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"GET http://a/b HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    ],
    path_normal_form: [b"a/b%20c/%7Euser/%e4%bd%a0", b"a/../b//c;d%2f"],
    routes_yaml: [
        b"version: 1\nupstreams: {a: {endpoints: ['http://127.0.0.1:1']}}\nroutes: [{id: a, match: /a/*, to: a}]\n",
        b"version: 1\ninclude: [a.yaml]\nroutes: [&a {id: a, match: {path: '/{id}'}, respond: '${env:X:-y}'}, *a]\n",
    ],
    token: [b"eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJ1MSIsImV4cCI6NDEwMjQ0NDgwMH0.c2lnbmF0dXJl"],
    batch_json: [
        b'{"requests":[{"id":"a","method":"POST","path":"/b?c","headers":{"X-A":"b"},"body":{"d":[1,null]}}]}'
    ],
    forwarded_for: [b"203.0.113.7, 192.0.2.1:443", b"[2001:db8::1]:443,::ffff:192.0.2.9\nunknown"],
    scalars: [b"250ms", b"10MiB", b"60/min", b"2KiB/10s", b"20%", b"claim:a.b", b"/a/{id:int}/*"],
    routing: [b"a.example:80\nitems/42?x=1&x=%32", b"[::1]\nitems/%E4%BD%A0/rest"],
    accept_encoding: [b"gzip;q=0.5, br, *;q=0, identity ; Q = 1.000"],
    trace_context: [b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    key_set: [
        b'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}',
        (
            b'{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
            b'"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","alg":"ES256","use":"sig"}]}'
        ),
    ],
    upstream_reply: [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
        b"HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nConnection: close\r\nLocation: /\r\n\r\nrest",
    ],
}
"""Each target with its seeds."""
