"""Trace context and request ids.

`traceparent` as in W3C Trace Context, sections 3.2 (format) and 3.4 (mutating it). The gateway takes part in a trace
by a span id of its own and records the trace id in the access log; it exports no spans.
"""

import os
import re
from collections.abc import Callable
from typing import Final

_BLOCK_BYTES: Final = 4096

# Ids of zeros only and version ff are invalid. What follows the flags is for versions after 00, and is continued as 00.
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?", re.DOTALL
)
_SAMPLED, _RANDOM = 1, 2


class IdSource:
    """Random hex digits out of blocks of 4 KiB: a call of `os.urandom` for each id would cost 3 us, this costs 0.2."""

    __slots__ = ("_digits", "_position", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._digits = ""
        self._position = 0

    def hex(self, count: int) -> str:
        """The next `count` lower-case hex digits, 8,192 at most."""
        start = self._position
        end = start + count
        if end > len(self._digits):
            self._digits = self._random_bytes(_BLOCK_BYTES).hex()
            start, end = 0, count
        self._position = end
        return self._digits[start:end]

    def new_ids(self) -> tuple[str, bytes]:
        """A request id and the `traceparent` of a new trace, from one draw of digits: every request needs both."""
        digits = self.hex(80)
        return digits[:32], f"00-{digits[32:64]}-{digits[64:]}-01".encode()

    def request_id(self) -> str:
        """32 hex digits."""
        return self.hex(32)

    def __repr__(self) -> str:
        # The digits are ids to come, which nobody should be able to foresee.
        return f"<IdSource {len(self._digits) - self._position} digits left>"


def next_traceparent(incoming: bytes | None, random_hex: Callable[[int], str]) -> bytes:
    """The `traceparent` for the upstream: the incoming trace continued with a span id of ours, or a new trace.

    random_hex: the given number of hex digits, `IdSource.hex`. Where the result's trace id (bytes 3..35) is not the
    incoming one, the incoming `tracestate` belongs to nothing and must not be passed on (section 3.3).
    """
    match = _TRACEPARENT.fullmatch(incoming) if incoming is not None else None
    if match is None or (match[3] and match[0].startswith(b"00")):
        # Sampled: services that follow their caller's decision then record as they would without the gateway.
        return f"00-{random_hex(32)}-{random_hex(16)}-01".encode()
    flags = match[2]
    if flags != b"01" and flags != b"00":
        flags = b"%02x" % (int(flags, 16) & (_SAMPLED | _RANDOM))
    return b"00-%b-%b-%b" % (match[1], random_hex(16).encode(), flags)
