"""The request body of a lane, while it arrives."""

from collections.abc import Awaitable, Callable

from gateway.core import errors
from gateway.core.errors import GatewayError


class RequestBody:
    """A `plugin_api.BodyStream` over a lane's reader.

    read_some: the next bytes, b"" at the end; raises ConnectionError where the client breaks off, ValueError where its
    framing is wrong. on_first_read: sends `100 Continue` where the client waits for it, so that a refused request never
    makes its client send the body. size_max: set by the pipeline once the route is known.
    """

    __slots__ = ("_on_first_read", "_read_some", "bytes_read", "has_buffered", "length", "size_max")

    def __init__(
        self, length: int | None, read_some: Callable[[], Awaitable[bytes]], on_first_read: Callable[[], None] | None
    ) -> None:
        self.length = length
        self.has_buffered = False
        self.size_max: int | None = None
        self.bytes_read = 0
        self._read_some = read_some
        self._on_first_read = on_first_read

    async def read(self) -> bytes:
        if self._on_first_read is not None:
            self._on_first_read()
            self._on_first_read = None
        try:
            piece = await self._read_some()
        except ValueError:
            raise GatewayError(errors.BAD_REQUEST, "The body's framing is not valid", close=True) from None
        except ConnectionError:
            raise GatewayError(errors.BAD_REQUEST, "The body ended too early", close=True) from None
        self.bytes_read += len(piece)
        if self.size_max is not None and self.bytes_read > self.size_max:
            raise GatewayError(errors.BODY_TOO_LARGE, f"The body may have {self.size_max} bytes here", close=True)
        return piece

    def close(self) -> None:
        """Nothing to release: the lane owns the client's connection."""


async def read_whole(body: "bytes | RequestBody") -> bytes:
    """All bytes of a request body that a plugin needs whole."""
    if isinstance(body, bytes):
        return body
    pieces = []
    while piece := await body.read():
        pieces.append(piece)
    return b"".join(pieces)
