"""The second layer of the cache in the memory of this process, for a gateway without Redis."""

from collections.abc import Callable, Hashable, Sequence
from typing import Final

from gateway.core.kept_replies import PASS, CacheKey, Found, Purge, ToKeep
from gateway.core.s3_fifo import S3Fifo

# Of one reply, beside its bytes.
_OVERHEAD_BYTES: Final = 1_000
# Past as many, what is remembered of leases and purges starts over; a purge then counts for everything.
_REMEMBERED_MAX: Final = 10_000
_NAMES_MAX: Final = 64


class _Record:
    """What is kept under one key. replies: name -> (reply, until when). fields: group -> names of request fields."""

    __slots__ = ("fields", "fills", "replies")

    def __init__(self) -> None:
        self.replies: dict[bytes, tuple[ToKeep, float]] = {}
        self.fields: dict[str, bytes] = {}
        self.fills = 0

    @property
    def size(self) -> int:
        return sum(len(name) + len(kept.data) + _OVERHEAD_BYTES for name, (kept, _) in self.replies.items())


class MemoryReplies:
    """A `ReplyStore`. size_max: bytes. now_s: any clock in seconds."""

    is_shared = False

    def __init__(self, size_max: int, now_s: Callable[[], float]) -> None:
        self._records: S3Fifo[CacheKey, _Record] = S3Fifo(size_max)
        self._now_s = now_s
        self._leases: dict[tuple[CacheKey, bytes], tuple[bytes, float]] = {}
        self._mark = 0
        self._purged: dict[Hashable, int] = {}
        self._purged_before = 0

    async def get(self, key: CacheKey, group: str, name: bytes, tags: Sequence[str]) -> Found:
        """See `ReplyStore`."""
        record = self._records.get(key)
        lease = self._lease_of(key, name)
        if record is None:
            return Found(None, None, lease, b"", self._mark)
        data = None
        known = record.replies.get(name)
        if known is not None:
            kept, until_s = known
            if until_s <= self._now_s() or self._is_purged(kept):
                del record.replies[name]
                self._records.put(key, record, record.size)
            else:
                data = kept.data
        return Found(data, record.fields.get(group), lease, b"%d" % record.fills, self._mark)

    async def lease(self, key: CacheKey, name: bytes, token: bytes, for_s: float, fills: bytes) -> bool:
        """See `ReplyStore`."""
        record = self._records.peek(key)
        if self._lease_of(key, name) or fills != (b"" if record is None else b"%d" % record.fills):
            return False
        if len(self._leases) >= _REMEMBERED_MAX:
            self._leases.clear()
        self._leases[key, name] = token, self._now_s() + for_s
        return True

    async def release(self, key: CacheKey, name: bytes, token: bytes, pass_s: float = 0.0) -> None:
        """See `ReplyStore`."""
        if token and self._lease_of(key, name) == token:
            del self._leases[key, name]
            if pass_s > 0:
                self._leases[key, name] = PASS, self._now_s() + pass_s

    async def put(self, kept: ToKeep, token: bytes) -> bool:
        """See `ReplyStore`."""
        is_kept = not self._is_purged(kept) and self._put(kept)
        await self.release(kept.key, kept.asked, token)
        return is_kept

    async def purge(self, purge: Purge) -> None:
        """See `ReplyStore`."""
        self._mark += 1
        named = (*purge.tags, *purge.keys)
        if purge.everything or len(self._purged) + len(named) > _REMEMBERED_MAX:
            self._records.clear()
            self._purged.clear()
            self._purged_before = self._mark
        for each in named:
            self._purged[each] = self._mark

    async def prepare(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._leases.clear()

    def _put(self, kept: ToKeep) -> bool:
        record = self._records.peek(kept.key) or _Record()
        if len(record.replies) >= _NAMES_MAX:
            # As many choose by a field that has a value for each client.
            record.replies.clear()
        record.fields[kept.group] = kept.fields
        record.replies[kept.name] = kept, self._now_s() + kept.ttl_s
        record.fills += 1
        return self._records.put(kept.key, record, record.size)

    def _lease_of(self, key: CacheKey, name: bytes) -> bytes:
        lease = self._leases.get((key, name))
        if lease is None:
            return b""
        if lease[1] <= self._now_s():
            del self._leases[key, name]
            return b""
        return lease[0]

    def _is_purged(self, kept: ToKeep) -> bool:
        if kept.mark == self._mark:
            return False
        purged, mark = self._purged, kept.mark
        return (
            mark < self._purged_before
            or purged.get(kept.key, 0) > mark
            or any(purged.get(tag, 0) > mark for tag in kept.tags)
        )

    def __repr__(self) -> str:
        return f"<MemoryReplies {self._records!r}>"
