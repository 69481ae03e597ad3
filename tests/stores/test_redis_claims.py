from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from gateway.plugin_api import StoreDown
from gateway.stores import redis_claims
from gateway.stores.redis_claims import RedisClaims, open_claims
from tests.stores import claims_suite
from tests.stores.redis_server import RedisServer


@pytest.fixture
async def two(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[RedisClaims, RedisClaims]]:
    """Of two workers, on one server and on a cluster; patient, for the results are the point."""
    monkeypatch.setattr(redis_claims, "DEADLINE_S", 20.0)
    stores = open_claims(shared_url), open_claims(shared_url)
    yield stores
    for store in stores:
        await store.close()


@pytest.mark.parametrize(
    "holds",
    [
        claims_suite.assert_the_first_has_it,
        claims_suite.assert_only_its_owner_replaces_it,
        claims_suite.assert_a_freed_key_is_anybodys,
    ],
)
async def test_it_is_a_claim_store(two: tuple[RedisClaims, RedisClaims], holds: object) -> None:
    await holds(two[0])  # type: ignore[operator]


async def test_of_many_at_once_one_has_it(two: tuple[RedisClaims, RedisClaims]) -> None:
    await claims_suite.assert_of_many_at_once_one_has_it(*two)


async def test_a_claim_ends_by_itself_and_is_renewed(own_redis: RedisServer) -> None:
    own_redis.start()
    store = open_claims(own_redis.url)
    async with Redis.from_url(own_redis.url) as admin:
        await store.claim("k", b"mine", 15)
        assert 14_000 < await admin.pttl("claim:k") <= 15_000
        await store.replace("k", b"mine", b"mine", 30)
        assert 29_000 < await admin.pttl("claim:k") <= 30_000
        await store.replace("k", b"mine", b"reply", 86_400)
        assert 86_390_000 < await admin.pttl("claim:k") <= 86_400_000
    await store.close()


async def test_without_its_server_it_is_down(own_redis: RedisServer) -> None:
    store = open_claims(own_redis.url)
    with pytest.raises(StoreDown):
        await store.claim("k", b"mine", 15)
    with pytest.raises(StoreDown):
        await store.replace("k", b"mine", b"", 15)
    await store.close()
