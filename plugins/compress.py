"""`compress`: replies that shrink leave in a coding that the client takes.

`compress: [zstd, br, gzip]` in the order of preference, or the long form. A reply is compressed where its type is worth
it, it is not known to be small, and nothing speaks against it: a coding that it has already, a range, `no-transform`.
Where the client accepts nothing at all, plain is sent rather than 406 (RFC 9110 section 12.5.3 leaves that open).

A compressed reply has other bytes than the upstream's, so a strong ETag turns weak (RFC 9110 section 8.8.1). On the way
back the mark is taken off If-Match: it compares strongly, and the upstream would refuse a tag that it gave out itself.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import brotli
import zstandard
from isal import isal_zlib
from pydantic import AfterValidator, BeforeValidator, Field

from gateway.core.content_coding import COMPRESSIBLE_TYPES, choose_coding, compile_media_types
from gateway.core.headers import Headers, add_to_vary
from gateway.core.scalars import Settings, Size
from gateway.core.schema_hints import MEDIA_TYPE, written
from gateway.plugin_api import BodyTransform, Exchange, Plugin, PluginServices, Reply, RouteInfo, Stage

Coding = Literal["zstd", "br", "gzip"]

_NO_CONTENT = (204, 205, 206, 304)
_ENTITY_TAG = re.compile(rb'(?:W/)?("[^"]*")')
# They hold for what the upstream sent: ranges of it, and digests (RFC 9530).
_ABOUT_THE_BYTES = (b"accept-ranges", b"content-digest", b"content-md5", b"repr-digest")
_POOL_MAX = 32


class CompressLevels(Settings):
    """How hard to try. The defaults shrink 17 KB of JSON to a fifth in 60 (gzip), 100 (zstd) and 300 us (br)."""

    # Above 19 zstd wants windows that RFC 9659 does not let clients be sent.
    zstd: int = Field(default=3, ge=1, le=19, description="1 is fast, 19 is small")
    br: int = Field(default=4, ge=0, le=11, description="0 is fast, 11 is small")
    gzip: int = Field(default=2, ge=0, le=3, description="0 is fast, 3 is small")


def _check_types(types: tuple[str, ...]) -> tuple[str, ...]:
    compile_media_types(types)
    return types


def _check_codings(codings: tuple[Coding, ...]) -> tuple[Coding, ...]:
    if len(set(codings)) != len(codings):
        raise ValueError("each coding once")
    return codings


_Codings = Annotated[
    tuple[Coding, ...],
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_check_codings),
]


class CompressSettings(Settings):
    """The short form is the list of codings."""

    codings: _Codings = Field(default=("zstd", "br", "gzip"), description="What to offer, the best first")
    min_size: Size = Field(default=1024, description="Smaller replies go as they are")
    types: Annotated[
        tuple[Annotated[str, written(MEDIA_TYPE, "application/json")], ...],
        Field(min_length=1),
        AfterValidator(_check_types),
    ] = Field(default=COMPRESSIBLE_TYPES, description="Media types to compress; * stands for anything within a part")
    level: CompressLevels = Field(default=CompressLevels(), description="How hard each coding tries")


def _read_short(value: Any) -> Any:
    return {"codings": value} if isinstance(value, list) else value


class Compress(Plugin):
    """Decides on the head, and compresses the body while it moves."""

    name = "compress"
    stage = Stage.TRANSFORM
    Policy = Annotated[
        CompressSettings, BeforeValidator(_read_short, json_schema_input_type=_Codings | CompressSettings)
    ]

    def __init__(self, policy: CompressSettings, route: RouteInfo, services: PluginServices) -> None:
        self._codings = policy.codings
        self._min_size = policy.min_size
        self._is_compressible = compile_media_types(policy.types)
        zstd = services.shared(("zstd", policy.level.zstd), lambda: ZstdPool(policy.level.zstd))
        makers: dict[str, Callable[[], BodyTransform]] = {
            "zstd": zstd.transform,
            "br": lambda: BrotliTransform(policy.level.br),
            "gzip": lambda: GzipTransform(policy.level.gzip),
        }
        self._makers = {name: (name.encode(), maker) for name, maker in makers.items()}

    def on_request(self, exchange: Exchange) -> None:
        """Give the upstream its own entity tags back (see the top of this file)."""
        condition = exchange.headers.get_list(b"if-match")
        if condition is not None and b"W/" in condition:
            exchange.headers.set(b"if-match", _ENTITY_TAG.sub(rb"\1", condition))

    def on_response(self, exchange: Exchange) -> None:
        """Choose, and say so in the head."""
        reply = exchange.reply
        if reply is None:
            return
        headers = reply.headers
        if reply.status == 304:
            _match_tag_of_client(exchange.headers, headers)
        content_type = headers.get(b"content-type")
        if content_type is None or not self._is_compressible(content_type):
            return
        if content_type[:17].lower() == b"text/event-stream":
            return
        add_to_vary(headers, b"Accept-Encoding")
        coding = choose_coding(exchange.headers.get_list(b"accept-encoding"), self._codings)
        if coding is None or coding == "identity" or not self._may_compress(exchange, reply):
            return
        name, maker = self._makers[coding]
        headers.add(b"content-encoding", name)
        etag = headers.get(b"etag")
        if etag is not None and not etag.startswith(b"W/"):
            headers.set(b"etag", b"W/" + etag)
        for stale in _ABOUT_THE_BYTES:
            headers.remove(stale)
        reply.length = None
        exchange.state["compress"] = maker
        exchange.verdicts["compress"] = coding

    def body_transform(self, exchange: Exchange) -> BodyTransform | None:
        """The compressor that `on_response` chose."""
        maker = exchange.state.get("compress")
        return None if maker is None else maker()

    def _may_compress(self, exchange: Exchange, reply: Reply) -> bool:
        headers = reply.headers
        if reply.status in _NO_CONTENT or exchange.method == "HEAD":
            return False
        if headers.get(b"content-encoding") is not None or headers.get(b"content-range") is not None:
            return False
        length = len(reply.body) if isinstance(reply.body, bytes) else reply.body.length
        if length is not None and length < self._min_size:
            return False
        return not (_says_no_transform(headers) or _says_no_transform(exchange.headers))


def _says_no_transform(headers: Headers) -> bool:
    """RFC 9111 sections 5.2.1.6 and 5.2.2.6"""
    value = headers.get_list(b"cache-control")
    return value is not None and b"no-transform" in value.lower()


def _match_tag_of_client(request: Headers, reply: Headers) -> None:
    # A 304 updates what the client has stored only under the very same tag (RFC 9111 section 4.3.4).
    known = request.get_list(b"if-none-match")
    etag = reply.get(b"etag")
    if known is not None and etag is not None and b"W/" + etag in known:
        reply.set(b"etag", b"W/" + etag)


class ZstdPool:
    """Compression contexts to use again: a new one costs 20 us, as much as a small body itself.

    A context serves one body at a time, so each is taken out for as long as its body moves, and comes back only from
    one that ended well.
    """

    def __init__(self, level: int) -> None:
        self._level = level
        self._free: list[zstandard.ZstdCompressor] = []

    def transform(self) -> "ZstdTransform":
        """A transform for one body."""
        compressor = self._free.pop() if self._free else zstandard.ZstdCompressor(level=self._level)
        return ZstdTransform(compressor, self._give_back)

    def _give_back(self, compressor: zstandard.ZstdCompressor) -> None:
        if len(self._free) < _POOL_MAX:
            self._free.append(compressor)

    def close(self) -> None:
        """Free the contexts."""
        self._free.clear()


class ZstdTransform:
    """RFC 8878."""

    def __init__(
        self, compressor: zstandard.ZstdCompressor, give_back: Callable[[zstandard.ZstdCompressor], None]
    ) -> None:
        self._compressor = compressor
        self._give_back = give_back
        self._stream = compressor.compressobj()

    def feed(self, piece: bytes) -> bytes:
        return self._stream.compress(piece)

    def flush(self) -> bytes:
        return self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self) -> bytes:
        rest = self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)
        self._give_back(self._compressor)
        return rest


class BrotliTransform:
    """RFC 7932."""

    # 256 KiB: the same results as the default of 4 MiB on API replies, at a sixteenth of the memory a stream.
    _WINDOW_BITS: ClassVar[int] = 18

    def __init__(self, level: int) -> None:
        self._stream = brotli.Compressor(quality=level, lgwin=self._WINDOW_BITS)

    def feed(self, piece: bytes) -> bytes:
        output: bytes = self._stream.process(piece)
        return output

    def flush(self) -> bytes:
        output: bytes = self._stream.flush()
        return output

    def finish(self) -> bytes:
        output: bytes = self._stream.finish()
        return output


class GzipTransform:
    """RFC 1952."""

    # zlib's own convention: 15 bits of window, 16 more for a gzip header.
    _WINDOW_BITS: ClassVar[int] = 31

    def __init__(self, level: int) -> None:
        self._stream = isal_zlib.compressobj(level=level, wbits=self._WINDOW_BITS)

    def feed(self, piece: bytes) -> bytes:
        output: bytes = self._stream.compress(piece)
        return output

    def flush(self) -> bytes:
        output: bytes = self._stream.flush(isal_zlib.Z_SYNC_FLUSH)
        return output

    def finish(self) -> bytes:
        output: bytes = self._stream.flush(isal_zlib.Z_FINISH)
        return output
