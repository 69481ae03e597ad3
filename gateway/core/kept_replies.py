"""The words of what keeps replies: keys, variants, purges. Pure.

A kept reply has a key (whose it is and of which URL), under it a variant (of which route, chosen by which request
fields), and tags. A purge names tags, keys, or everything.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from gateway.core.cache_reply import StoredReply
from gateway.core.cache_status import hit_status
from gateway.core.headers import HeaderBlock

CacheKey = tuple[str, str, str, str, str]
"""Scope, scheme, authority, path in normal form, query as sent. The scope is spelled by `scope_text`."""

# Beside its texts: dict entries, tuples, objects. Measured with tracemalloc over 10,000 replies of ten header lines.
_OVERHEAD_BYTES: Final = 2_500


def scope_text(tenant: str | None = None, user: str | None = None) -> str:
    """Who shares a reply: "" for all, else a tenant, or one user of a tenant. No two callers are spelled alike, for
    the length of the tenant stands in front of it.
    """
    if tenant is None:
        return ""
    return f"t{len(tenant)}:{tenant}" if user is None else f"u{len(tenant)}:{tenant}:{user}"


class Variant:
    """A kept reply as the worker's memory has it, with what its next hit needs.

    name: what tells it from the other variants of its key. coding: of `upstream_coding`. fresh_until_s: wall clock
    before which it answers any request that has no wishes of its own.
    """

    __slots__ = ("_block", "_second", "coding", "fresh_until_s", "name", "stored")

    def __init__(self, name: bytes, stored: StoredReply) -> None:
        self.name: Final = name
        self.stored: Final = stored
        self.coding: Final = upstream_coding(stored)
        left_s = stored.lifetime_s - stored.initial_age_s
        self.fresh_until_s: Final = -1.0 if stored.no_cache else stored.response_time_s + left_s
        self._second = -1
        self._block: HeaderBlock | None = None

    @property
    def route(self) -> str:
        """Whose it is; names begin with it (`core/cache_keys.py`)."""
        return self.name.partition(b"@")[0].decode()

    def block_at(self, now_s: float) -> HeaderBlock:
        """The header lines of a hit at that time, wall clock; the same block for all within a second."""
        block = self._block
        second = int(now_s)
        if block is None or self._second != second:
            stored = self.stored
            age_s = stored.age_s(now_s)
            lines = [
                *stored.headers,
                (b"age", b"%d" % int(age_s)),
                (b"cache-status", hit_status(stored.lifetime_s - age_s)),
            ]
            block = self._block = HeaderBlock(lines, {line[0]: line[1] for line in lines})
            self._second = second
        return block

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


def upstream_coding(stored: StoredReply) -> str | None:
    """The content coding that the upstream chose. Unlike one of the gateway's own choice, it has to be compared with
    what a client takes: requests that make the gateway choose alike may make the upstream choose otherwise, and there
    are servers that choose without saying so in Vary. A coding that nobody chooses for a client, such as aes128gcm, is
    a property of the reply, and for all.
    """
    if stored.is_recoded:
        return None
    for name, value in stored.headers:
        if name == b"content-encoding":
            coding = value.decode("latin-1").lower()
            is_chosen = any(member.strip() in _CHOSEN_CODINGS for member in coding.split(","))
            return coding if is_chosen else None
    return None


_CHOSEN_CODINGS: Final = frozenset({"gzip", "x-gzip", "br", "zstd", "deflate", "compress", "x-compress"})


PASS: Final = b"pass"
"""Stands in the place of a lease while a reply is known not to be kept: nobody waits for it then."""


class Found(NamedTuple):
    """What a store knows under a key. data: the encoded reply of the asked name, or None. fields: the request fields by
    which the replies of the group are chosen, as one text, or None. lease: b"" where nobody is filling, `PASS`, or
    anything else. fills: changes with every fill. mark: see `ReplyStore.lease`.
    """

    data: bytes | None
    fields: bytes | None
    lease: bytes
    fills: bytes
    mark: int


class ReplyStore(Protocol):
    """The second layer of the cache, perhaps shared by many workers. Every method may raise StoreDown.

    A key holds replies by name. A group is those of one route, which are all chosen by the same request fields.
    """

    is_shared: bool
    """Whether other workers find what this one puts."""

    async def get(self, key: CacheKey, group: str, name: bytes, tags: Sequence[str]) -> Found:
        """Look up. tags: those that the reply will have as far as known; what was purged is not found."""

    async def lease(self, key: CacheKey, name: bytes, token: bytes, for_s: float, fills: bytes) -> bool:
        """Take the right to fill, unless somebody has it, or `fills` (of `get`) has changed in the meantime."""

    async def release(self, key: CacheKey, name: bytes, token: bytes, pass_s: float = 0.0) -> None:
        """Give the right back. pass_s: for how long nobody is to wait for the reply, since it is not kept."""

    async def put(self, kept: "ToKeep", token: bytes) -> bool:
        """Keep a reply, and give the right to fill back. False where it was purged since, or is too large."""

    async def purge(self, purge: Purge) -> None:
        """From here on nothing that it names is found, nor taken from those who asked before."""

    async def prepare(self) -> None:
        """Connect ahead; takes a second at most, and never raises."""

    async def close(self) -> None:
        """End what is under way."""


class ToKeep(NamedTuple):
    """One reply for a store. asked: the name under which the lease was taken; which request fields count is known for
    sure only with the reply. mark: of `Found`, from before the upstream was asked. ttl_s: after it, it is forgotten.
    """

    key: CacheKey
    group: str
    asked: bytes
    name: bytes
    data: bytes
    fields: bytes
    tags: tuple[str, ...]
    mark: int
    ttl_s: float


class Sought(NamedTuple):
    """What a request looks for. vary: the request fields that probably count. name_of: the name of the variant if these
    fields count. may_use: whether a stored reply may answer at once. tags: as far as known before there is a reply.
    in_local, in_store: the layers that the route uses.
    """

    key: CacheKey
    group: str
    vary: tuple[bytes, ...]
    name_of: Callable[[tuple[bytes, ...]], bytes]
    may_use: Callable[[StoredReply], bool]
    tags: tuple[str, ...]
    in_local: bool
    in_store: bool


class Answer(NamedTuple):
    """A stored reply, and where it came from."""

    stored: StoredReply
    source: Literal["l2", "coalesced"]


class Ticket:
    """The right and the duty to ask the upstream for what is sought, so that others can wait for it.

    name: of the variant, as far as known before there is a reply. local_mark, mark: of the layers, from before the
    upstream was asked; mark is None where the store is not to be used. token: of the lease, where there is one. stale:
    what the store had, which cannot be used without asking. is_over: it was kept or given up.
    """

    __slots__ = ("is_over", "local_mark", "mark", "name", "sought", "stale", "token")

    def __init__(self, sought: Sought, name: bytes, local_mark: int) -> None:
        self.sought: Final = sought
        self.name: Final = name
        self.local_mark: Final = local_mark
        self.mark: int | None = None
        self.token: bytes | None = None
        self.stale: StoredReply | None = None
        self.is_over = False

    @property
    def key(self) -> CacheKey:
        """Of what is sought."""
        return self.sought.key

    def __repr__(self) -> str:
        return f"<Ticket {'over' if self.is_over else 'open'}>"


class KeptReplies(Protocol):
    """All that a worker keeps of replies (`stores/kept_replies.py`)."""

    @property
    def mark(self) -> int:
        """The number of the last purge in this worker."""

    def find_local(self, key: CacheKey) -> list[Variant] | None:
        """What this worker's memory has under the key."""

    async def look(self, sought: Sought) -> StoredReply | None:
        """What may be used at once of what is kept in the store, where the request is none to fill with."""

    async def find(self, sought: Sought) -> Answer | Ticket | None:
        """An answer; or the right to ask the upstream; or None: ask it, nothing will be kept."""

    async def begin(self, sought: Sought) -> Ticket | None:
        """The right to ask the upstream, for a refresh that nobody waits for; None where somebody is at it."""

    def keep(self, ticket: Ticket, stored: StoredReply) -> None:
        """What the upstream answered."""

    def give_up(self, ticket: Ticket, *, is_kept: bool = True) -> None:
        """Nothing came of it; harmless where it is over. is_kept: False where such a reply is never kept."""

    async def purge(self, purge: Purge) -> None:
        """Drop it everywhere. Raises StoreDown where not everybody could be told yet."""
