"""A body that is taken down while it passes. Pure."""

from collections.abc import Callable


class BodyCopy:
    """A `BodyTransform` that changes nothing. on_whole: gets the body at its end, which only a whole one has.
    on_too_large: called instead, once, as soon as it has more than size_max bytes.
    """

    __slots__ = ("_is_too_large", "_on_too_large", "_on_whole", "_pieces", "_size", "_size_max")

    keeps_length = True

    def __init__(self, size_max: int, on_whole: Callable[[bytes], None], on_too_large: Callable[[], None]) -> None:
        self._size_max = size_max
        self._on_whole = on_whole
        self._on_too_large = on_too_large
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_too_large = False

    def feed(self, piece: bytes) -> bytes:
        """Take one piece."""
        if not self._is_too_large:
            self._size += len(piece)
            if self._size > self._size_max:
                self._is_too_large = True
                self._pieces.clear()
                self._on_too_large()
            else:
                self._pieces.append(piece)
        return piece

    def flush(self) -> bytes:
        """Nothing is held back."""
        return b""

    def finish(self) -> bytes:
        """The body has ended."""
        if not self._is_too_large:
            self._on_whole(b"".join(self._pieces))
        return b""
