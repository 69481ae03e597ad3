"""Replies and what they are sought by, for the tests of what keeps them."""

from collections.abc import Callable
from typing import Any

from gateway.core.cache_reply import StoredReply
from gateway.core.kept_replies import CacheKey, Sought, ToKeep, Variant

KEY: CacheKey = ("", "http", "api.example", "/things", "")
OTHER: CacheKey = ("", "http", "api.example", "/others", "")


def stored(body: bytes = b"body", tags: tuple[str, ...] = (), **more: Any) -> StoredReply:
    given: dict[str, Any] = {"response_time_s": 1_000.0, "initial_age_s": 0.0, "lifetime_s": 60.0, **more}
    return StoredReply(status=200, headers=((b"content-type", b"text/plain"),), body=body, tags=tags, **given)


def variant(body: bytes = b"body", tags: tuple[str, ...] = (), name: bytes = b"n") -> Variant:
    return Variant(name, stored(body, tags))


def to_keep(
    data: bytes = b"data",
    tags: tuple[str, ...] = (),
    *,
    key: CacheKey = KEY,
    name: bytes = b"n",
    mark: int = 0,
    **more: Any,
) -> ToKeep:
    given: dict[str, Any] = {"group": "g", "asked": name, "fields": b"", "ttl_s": 60.0, **more}
    return ToKeep(key=key, name=name, data=data, tags=tags, mark=mark, **given)


def sought(
    key: CacheKey = KEY,
    tags: tuple[str, ...] = (),
    *,
    vary: tuple[bytes, ...] = (),
    name_of: Callable[[tuple[bytes, ...]], bytes] = b",".join,
    may_use: Callable[[StoredReply], bool] = lambda kept: True,
    in_local: bool = True,
    in_store: bool = True,
) -> Sought:
    return Sought(key, "g", vary, name_of, may_use, tags, in_local, in_store)
