"""Claims in Redis, shared by all workers and gateways. Each is one key, so a cluster needs nothing more.

A record has to outlive its time: Redis must evict none of them (`deploy/redis/redis.conf`).
"""

from typing import cast

from gateway.stores.redis_client import open_client
from gateway.stores.redis_link import RedisLink, Script

# As long as any call to the store may take: where it fails, there is nothing to answer a write with in its place.
DEADLINE_S = 0.1


class RedisClaims:
    """A `ClaimStore`."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._claim_script = Script("claim")
        self._replace_script = Script("replace")

    async def claim(self, key: str, value: bytes, for_s: float) -> bytes | None:
        """See `ClaimStore`."""
        found = await self._link.run(self._claim_script, [_name(key)], [value, _ms(for_s)])
        return cast(bytes | None, found)

    async def replace(self, key: str, value: bytes, new: bytes, for_s: float) -> bool:
        """See `ClaimStore`."""
        return bool(await self._link.run(self._replace_script, [_name(key)], [value, new, _ms(for_s)]))

    async def close(self) -> None:
        """End what is under way, and all connections."""
        await self._link.close()


def open_claims(url: str) -> RedisClaims:
    """The claims behind a store URL (`core/store_url.py`). Raises ValueError, which never shows the URL."""
    return RedisClaims(RedisLink(open_client(url).client, "the store of idempotency keys", DEADLINE_S))


def _name(key: str) -> str:
    return f"claim:{key}"


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
