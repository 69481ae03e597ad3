"""What keeps replies behind a store URL, all of it built and connected."""

import time
from collections.abc import Callable
from typing import Any, Final

from gateway.core.kept_replies import Purge
from gateway.plugin_api import Counter
from gateway.stores.kept_replies import KeptReplies
from gateway.stores.local_replies import LocalReplies
from gateway.stores.memory_replies import MemoryReplies

_MEMORY: Final = "memory://"


def open_kept_replies(
    url: str,
    size_max: int,
    evictions: Callable[[str], Counter],
    set_size: Callable[[float], None],
    tell: Callable[[Purge], None],
) -> tuple[KeptReplies, Any]:
    """The replies of this worker, and what has to be closed before them (None: nothing).

    size_max: bytes of this worker's memory. evictions, set_size: see `LocalReplies`. tell: passes a purge on to the
    other workers of this gateway, where no store does. Needs the running event loop. Raises ValueError, which never
    shows the URL.
    """
    local = LocalReplies(size_max, evictions, set_size)
    if url == _MEMORY:
        return KeptReplies(local, MemoryReplies(size_max, time.monotonic), now_s=time.time, tell=tell), None
    # Only now: the Redis client is a tenth of a worker's start.
    from gateway.stores.purge_channel import PurgeChannel
    from gateway.stores.redis_client import open_client
    from gateway.stores.redis_link import RedisLink
    from gateway.stores.redis_replies import CHANNEL, RedisReplies

    opened = open_client(url)
    # Any of redis-py's clients; what listens is beyond the few commands of `Client`.
    client: Any = opened.client
    store = RedisReplies(RedisLink(opened.client, "the store of kept replies"), is_cluster=opened.is_cluster)
    kept = KeptReplies(local, store, now_s=time.time, tell=_told_by_the_store)
    # Until the first subscription stands, nobody would say what is purged.
    local.trust(False)

    async def subscription() -> Any:
        if opened.is_cluster:
            await client.initialize()
        return client.pubsub()

    def hear(message: bytes) -> None:
        purge = store.read_message(message)
        if purge is not None:
            kept.hear(purge)

    return kept, PurgeChannel(CHANNEL, subscription, hear, local.trust)


def _told_by_the_store(purge: Purge) -> None:
    """The store tells all workers of all gateways."""
