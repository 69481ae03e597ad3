"""Replies in the memory of this worker: the first layer of the cache, bounded by bytes.

A purge drops what it names, and is remembered by number: what was asked of an upstream before it is not taken any more
after it, so that a reply on its way while its tag is purged never comes back. Without certainty that every purge
arrives (`trust`), nothing is given out or taken.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Final

from gateway.core.kept_replies import CacheKey, Purge, Variant
from gateway.core.s3_fifo import S3Fifo
from gateway.plugin_api import Counter

# Of one key: Accept-Encoding has a handful, and a field with more values than that is no good to choose replies by.
VARIANTS_MAX: Final = 16
# Past this many, the memory of purges starts over, and what is under way then is not taken.
_PURGES_MAX: Final = 10_000


class LocalReplies:
    """size_max: bytes. evictions: of a route's name, what counts its replies that had to go for want of room. set_size:
    told how many bytes there are, after each change.
    """

    def __init__(self, size_max: int, evictions: Callable[[str], Counter], set_size: Callable[[float], None]) -> None:
        self._kept: S3Fifo[CacheKey, list[Variant]] = S3Fifo(size_max, self._on_evict)
        self._evictions = evictions
        self._set_size = set_size
        self._by_tag: dict[str, set[CacheKey]] = {}
        self._purged: dict[Hashable, int] = {}
        self._purged_before = 0
        self._is_trusted = True
        self.mark = 0
        """The number of the last purge. Ask before the upstream is asked, and say it to `put`."""
        # As a bound method it is the whole of a look-up.
        self.find = self._kept.get

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self._kept.size

    @property
    def is_trusted(self) -> bool:
        """Whether every purge is sure to arrive."""
        return self._is_trusted

    def trust(self, is_trusted: bool) -> None:
        """Say whether every purge is sure to arrive from now on."""
        if is_trusted != self._is_trusted:
            self._is_trusted = is_trusted
            self.purge(Purge(everything=True))

    def put(self, key: CacheKey, variant: Variant, since: int) -> bool:
        """Keep it in place of the variant of that name. since: `mark` before the upstream was asked.

        False where it is too large, or was purged in the meantime.
        """
        if not self._is_trusted or self.is_purged(key, variant.stored.tags, since):
            return False
        variants = [variant]
        known = self._kept.peek(key)
        if known is not None:
            variants += [other for other in known if other.name != variant.name][: VARIANTS_MAX - 1]
            self._forget_tags(key, known)
        for each in variants:
            for tag in each.stored.tags:
                self._by_tag.setdefault(tag, set()).add(key)
        is_kept = self._kept.put(key, variants, sum(each.size for each in variants))
        if not is_kept:
            self._forget_tags(key, variants)
        self._set_size(self._kept.size)
        return is_kept

    def is_purged(self, key: CacheKey, tags: Iterable[str], since: int) -> bool:
        """Whether a purge after that mark named the key or one of the tags."""
        if since == self.mark:
            return False
        if since < self._purged_before:
            return True
        purged = self._purged
        return purged.get(key, 0) > since or any(purged.get(tag, 0) > since for tag in tags)

    def purge(self, purge: Purge) -> None:
        """Drop what it names, also what is still on its way."""
        self._purge(purge)
        self._set_size(self._kept.size)

    def _purge(self, purge: Purge) -> None:
        self.mark += 1
        if purge.everything or len(self._purged) + len(purge.tags) + len(purge.keys) > _PURGES_MAX:
            self._purged.clear()
            self._purged_before = self.mark
        if purge.everything:
            self._kept.clear()
            self._by_tag.clear()
            return
        for tag in purge.tags:
            self._purged[tag] = self.mark
            for key in self._by_tag.pop(tag, ()):
                self._drop(key, tag)
        for key in purge.keys:
            self._purged[key] = self.mark
            known = self._kept.remove(key)
            if known is not None:
                self._forget_tags(key, known)

    def _drop(self, key: CacheKey, tag: str) -> None:
        known = self._kept.remove(key)
        if known is None:
            return
        self._forget_tags(key, known)
        left = [variant for variant in known if tag not in variant.stored.tags]
        if left:
            for variant in left:
                for other in variant.stored.tags:
                    self._by_tag.setdefault(other, set()).add(key)
            self._kept.put(key, left, sum(variant.size for variant in left))

    def _on_evict(self, key: CacheKey, variants: list[Variant]) -> None:
        for variant in variants:
            self._evictions(variant.route).inc()
        self._forget_tags(key, variants)

    def _forget_tags(self, key: CacheKey, variants: Iterable[Variant]) -> None:
        for variant in variants:
            for tag in variant.stored.tags:
                keys = self._by_tag.get(tag)
                if keys is not None:
                    keys.discard(key)
                    if not keys:
                        del self._by_tag[tag]

    def __repr__(self) -> str:
        trusted = "" if self._is_trusted else ", not trusted"
        return f"<LocalReplies {self._kept!r}, {len(self._by_tag)} tags{trusted}>"
