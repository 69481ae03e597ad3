"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): what a key is, what "the same request" is, and what is
kept of the first.

A record is what stands under a key in the store. While the first request is under way it is a `Claim`, then its reply.
"""

import hashlib
import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.headers import HeaderLine

KEY_MAX = 255

# A String of RFC 9651 section 3.3.3, as the draft has it; or bare, as most clients send it.
_QUOTED = re.compile(rb'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
_BARE = re.compile(rb"[\x21\x23-\x5b\x5d-\x7e]+")

_CLAIM, _REPLY, _LOST = 0, 1, 2
_VERSION = 1
_HEAD = struct.Struct(">BB32s")
_SIZE = struct.Struct(">I")

UNKNOWN = bytes(32)
"""The fingerprint of a request whose body has not come yet."""


@dataclass(frozen=True)
class Claim:
    """The first request is under way. fingerprint: of it, or UNKNOWN."""

    fingerprint: bytes


@dataclass(frozen=True)
class KeptReply:
    """What the first request got."""

    fingerprint: bytes
    status: int
    headers: tuple[HeaderLine, ...]
    body: bytes


@dataclass(frozen=True)
class LostReply:
    """The first request was carried out, but its reply was too large to keep."""

    fingerprint: bytes


Record = Claim | KeptReply | LostReply


def parse_key(values: Sequence[bytes]) -> str:
    """The key that the header's lines hold. Raises ValueError, which says what is wrong with them."""
    if len(values) != 1:
        raise ValueError("it may be sent once only")
    value = values[0].strip(b" \t")
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        value = re.sub(rb"\\(.)", rb"\1", quoted[1])
    elif _BARE.fullmatch(value) is None:
        raise ValueError('it is one text of visible ASCII characters, like "8e03978e-40d5-43dd-bc93-6894a57f9324"')
    if len(value) > KEY_MAX:
        raise ValueError(f"it may have {KEY_MAX} characters")
    return value.decode("ascii")


def record_key(caller: str, route: str, method: str, key: str) -> str:
    """Where the record of a key is kept: whoever the caller is, and however long the key."""
    return _digest(caller, route, method, key).hexdigest()[:40]


class Fingerprint:
    """Of one request, while its body comes. user: whose reply it is; nobody else of the tenant gets it."""

    __slots__ = ("_hash",)

    def __init__(self, user: str, method: str, target: str) -> None:
        self._hash = _digest(user, method, target)

    def update(self, piece: bytes) -> None:
        """The next piece of the body."""
        self._hash.update(piece)

    def digest(self) -> bytes:
        """32 bytes, once the body has ended."""
        return self._hash.digest()


def claim_record(fingerprint: bytes, token: bytes) -> bytes:
    """token: random, so that each claim is told from every other."""
    return _HEAD.pack(_VERSION, _CLAIM, fingerprint) + token


def reply_record(fingerprint: bytes, status: int, headers: Sequence[HeaderLine], body: bytes) -> bytes:
    """The record of a `KeptReply`."""
    lines = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
    head = json.dumps([status, lines], separators=(",", ":")).encode()
    return b"".join((_HEAD.pack(_VERSION, _REPLY, fingerprint), _SIZE.pack(len(head)), head, body))


def lost_record(fingerprint: bytes) -> bytes:
    """The record of a `LostReply`."""
    return _HEAD.pack(_VERSION, _LOST, fingerprint)


def read_record(data: bytes) -> Record:
    """Raises ValueError for what no version of this file wrote."""
    try:
        version, kind, fingerprint = _HEAD.unpack_from(data)
        if version != _VERSION or kind > _LOST:
            raise ValueError("a record of another version")
        if kind == _CLAIM:
            return Claim(fingerprint)
        if kind == _LOST:
            return LostReply(fingerprint)
        start = _HEAD.size + _SIZE.size
        end = start + _SIZE.unpack_from(data, _HEAD.size)[0]
        status, lines = json.loads(data[start:end])
        headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in lines)
        return KeptReply(fingerprint, int(status), headers, data[end:])
    except (struct.error, TypeError, AttributeError) as error:
        raise ValueError(f"not a record: {error}") from None


# What says that nothing was carried out, or not for good: the key is free again, for a repetition may end otherwise.
_FREEING = frozenset({401, 408, 425, 429})


def is_final(status: int) -> bool:
    """Whether a reply of that status is what each repetition gets."""
    return status < 500 and status not in _FREEING


def _digest(*parts: str) -> "hashlib._Hash":
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(_SIZE.pack(len(data)))
        digest.update(data)
    return digest
