"""Hazard: a transform that holds back what a client waits for, or loses a piece."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.proxy.transformed_body import INLINE_MAX, TransformedBody, transform_whole
from tests.support.plugins import Pieces


class Doubling:
    """Every byte twice, held back until a flush, so that a missing one is seen."""

    def __init__(self) -> None:
        self.held = b""

    def feed(self, piece: bytes) -> bytes:
        self.held += bytes(byte for byte in piece for _ in range(2))
        return b""

    def flush(self) -> bytes:
        out, self.held = self.held, b""
        return out

    def finish(self) -> bytes:
        return self.flush() + b"!"


class Trickle(Pieces):
    """Nothing is here before it is read, as in an event stream."""

    @property
    def has_buffered(self) -> bool:
        return False


class Threads:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def run(self, function: Callable[..., bytes], *args: Any) -> bytes:
        self.sizes.append(len(args[0]) if args else -1)
        return function(*args)


async def read_all(body: TransformedBody) -> list[bytes]:
    pieces = []
    while piece := await body.read():
        pieces.append(piece)
    return pieces


async def test_each_piece_that_comes_alone_is_flushed() -> None:
    body = TransformedBody(Trickle(b"a", b"b"), Doubling(), Threads().run)
    assert body.length is None
    assert await read_all(body) == [b"aa", b"bb", b"!"]
    assert await body.read() == b""


async def test_pieces_that_are_here_are_not_flushed_one_by_one() -> None:
    body = TransformedBody(Pieces(b"a", b"b", b"c"), Doubling(), Threads().run)
    assert body.has_buffered
    assert await read_all(body) == [b"aabbcc", b"!"]


async def test_a_large_piece_goes_to_a_thread() -> None:
    threads = Threads()
    body = TransformedBody(Pieces(bytes(INLINE_MAX), bytes(INLINE_MAX + 1)), Doubling(), threads.run)
    assert sum(map(len, await read_all(body))) == 2 * (2 * INLINE_MAX + 1) + 1
    assert threads.sizes == [INLINE_MAX + 1]


async def test_closing_closes_the_source_and_ends_the_body() -> None:
    source = Pieces(b"a")
    body = TransformedBody(source, Doubling(), Threads().run)
    body.close()
    assert source.is_closed
    assert await body.read() == b""


@pytest.mark.parametrize(("size", "in_threads"), [(INLINE_MAX, 0), (INLINE_MAX + 1, 1)])
async def test_a_whole_body_is_transformed_in_one_go(size: int, in_threads: int) -> None:
    threads = Threads()
    assert await transform_whole(b"x" * size, Doubling(), threads.run) == b"x" * 2 * size + b"!"
    assert len(threads.sizes) == in_threads
