"""A reply's body on its way through a plugin's transform (compression, say)."""

from collections.abc import Awaitable, Callable

from gateway.plugin_api import BodyStream, BodyTransform

# Above this, a piece is transformed in a thread: 64 KiB of JSON take brotli a millisecond, the thread costs a tenth.
INLINE_MAX = 64 * 1024

RunInThread = Callable[..., Awaitable[bytes]]


class TransformedBody:
    """A `BodyStream` of the transform's output; its length is known before its end only where the transform says that
    it `keeps_length`.
    """

    __slots__ = ("_is_ended", "_run_in_thread", "_source", "_transform", "length")

    def __init__(self, source: BodyStream, transform: BodyTransform, run_in_thread: RunInThread) -> None:
        self._source = source
        self._transform = transform
        self._run_in_thread = run_in_thread
        self._is_ended = False
        self.length: int | None = source.length if getattr(transform, "keeps_length", False) else None

    @property
    def has_buffered(self) -> bool:
        return self._source.has_buffered

    async def read(self) -> bytes:
        while not self._is_ended:
            piece = await self._source.read()
            if not piece:
                self._is_ended = True
                return self._transform.finish()
            if len(piece) > INLINE_MAX:
                output = await self._run_in_thread(self._transform.feed, piece)
            else:
                output = self._transform.feed(piece)
            if not self._source.has_buffered:
                # Nothing more is here: what the client waits for must not sit in the compressor.
                output += self._transform.flush()
            if output:
                return output
        return b""

    def close(self) -> None:
        self._is_ended = True
        self._source.close()


async def transform_whole(body: bytes, transform: BodyTransform, run_in_thread: RunInThread) -> bytes:
    """The same for a body that is all here."""

    def run() -> bytes:
        return transform.feed(body) + transform.finish()

    if len(body) > INLINE_MAX:
        return await run_in_thread(run)
    return run()
