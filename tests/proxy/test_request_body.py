"""Hazard: a body that is asked for too early, read past its limit, or taken for whole when it broke off."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.core.errors import GatewayError
from gateway.proxy import request_body
from gateway.proxy.request_body import RequestBody


def reader(*pieces: bytes | Exception) -> Callable[[], Awaitable[bytes]]:
    left = list(pieces)

    async def read_some() -> bytes:
        piece = left.pop(0) if left else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    return read_some


async def test_the_body_is_asked_for_once_and_only_when_it_is_read() -> None:
    asked: list[int] = []
    body = RequestBody(3, reader(b"a", b"bc"), lambda: asked.append(1))
    assert asked == []
    assert [await body.read(), await body.read(), await body.read()] == [b"a", b"bc", b""]
    assert asked == [1]
    assert body.bytes_read == 3
    body.close()


@pytest.mark.parametrize(("size_max", "is_refused"), [(5, False), (4, True), (None, False)])
async def test_a_body_over_the_limit_is_413_as_soon_as_it_is_known(size_max: int | None, is_refused: bool) -> None:
    body = RequestBody(None, reader(b"abc", b"de"), None)
    body.size_max = size_max
    assert await body.read() == b"abc"
    if is_refused:
        with pytest.raises(GatewayError, match="body_too_large") as refused:
            await body.read()
        assert refused.value.close
    else:
        assert await body.read() == b"de"


@pytest.mark.parametrize("fault", [ConnectionResetError(), ValueError()])
async def test_a_body_that_breaks_off_is_an_error_and_never_an_end(fault: Exception) -> None:
    body = RequestBody(9, reader(b"abc", fault), None)
    await body.read()
    with pytest.raises(GatewayError, match="bad_request") as refused:
        await body.read()
    assert refused.value.close


async def test_an_error_of_the_lane_passes_as_it_is() -> None:
    error = GatewayError(request_body.errors.REQUEST_TIMEOUT)
    body = RequestBody(9, reader(error), None)
    with pytest.raises(GatewayError) as refused:
        await body.read()
    assert refused.value is error
