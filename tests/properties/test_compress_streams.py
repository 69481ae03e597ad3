"""Whatever the pieces and flushes, the client reads the body of the upstream."""

import gzip

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.compress import BrotliTransform, GzipTransform, ZstdPool

POOL = ZstdPool(3)
MAKERS = {
    "zstd": (POOL.transform, lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
    "br": (lambda: BrotliTransform(4), brotli.decompress),
    "gzip": (lambda: GzipTransform(2), gzip.decompress),
}


@pytest.mark.parametrize("coding", MAKERS)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=2000), st.booleans()), max_size=12))
def test_any_cut_of_a_body_comes_back_whole(coding: str, pieces: list[tuple[bytes, bool]]) -> None:
    make, decode = MAKERS[coding]
    transform = make()
    data = b""
    for piece, is_flushed in pieces:
        data += transform.feed(piece)
        if is_flushed:
            data += transform.flush()
    data += transform.finish()
    assert decode(data) == b"".join(piece for piece, _ in pieces)
