"""The tokens of links in mail that act without a login: whose they are, of which message, signed.

A token is base64url of the subscriber's public id, the delivery's id (zeros where there is none) and the first 16 bytes
of an HMAC-SHA256 over both and the purpose, under a key that only this subscriber has. So a token made for one purpose,
message or person is worth nothing for another, and there is no secret to configure.
"""

import binascii
import hashlib
import hmac
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

_NONE = uuid.UUID(int=0)
_SIGNATURE_BYTES = 16
LENGTH = 64  # of a token, in characters


class Token(NamedTuple):
    """What a token says, before its signature was checked."""

    public_id: uuid.UUID
    delivery_id: uuid.UUID | None
    signature: bytes


def _signature(key: bytes, purpose: str, public_id: uuid.UUID, delivery_id: uuid.UUID) -> bytes:
    told = purpose.encode() + b"\0" + public_id.bytes + delivery_id.bytes
    return hmac.digest(key, told, hashlib.sha256)[:_SIGNATURE_BYTES]


def make_token(key: bytes, purpose: str, public_id: uuid.UUID, delivery_id: uuid.UUID | None = None) -> str:
    """A token of 64 characters that a URL can hold."""
    delivery_id = delivery_id or _NONE
    whole = public_id.bytes + delivery_id.bytes + _signature(key, purpose, public_id, delivery_id)
    return urlsafe_b64encode(whole).decode()


def read_token(text: str) -> Token | None:
    """The parts of a token, whose signature is still to be checked; None for what is none."""
    try:
        whole = urlsafe_b64decode(text.encode("ascii")) if len(text) == LENGTH else b""
    except (binascii.Error, UnicodeEncodeError):
        return None
    if len(whole) != 32 + _SIGNATURE_BYTES:
        return None
    delivery_id = uuid.UUID(bytes=whole[16:32])
    return Token(uuid.UUID(bytes=whole[:16]), None if delivery_id == _NONE else delivery_id, whole[32:])


def is_signed(token: Token, key: bytes, purpose: str) -> bool:
    """Whether the token was made with this key for this purpose; takes the same time whatever is wrong."""
    expected = _signature(key, purpose, token.public_id, token.delivery_id or _NONE)
    return hmac.compare_digest(expected, token.signature)
