"""The words of what keeps replies: keys, variants, purges. Pure.

A kept reply has a key (whose it is and of which URL), under it a variant (of which route, chosen by which request
fields), and tags. A purge names tags, keys, or everything.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.core.cache_reply import StoredReply
from gateway.core.headers import HeaderBlock

CacheKey = tuple[str, str, str, str, str]
"""Scope, scheme, authority, path in normal form, query as sent. The scope is spelled by `scope_text`."""

# Beside its texts: dict entries, tuples, objects. Measured with tracemalloc over 10,000 replies of ten header lines.
_OVERHEAD_BYTES: Final = 2_500


def scope_text(tenant: str | None = None, user: str | None = None) -> str:
    """Who shares a reply: "" for all, else a tenant, or one user of a tenant. No two callers are spelled alike, for the
    length of the tenant stands in front of it.
    """
    if tenant is None:
        return ""
    return f"t{len(tenant)}:{tenant}" if user is None else f"u{len(tenant)}:{tenant}:{user}"


class Variant:
    """A kept reply as the worker's memory has it, with what its next hit needs.

    name: what tells it from the other variants of its key. second, block: the header lines of a hit within that second.
    """

    __slots__ = ("block", "name", "second", "stored")

    def __init__(self, name: bytes, stored: StoredReply) -> None:
        self.name: Final = name
        self.stored: Final = stored
        self.second = -1
        self.block: HeaderBlock | None = None

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        stored = self.stored
        lines = sum(len(name) + len(value) for name, value in stored.headers)
        return len(stored.body) + lines + len(self.name) + _OVERHEAD_BYTES

    def __repr__(self) -> str:
        return f"<Variant {self.stored!r}>"


class Purge(NamedTuple):
    """What is not to be served any more. Each worker gets every purge, its own ones included."""

    tags: tuple[str, ...] = ()
    keys: tuple[CacheKey, ...] = ()
    everything: bool = False

    def encode(self) -> str:
        """As JSON, for the channel."""
        return json.dumps({"tags": self.tags, "keys": self.keys, "everything": self.everything})

    @classmethod
    def decode(cls, text: str | bytes) -> "Purge":
        """Raises ValueError."""
        try:
            return cls.of(json.loads(text))
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"no purge: {type(error).__name__}") from None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Purge":
        """From what `encode` made JSON of. Raises KeyError, TypeError or ValueError."""
        tags = tuple(data["tags"])
        keys = tuple(tuple(key) for key in data["keys"])
        if not all(isinstance(tag, str) for tag in tags):
            raise ValueError("a tag is no text")
        if not all(len(key) == 5 and all(isinstance(part, str) for part in key) for key in keys):
            raise ValueError("a key is not five texts")
        return cls(tags, keys, data["everything"] is True)
