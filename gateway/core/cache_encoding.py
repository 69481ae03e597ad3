"""A stored reply as bytes for a shared store, and back. Pure.

Layout, all numbers big-endian: version (1 byte), flags (1), status (2), five float64 (response time, initial age,
lifetime, stale, stale if error), then the lists vary, tags and header lines, the two validators, and the body to the
end. A list is its count (u16) and its items; an item its length (u32) and its bytes; an absent validator has length 0,
as no validator is empty.
"""

import math
import struct
from typing import Final

from gateway.core.cache_reply import StoredReply
from gateway.core.headers import HeaderLine

VERSION: Final = 1
_HEAD: Final = struct.Struct(">BBHddddd")
_COUNT: Final = struct.Struct(">H")
_LENGTH: Final = struct.Struct(">I")
_MUST_REVALIDATE: Final = 1
_NO_CACHE: Final = 2
_IS_RECODED: Final = 4


def encode(stored: StoredReply) -> bytes:
    """Raises ValueError for what the layout has no room for: more than 65,535 header lines, say."""
    flags = (
        (_MUST_REVALIDATE if stored.must_revalidate else 0)
        | (_NO_CACHE if stored.no_cache else 0)
        | (_IS_RECODED if stored.is_recoded else 0)
    )
    parts: list[bytes] = []
    try:
        parts.append(
            _HEAD.pack(
                VERSION,
                flags,
                stored.status,
                stored.response_time_s,
                stored.initial_age_s,
                stored.lifetime_s,
                stored.stale_s,
                stored.stale_if_error_s,
            )
        )
        _put_list(parts, list(stored.vary))
        _put_list(parts, [tag.encode() for tag in stored.tags])
        lines: list[bytes] = []
        for name, value in stored.headers:
            lines.append(name)
            lines.append(value)
        _put_list(parts, lines)
        _put_item(parts, stored.etag or b"")
        _put_item(parts, stored.last_modified or b"")
    except struct.error as error:
        raise ValueError(f"the reply cannot be encoded: {error}") from None
    parts.append(stored.body)
    return b"".join(parts)


def decode(data: bytes) -> StoredReply:
    """Raises ValueError for anything that `encode` of this version did not write."""
    try:
        head = _HEAD.unpack_from(data)
        version, flags, status = int(head[0]), int(head[1]), int(head[2])
        numbers = [float(number) for number in head[3:]]
        if version != VERSION or flags > 7 or not 200 <= status <= 999 or not all(map(math.isfinite, numbers)):
            raise ValueError("no stored reply of this version")
        vary, position = _take_list(data, _HEAD.size)
        tags, position = _take_list(data, position)
        lines, position = _take_list(data, position)
        etag, position = _take_item(data, position)
        last_modified, position = _take_item(data, position)
    except struct.error:
        raise ValueError("a stored reply breaks off") from None
    if len(lines) % 2:
        raise ValueError("a header line of a stored reply has no value")
    headers: list[HeaderLine] = [(lines[index], lines[index + 1]) for index in range(0, len(lines), 2)]
    return StoredReply(
        status=status,
        headers=tuple(headers),
        body=data[position:],
        response_time_s=numbers[0],
        initial_age_s=numbers[1],
        lifetime_s=numbers[2],
        stale_s=numbers[3],
        stale_if_error_s=numbers[4],
        must_revalidate=bool(flags & _MUST_REVALIDATE),
        no_cache=bool(flags & _NO_CACHE),
        is_recoded=bool(flags & _IS_RECODED),
        vary=tuple(vary),
        tags=tuple([tag.decode() for tag in tags]),
        etag=etag or None,
        last_modified=last_modified or None,
    )


def _put_item(parts: list[bytes], item: bytes) -> None:
    parts.append(_LENGTH.pack(len(item)))
    parts.append(item)


def _put_list(parts: list[bytes], items: list[bytes]) -> None:
    parts.append(_COUNT.pack(len(items)))
    for item in items:
        _put_item(parts, item)


def _take_item(data: bytes, position: int) -> tuple[bytes, int]:
    length = int(_LENGTH.unpack_from(data, position)[0])
    start = position + _LENGTH.size
    end = start + length
    if end > len(data):
        raise ValueError("a stored reply breaks off")
    return data[start:end], end


def _take_list(data: bytes, position: int) -> tuple[list[bytes], int]:
    count = int(_COUNT.unpack_from(data, position)[0])
    position += _COUNT.size
    items = []
    for _ in range(count):
        item, position = _take_item(data, position)
        items.append(item)
    return items, position
