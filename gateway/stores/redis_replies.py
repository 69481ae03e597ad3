"""The second layer of the cache in Redis, shared by all workers and gateways.

Theory of operation. A cache key is one hash in Redis: replies by name, and what is known of the key (scripts/
replies_put.lua). Each purge has a number, the mark, which only grows. A tag's key holds the mark of its last purge; a
reply has the mark from before its upstream was asked, and its tags. A reply holds as long as none of its tags, nor its
key, was purged after its mark, and every reader checks that: a purge writes one number for each tag and finds no reply
itself, and there is no moment in which a reply that was asked for before can slip in. A tag that Redis has forgotten
(maxmemory, a restart) counts as purged. The tag "" is everything's.

On a cluster a record and its leases share a slot; tags are each in their own, and are asked for beside it.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Final

import zstandard
from redis.crc import key_slot

from gateway.core.kept_replies import CacheKey, Found, Purge, ToKeep
from gateway.stores.redis_link import RedisLink, Script

CHANNEL: Final = "gateway:purges"

# Longer than a reply is kept (`kept_replies.py`), so that no tag is forgotten before its replies.
_TAG_S: Final = 8 * 86_400
# Longer than any upstream takes to answer.
_DROPPED_S: Final = 3_600
_FIELDS_MAX: Final = 64
_MARK_KEY: Final = "cache:mark"
_EVERYTHING: Final = ""
_TAG_CHARS_MAX: Final = 200
# Smaller ones shrink by less than the call costs.
_PACKED_FROM_BYTES: Final = 1_024
_SIZE_MAX: Final = 64 << 20


class RedisReplies:
    """A `ReplyStore` (`core/kept_replies.py`)."""

    is_shared = True

    def __init__(self, link: RedisLink, *, is_cluster: bool) -> None:
        self._link = link
        self._is_cluster = is_cluster
        self._get_script = Script("replies_get")
        self._put_script = Script("replies_put")
        self._drop_script = Script("replies_drop")
        self._take_script = Script("lease_take")
        self._end_script = Script("lease_end")
        self._mark_script = Script("mark")
        self._tags_script = Script("tags")
        self._publish_script = Script("publish")
        self._sender = os.urandom(8).hex()
        self._packer = zstandard.ZstdCompressor(level=1)
        self._unpacker = zstandard.ZstdDecompressor()

    async def get(self, key: CacheKey, group: str, name: bytes, tags: Sequence[str]) -> Found:
        """See `ReplyStore`."""
        record, lease = _record_key(key), _lease_key(key, name)
        known = tuple(dict.fromkeys((_EVERYTHING, *tags)))
        tag_keys = [_tag_key(tag) for tag in known]
        arguments: list[str | bytes | int] = [_reply_field(name), f"f:{group}", _TAG_S]
        if self._is_cluster:
            found, mark, marks = await asyncio.gather(
                self._link.run(self._get_script, [record, lease], arguments),
                self._mark("read"),
                self._tags("read", tag_keys, 0),
            )
            if None in marks:
                # Made now, so that it is known when the reply is kept. What was kept before does not hold.
                await self._tags("touch", tag_keys, mark)
        else:
            found = await self._link.run(self._get_script, [record, lease, _MARK_KEY, *tag_keys], arguments)
            if found[4] is None:
                mark = await self._mark("read")
                found = await self._link.run(self._get_script, [record, lease, _MARK_KEY, *tag_keys], arguments)
            mark, marks = int(found[4] or 0), [int(each) for each in found[5:]]
        data, fields, held, fills = found[0], found[1], found[2], found[3]
        if data is not None:
            data = await self._unpack(data, dict(zip(known, marks, strict=True)))
        return Found(data, fields, held or b"", fills or b"", mark)

    async def lease(self, key: CacheKey, name: bytes, token: bytes, for_s: float, fills: bytes) -> bool:
        """See `ReplyStore`."""
        keys = [_record_key(key), _lease_key(key, name)]
        return bool(await self._link.run(self._take_script, keys, [token, int(for_s * 1000), fills]))

    async def release(self, key: CacheKey, name: bytes, token: bytes, pass_s: float = 0.0) -> None:
        """See `ReplyStore`."""
        await self._link.run(self._end_script, [_lease_key(key, name)], [token, int(pass_s * 1000)])

    async def put(self, kept: ToKeep, token: bytes) -> bool:
        """See `ReplyStore`."""
        tags = tuple(dict.fromkeys((_EVERYTHING, *kept.tags)))
        mark = await self._mark("read")
        marks = await self._tags("touch", [_tag_key(tag) for tag in tags], mark)
        # A tag that nobody knew when the upstream was asked may have been purged and forgotten since, if there was any
        # purge at all.
        is_purged = any((mark if each is None else each) > kept.mark for each in marks)
        if is_purged or len(kept.data) > _SIZE_MAX:
            await self.release(kept.key, kept.asked, token)
            return False
        arguments: list[str | bytes | int] = [
            token,
            _reply_field(kept.name),
            self._pack(kept, tags),
            f"f:{kept.group}",
            kept.fields,
            kept.mark,
            max(1, int(kept.ttl_s * 1000)),
            _FIELDS_MAX,
        ]
        keys = [_record_key(kept.key), _lease_key(kept.key, kept.asked)]
        return bool(await self._link.run(self._put_script, keys, arguments))

    async def purge(self, purge: Purge) -> None:
        """See `ReplyStore`; tells all others as well."""
        # In this order: who asks the upstream after the new mark gets what is new; who asked before is found out.
        mark = await self._mark("next")
        tags = (_EVERYTHING, *purge.tags) if purge.everything else purge.tags
        await asyncio.gather(
            self._tags("purge", [_tag_key(tag) for tag in tags], mark),
            *(self._link.run(self._drop_script, [_record_key(key)], [mark, _DROPPED_S]) for key in purge.keys),
        )
        await self._link.run(self._publish_script, [_MARK_KEY], [CHANNEL, f"{self._sender} {purge.encode()}"])

    def read_message(self, message: bytes) -> Purge | None:
        """A purge from the channel; None where it is our own, which is carried out already. Raises ValueError."""
        sender, _, text = message.decode().partition(" ")
        return None if sender == self._sender else Purge.decode(text)

    async def prepare(self) -> None:
        """Connect, so that the first requests need not wait for that; for a second at most, and without raising."""
        await self._link.prepare(self._mark_script, [_MARK_KEY], ["read"])

    async def close(self) -> None:
        """See `ReplyStore`."""
        await self._link.close()

    async def _mark(self, what: str) -> int:
        return int(await self._link.run(self._mark_script, [_MARK_KEY], [what]))

    async def _tags(self, what: str, keys: Sequence[str], mark: int) -> list[int | None]:
        """What the tags were, in order, before they are touched or purged."""
        if not keys:
            return []
        groups = _by_slot(keys) if self._is_cluster else [list(range(len(keys)))]
        results = await asyncio.gather(
            *(
                self._link.run(self._tags_script, [keys[index] for index in group], [what, mark, _TAG_S])
                for group in groups
            )
        )
        before: list[int | None] = [None] * len(keys)
        for group, values in zip(groups, results, strict=True):
            for index, value in zip(group, values, strict=True):
                before[index] = None if value is None else int(value)
        return before

    def _pack(self, kept: ToKeep, tags: tuple[str, ...]) -> bytes:
        """The reply as it stands in Redis: mark and tags as a line of JSON, a letter for how it is packed, the data."""
        head = json.dumps([kept.mark, *tags]).encode() + b"\n"
        if len(kept.data) >= _PACKED_FROM_BYTES:
            packed = self._packer.compress(kept.data)
            if len(packed) < len(kept.data) * 0.9:
                return head + b"z" + packed
        return head + b"p" + kept.data

    async def _unpack(self, stored: bytes, marks: dict[str, int | None]) -> bytes | None:
        """The data, if it still holds. marks: those of the tags that are known already."""
        head, _, rest = stored.partition(b"\n")
        mark, *tags = json.loads(head)
        others = [tag for tag in tags if tag not in marks]
        if others:
            read = await self._tags("read", [_tag_key(tag) for tag in others], 0)
            marks = {**marks, **dict(zip(others, read, strict=True))}
        for tag in tags:
            purged = marks.get(tag)
            if purged is None or purged > mark:
                return None
        if rest[:1] == b"z":
            return self._unpacker.decompress(rest[1:], max_output_size=_SIZE_MAX)
        return rest[1:]

    def __repr__(self) -> str:
        return f"<RedisReplies {self._link!r}>"


def _digest(*parts: str | bytes) -> str:
    """No two lists of parts have one text: each part's length is digested with it."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()


def _record_key(key: CacheKey) -> str:
    # The braces say what of it counts for a cluster's slot.
    return f"cache:{{{_digest(*key)}}}"


def _lease_key(key: CacheKey, name: bytes) -> str:
    return f"{_record_key(key)}:lease:{_digest(name)}"


def _reply_field(name: bytes) -> str:
    return f"r:{_digest(name)}"


def _tag_key(tag: str) -> str:
    if len(tag) <= _TAG_CHARS_MAX and tag.isascii() and tag.isprintable():
        return f"cache:tag:{tag}"
    return f"cache:other-tag:{_digest(tag)}"


def _by_slot(keys: Sequence[str]) -> list[list[int]]:
    slots: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        slots.setdefault(key_slot(key.encode()), []).append(index)
    return list(slots.values())
