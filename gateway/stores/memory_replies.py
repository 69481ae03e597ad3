"""The second layer of the cache in the memory of this process, for a gateway without Redis."""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

from gateway.core.kept_replies import CacheKey, Found, Purge
from gateway.core.s3_fifo import S3Fifo

_OVERHEAD_BYTES: Final = 1_000
_PASS: Final = b"pass"


class _Record:
    """What is kept of one key: variant -> (data, tags, since, until when), group -> the fields it was chosen by."""

    __slots__ = ("fields", "replies")

    def __init__(self) -> None:
        self.replies: dict[bytes, tuple[bytes, tuple[str, ...], int, float]] = {}
        self.fields: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        return sum(len(name) + len(kept[0]) + _OVERHEAD_BYTES for name, kept in self.replies.items())


class MemoryReplies:
    """A `ReplyStore` (`core/kept_replies.py`). now_s: any clock."""

    is_shared = False

    def __init__(self, size_max: int, now_s: Callable[[], float]) -> None:
        self._records: S3Fifo[CacheKey, _Record] = S3Fifo(size_max)
        self._now_s = now_s
        self._leases: dict[tuple[CacheKey, bytes], tuple[bytes, float]] = {}
        self._tokens = itertools.count(1)
        self._mark = 0
        self._purged: dict[str | CacheKey, int] = {}
        self._purged_before = 0

    async def get(self, key: CacheKey, group: str, name: bytes, tags: Sequence[str]) -> Found:
        """The reply of that name, or what is known instead of it."""
        record = self._records.get(key)
        lease = self._lease_of(key, name)
        if record is None:
            return Found(None, None, lease)
        kept = record.replies.get(name)
        if kept is not None and (kept[3] <= self._now_s() or self._is_purged(key, kept[1], kept[2])):
            del record.replies[name]
            kept = None
        return Found(None if kept is None else kept[0], record.fields.get(group), lease)

    async def lease(self, key: CacheKey, name: bytes, for_s: float) -> tuple[bytes, int] | None:
        """The right to fill, for a while, and the mark from before; None where somebody has it."""
        if self._lease_of(key, name):
            return None
        token = b"%d" % next(self._tokens)
        self._leases[key, name] = token, self._now_s() + for_s
        return token, self._mark

    async def release(self, key: CacheKey, name: bytes, token: bytes, pass_s: float) -> None:
        """Give the lease back. pass_s: how long nobody need wait for this reply, as it cannot be kept."""
        if self._leases.get((key, name), (b"",))[0] == token:
            del self._leases[key, name]
            if pass_s > 0:
                self._leases[key, name] = _PASS, self._now_s() + pass_s

    async def put(
        self,
        key: CacheKey,
        group: str,
        name: bytes,
        data: bytes,
        *,
        fields: bytes,
        tags: Sequence[str],
        since: int,
        ttl_s: float,
    ) -> bool:
        """Keep a reply; False where it was purged since that mark, or is too large."""
        if self._is_purged(key, tags, since):
            return False
        record = self._records.peek(key) or _Record()
        if record.fields.get(group) != fields:
            record.fields[group] = fields
        record.replies[name] = data, tuple(tags), since, self._now_s() + ttl_s
        return self._records.put(key, record, record.size)

    async def purge(self, purge: Purge) -> None:
        """From here on, nothing that it names is given out, nor taken from those who asked before."""
        self._mark += 1
        if purge.everything:
            self._records.clear()
            self._purged.clear()
            self._purged_before = self._mark
        for named in (*purge.tags, *purge.keys):
            self._purged[named] = self._mark

    async def close(self) -> None:
        """Forget everything."""
        self._records.clear()

    def _lease_of(self, key: CacheKey, name: bytes) -> bytes:
        lease = self._leases.get((key, name))
        if lease is None:
            return b""
        if lease[1] <= self._now_s():
            del self._leases[key, name]
            return b""
        return lease[0]

    def _is_purged(self, key: CacheKey, tags: Sequence[str], since: int) -> bool:
        purged = self._purged
        return (
            since < self._purged_before
            or purged.get(key, 0) > since
            or any(purged.get(tag, 0) > since for tag in tags)
        )

    def __repr__(self) -> str:
        return f"<MemoryReplies {self._records!r}>"
