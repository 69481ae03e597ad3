import gzip
from typing import Any

import brotli
import pytest
import zstandard
from pydantic import ValidationError

from gateway.plugin_api import BodyStream, Exchange, Stage
from plugins.compress import Compress, ZstdPool
from tests.support.plugins import LentServices, Pieces, build, exchange, reply

TEXT = b'{"name": "a contact of the suite"}' * 60
JSON = {"Content-Type": "application/json"}


def decode(coding: str, data: bytes) -> bytes:
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return brotli.decompress(data) if coding == "br" else gzip.decompress(data)


def run(
    policy: Any = ("zstd", "br", "gzip"),
    *,
    accept: str | None = "gzip",
    method: str = "GET",
    status: int = 200,
    request: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes | BodyStream = TEXT,
) -> tuple[Exchange, Compress]:
    plugin = build(Compress, list(policy) if isinstance(policy, tuple) else policy)
    asked = {**(request or {}), **({"Accept-Encoding": accept} if accept is not None else {})}
    made = exchange(method, headers=asked)
    plugin.on_request(made)
    made.reply = reply(status, JSON | (headers or {}), body)
    plugin.on_response(made)
    return made, plugin


def header(made: Exchange, name: bytes) -> bytes | None:
    assert made.reply is not None
    return made.reply.headers.get(name)


def is_compressed(made: Exchange, plugin: Compress) -> bool:
    has_transform = plugin.body_transform(made) is not None
    assert (header(made, b"content-encoding") is not None) == has_transform
    return has_transform


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
def test_the_client_reads_what_the_upstream_sent(coding: str) -> None:
    made, plugin = run(accept=coding)
    transform = plugin.body_transform(made)
    assert transform is not None
    data = transform.feed(TEXT) + transform.finish()
    assert len(data) < len(TEXT) / 5
    assert decode(coding, data) == TEXT
    assert header(made, b"content-encoding") == coding.encode()
    assert header(made, b"vary") == b"Accept-Encoding"
    assert made.verdicts == {"compress": coding}


@pytest.mark.parametrize(
    ("policy", "accept", "expected"),
    [
        (("zstd", "br", "gzip"), "gzip, br, zstd", b"zstd"),
        (("gzip", "br"), "gzip, br, zstd", b"gzip"),
        (("br",), "gzip", None),
        (("gzip",), None, None),
        (("gzip",), "gzip;q=0", None),
        (("gzip",), "identity;q=0, deflate", None),
    ],
)
def test_the_coding_is_negotiated(policy: tuple[str, ...], accept: str | None, expected: bytes | None) -> None:
    made, _ = run(policy, accept=accept)
    assert header(made, b"content-encoding") == expected
    assert header(made, b"vary") == b"Accept-Encoding"


@pytest.mark.parametrize(
    "case",
    [
        {"body": TEXT[:1023]},
        {"body": Pieces(length=1023)},
        {"method": "HEAD"},
        {"status": 204, "body": b""},
        {"status": 304, "body": b""},
        {"status": 206},
        {"headers": {"Content-Range": "bytes 0-9/10"}},
        {"headers": {"Content-Encoding": "br"}},
        {"headers": {"Content-Encoding": "identity"}},
        {"headers": {"Cache-Control": "max-age=1, No-Transform"}},
        {"request": {"Cache-Control": "no-transform"}},
        {"headers": {"Content-Type": "text/event-stream"}},
        {"headers": {"Content-Type": "Text/Event-Stream; charset=utf-8"}},
        {"headers": {"Content-Type": "image/png"}},
        {"headers": {"Content-Type": ""}},
    ],
)
def test_what_is_left_alone(case: dict[str, Any]) -> None:
    before = dict(case.get("headers", {}))
    made, plugin = run(**case)
    assert plugin.body_transform(made) is None
    assert header(made, b"content-encoding") == (
        before["Content-Encoding"].encode() if "Content-Encoding" in before else None
    )


def test_types_that_are_never_compressed_do_not_vary() -> None:
    for content_type in ("image/png", "text/event-stream"):
        made, _ = run(headers={"Content-Type": content_type})
        assert header(made, b"vary") is None


@pytest.mark.parametrize("body", [TEXT, Pieces(), Pieces(length=1024)])
def test_from_the_size_on_and_where_it_is_unknown(body: bytes | BodyStream) -> None:
    assert is_compressed(*run(body=body))


def test_the_long_form() -> None:
    policy = {"codings": ["br"], "min_size": "10B", "types": ["image/*"], "level": {"br": 11}}
    assert is_compressed(*run(policy, accept="br", headers={"Content-Type": "image/png"}, body=b"x" * 10))
    assert not is_compressed(*run(policy, accept="br"))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([], "at least 1"),
        (["deflate"], "'zstd', 'br' or 'gzip'"),
        (["gzip", "gzip"], "each coding once"),
        ({"types": ["json"]}, "not a media type"),
        ({"min_size": 1024}, "10MiB"),
        ({"level": {"zstd": 22}}, "less than or equal to 19"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(Compress, policy)


def test_vary_is_completed_not_repeated() -> None:
    for before, after in {
        "Origin": b"Origin, Accept-Encoding",
        "accept-encoding": b"accept-encoding",
        "*": b"*",
        "Origin, ACCEPT-ENCODING": b"Origin, ACCEPT-ENCODING",
    }.items():
        made, _ = run(headers={"Vary": before})
        assert header(made, b"vary") == after


def test_an_entity_tag_turns_weak_only_where_the_bytes_change() -> None:
    assert header(run(headers={"ETag": '"v1"'})[0], b"etag") == b'W/"v1"'
    assert header(run(headers={"ETag": 'W/"v1"'})[0], b"etag") == b'W/"v1"'
    assert header(run(headers={"ETag": '"v1"'}, accept="identity")[0], b"etag") == b'"v1"'


def test_if_match_names_the_tag_that_the_upstream_gave() -> None:
    """RFC 9110 section 13.1.1: If-Match compares strongly, so a weak tag would never match."""
    for sent, forwarded in {
        'W/"v1"': b'"v1"',
        '"v1"': b'"v1"',
        'W/"a,b" , W/"c"': b'"a,b" , "c"',
        '"a,W/", W/"b"': b'"a,W/", "b"',
        "*": b"*",
    }.items():
        made, _ = run(method="PATCH", request={"If-Match": sent})
        assert made.headers.get(b"if-match") == forwarded


def test_a_304_carries_the_tag_that_the_client_knows() -> None:
    known = {"If-None-Match": '"v0", W/"v1"'}
    assert header(run(status=304, request=known, headers={"ETag": '"v1"'}, body=b"")[0], b"etag") == b'W/"v1"'
    assert header(run(status=304, request=known, headers={"ETag": '"v0"'}, body=b"")[0], b"etag") == b'"v0"'
    assert header(run(status=304, headers={"ETag": '"v1"'}, body=b"")[0], b"etag") == b'"v1"'


def test_what_was_said_of_the_upstreams_bytes_goes() -> None:
    stale = {
        "Accept-Ranges": "bytes",
        "Content-Digest": "sha-256=:x:",
        "Repr-Digest": "sha-256=:x:",
        "Content-MD5": "x",
    }
    made, _ = run(headers=stale)
    assert not any(name.lower().encode() in made.reply.headers for name in stale)  # type: ignore[union-attr]
    made, _ = run(headers=stale, accept=None)
    assert all(name.lower().encode() in made.reply.headers for name in stale)  # type: ignore[union-attr]


def test_the_length_is_not_known_any_more() -> None:
    plugin = build(Compress, ["gzip"])
    made = exchange(headers={"Accept-Encoding": "gzip"})
    made.reply = reply(200, JSON, TEXT)
    made.reply.length = len(TEXT)
    plugin.on_response(made)
    assert made.reply.length is None


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
def test_flush_lets_the_client_read_all_so_far(coding: str) -> None:
    made, plugin = run(accept=coding, body=Pieces())
    transform = plugin.body_transform(made)
    assert transform is not None
    decoders: dict[str, Any] = {
        "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
        "br": lambda: brotli.Decompressor().process,
        "gzip": lambda: __import__("zlib").decompressobj(31).decompress,
    }
    decoded = decoders[coding]()
    for event in (b"one\n", b"two\n"):
        assert decoded(transform.feed(event) + transform.flush()) == event


def test_zstd_contexts_are_used_again_but_never_by_two_bodies() -> None:
    pool = ZstdPool(3)
    one, other = pool.transform(), pool.transform()
    mixed = [one.feed(TEXT), other.feed(TEXT[::-1])]
    assert decode("zstd", mixed[0] + one.finish()) == TEXT
    third = pool.transform()
    assert third._compressor is one._compressor
    assert decode("zstd", mixed[1] + other.finish()) == TEXT[::-1]
    third.feed(TEXT)
    fourth = pool.transform()
    assert fourth._compressor is other._compressor
    # Given up in the middle: its context does not come back.
    del third
    assert pool.transform()._compressor is not fourth._compressor
    pool.close()
    assert pool._free == []


def test_routes_share_the_contexts_of_one_level() -> None:
    services = LentServices()
    build(Compress, ["zstd"], services)
    build(Compress, ["zstd", "br"], services)
    build(Compress, {"level": {"zstd": 9}}, services)
    assert sorted(services._shared) == [("zstd", 3), ("zstd", 9)]  # type: ignore[type-var]


def test_it_stands_before_the_answering_plugins() -> None:
    assert Stage.CACHE < Compress.stage < Stage.LOCAL
