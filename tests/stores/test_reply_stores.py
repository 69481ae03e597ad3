"""One suite for every store of replies: memory, a real Redis, a real cluster.

Hazard: a reply that was purged is found; two fill at once; a store keeps more than it should.
"""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.core.kept_replies import PASS, CacheKey, Found, Purge, ReplyStore
from gateway.stores import redis_link
from gateway.stores.memory_replies import MemoryReplies
from gateway.stores.redis_client import open_client
from gateway.stores.redis_link import RedisLink
from gateway.stores.redis_replies import RedisReplies
from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer
from tests.stores.reply_material import to_keep

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests are about does not depend on how busy the machine is."""
    monkeypatch.setattr(redis_link, "DEADLINE_S", 20.0)


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisClusterServers]:
    servers = RedisClusterServers()
    servers.start()
    yield servers
    servers.kill()


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=["memory", "redis", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ReplyStore]:
    made: ReplyStore
    if request.param == "memory":
        made = MemoryReplies(1 << 20, Clock())
    else:
        server = request.getfixturevalue("shared_redis" if request.param == "redis" else "cluster")
        opened = open_client(server.url)
        made = RedisReplies(RedisLink(opened.client, "the test's store"), is_cluster=opened.is_cluster)
    yield made
    await made.close()


@pytest.fixture
def key() -> CacheKey:
    """One that no other test has used."""
    return ("", "http", "api.example", f"/{next(_numbers)}", "")


@pytest.fixture
def tag() -> str:
    return f"tag-{next(_numbers)}"


async def look(store: ReplyStore, key: CacheKey, *tags: str, name: bytes = b"n") -> Found:
    return await store.get(key, "g", name, tags)


async def test_what_was_put_is_found_under_its_key_and_name(store: ReplyStore, key: CacheKey) -> None:
    first = await look(store, key)
    assert (first.data, first.fields, first.lease) == (None, None, b"")
    assert await store.put(to_keep(b"data", key=key, mark=first.mark, fields=b"accept"), b"")
    found = await look(store, key)
    assert (found.data, found.fields, found.lease) == (b"data", b"accept", b"")
    assert (await look(store, key, name=b"other")).data is None
    assert (await look(store, (*key[:4], "x=1"))).data is None
    assert (await look(store, ("t4:acme", *key[1:]))).data is None


@pytest.mark.parametrize("data", [b"", b"\n\n", bytes(range(256)) * 200, b'{"a": 1}' * 5_000], ids=len)
async def test_any_bytes_come_back(store: ReplyStore, key: CacheKey, data: bytes) -> None:
    mark = (await look(store, key)).mark
    await store.put(to_keep(data, key=key, mark=mark), b"")
    assert (await look(store, key)).data == data


async def test_a_second_put_replaces_the_first_and_other_names_stay(store: ReplyStore, key: CacheKey) -> None:
    mark = (await look(store, key)).mark
    for name, data in ((b"n", b"1"), (b"m", b"2"), (b"n", b"3")):
        await store.put(to_keep(data, key=key, name=name, mark=mark), b"")
    assert (await look(store, key)).data == b"3"
    assert (await look(store, key, name=b"m")).data == b"2"


async def test_a_purged_tag_is_not_found_and_one_that_begins_alike_is(
    store: ReplyStore, key: CacheKey, tag: str
) -> None:
    other = (*key[:4], "other")
    for each, its_tag in ((key, tag), (other, f"{tag}b")):
        mark = (await look(store, each, its_tag)).mark
        assert await store.put(to_keep(key=each, tags=(its_tag,), mark=mark), b"")
    await store.purge(Purge(tags=(tag,)))
    assert (await look(store, key, tag)).data is None
    assert (await look(store, other, f"{tag}b")).data == b"data"
    # Nor by somebody who does not know what tags it has.
    assert (await look(store, key)).data is None
    assert (await look(store, other)).data == b"data"


async def test_after_a_purge_it_can_be_filled_again(store: ReplyStore, key: CacheKey, tag: str) -> None:
    for data in (b"1", b"2", b"3"):
        mark = (await look(store, key, tag)).mark
        assert await store.put(to_keep(data, key=key, tags=(tag,), mark=mark), b"")
        assert (await look(store, key, tag)).data == data
        await store.purge(Purge(tags=(tag,)))
        assert (await look(store, key, tag)).data is None


async def test_who_asked_before_a_purge_keeps_nothing(store: ReplyStore, key: CacheKey, tag: str) -> None:
    mark = (await look(store, key, tag)).mark
    await store.purge(Purge(tags=(tag,)))
    assert not await store.put(to_keep(b"old", key=key, tags=(tag,), mark=mark), b"")
    assert (await look(store, key, tag)).data is None


async def test_nor_where_the_tag_was_not_known_before_the_reply(store: ReplyStore, key: CacheKey, tag: str) -> None:
    mark = (await look(store, key)).mark
    await store.purge(Purge(tags=(tag,)))
    assert not await store.put(to_keep(b"old", key=key, tags=(tag,), mark=mark), b"")
    assert (await look(store, key)).data is None


async def test_a_purge_of_other_tags_is_no_hindrance(store: ReplyStore, key: CacheKey, tag: str) -> None:
    mark = (await look(store, key, tag)).mark
    await store.purge(Purge(tags=(f"{tag}b", "unheard of")))
    assert await store.put(to_keep(key=key, tags=(tag,), mark=mark), b"")
    assert (await look(store, key, tag)).data == b"data"


async def test_a_key_is_purged_with_all_its_names_and_for_those_under_way(store: ReplyStore, key: CacheKey) -> None:
    other = (*key[:4], "other")
    mark = (await look(store, key)).mark
    for each, name in ((key, b"n"), (key, b"m"), (other, b"n")):
        await store.put(to_keep(key=each, name=name, mark=mark), b"")
    await store.purge(Purge(keys=(key,)))
    assert [(await look(store, key, name=name)).data for name in (b"n", b"m")] == [None, None]
    assert (await look(store, other)).data == b"data"
    assert not await store.put(to_keep(b"old", key=key, mark=mark), b"")
    assert await store.put(to_keep(b"new", key=key, mark=(await look(store, key)).mark), b"")
    assert (await look(store, key)).data == b"new"


async def test_everything_is_everything(store: ReplyStore, key: CacheKey, tag: str) -> None:
    mark = (await look(store, key, tag)).mark
    await store.put(to_keep(key=key, tags=(tag,), mark=mark), b"")
    await store.purge(Purge(everything=True))
    assert (await look(store, key, tag)).data is None
    assert not await store.put(to_keep(b"old", key=key, tags=(tag,), mark=mark), b"")


async def test_one_at_a_time_may_fill(store: ReplyStore, key: CacheKey) -> None:
    fills = (await look(store, key)).fills
    assert await store.lease(key, b"n", b"one", 5.0, fills)
    assert not await store.lease(key, b"n", b"two", 5.0, fills)
    assert await store.lease(key, b"m", b"two", 5.0, fills)
    assert (await look(store, key)).lease == b"one"
    await store.release(key, b"n", b"two")
    assert (await look(store, key)).lease == b"one"
    await store.release(key, b"n", b"one")
    assert (await look(store, key)).lease == b""


async def test_a_put_gives_the_lease_back_and_a_stranger_s_does_not(store: ReplyStore, key: CacheKey) -> None:
    found = await look(store, key)
    await store.lease(key, b"n", b"one", 5.0, found.fills)
    await store.put(to_keep(key=key, mark=found.mark), b"two")
    assert (await look(store, key)).lease == b"one"
    await store.put(to_keep(key=key, name=b"m", asked=b"n", mark=found.mark), b"one")
    assert (await look(store, key)).lease == b""


async def test_a_put_that_is_refused_gives_the_lease_back(store: ReplyStore, key: CacheKey, tag: str) -> None:
    found = await look(store, key, tag)
    await store.lease(key, b"n", b"one", 5.0, found.fills)
    await store.purge(Purge(tags=(tag,)))
    assert not await store.put(to_keep(key=key, tags=(tag,), mark=found.mark), b"one")
    assert (await look(store, key)).lease == b""


async def test_who_saw_less_than_there_is_now_has_to_look_again(store: ReplyStore, key: CacheKey) -> None:
    found = await look(store, key)
    await store.put(to_keep(key=key, mark=found.mark), b"")
    assert not await store.lease(key, b"n", b"one", 5.0, found.fills)
    assert await store.lease(key, b"n", b"one", 5.0, (await look(store, key)).fills)


async def test_what_is_not_kept_is_marked_so_for_a_while(store: ReplyStore, key: CacheKey) -> None:
    fills = (await look(store, key)).fills
    await store.lease(key, b"n", b"one", 5.0, fills)
    await store.release(key, b"n", b"one", 60.0)
    assert (await look(store, key)).lease == PASS
    assert not await store.lease(key, b"n", b"two", 5.0, fills)


@pytest.mark.parametrize("tag_text", ["{a}", "a:{b", "x" * 3_000, "ü", "a\nb", " ", "*", "\x00"])
async def test_any_text_is_a_tag(store: ReplyStore, key: CacheKey, tag_text: str) -> None:
    mark = (await look(store, key, tag_text)).mark
    assert await store.put(to_keep(key=key, tags=(tag_text,), mark=mark), b"")
    assert (await look(store, key, tag_text)).data == b"data"
    await store.purge(Purge(tags=(tag_text,)))
    assert (await look(store, key)).data is None


async def test_a_value_for_each_client_does_not_fill_the_store(store: ReplyStore, key: CacheKey) -> None:
    mark = (await look(store, key)).mark
    for number in range(200):
        await store.put(to_keep(b"x" * 1_000, key=key, name=b"%d" % number, mark=mark), b"")
    kept = [number for number in range(200) if (await look(store, key, name=b"%d" % number)).data is not None]
    assert 199 in kept
    assert len(kept) <= 64


async def test_leases_and_replies_end_by_the_clock() -> None:
    clock = Clock()
    store = MemoryReplies(1 << 20, clock)
    key = ("", "http", "h", "/", "")
    found = await look(store, key)
    await store.lease(key, b"n", b"one", 5.0, found.fills)
    await store.put(to_keep(key=key, ttl_s=60.0), b"")
    clock.now_s = 4.9
    assert (await look(store, key)).lease == b"one"
    clock.now_s = 5.0
    assert (await look(store, key)).lease == b""
    assert (await look(store, key)).data == b"data"
    clock.now_s = 60.0
    assert (await look(store, key)).data is None
    assert repr(store) == "<MemoryReplies <S3Fifo 1 entries, 0 of 1048576 bytes>>"


async def test_in_redis_everything_ends_by_itself(shared_redis: RedisServer, key: CacheKey, tag: str) -> None:
    opened = open_client(shared_redis.url)
    store = RedisReplies(RedisLink(opened.client, "the test's store"), is_cluster=False)
    found = await look(store, key, tag)
    await store.lease(key, b"n", b"one", 5.0, found.fills)
    await store.put(to_keep(key=key, tags=(tag,), mark=found.mark), b"")
    await store.purge(Purge(keys=((*key[:4], "purged"),)))
    client = opened.client
    names = await client.eval("return redis.call('KEYS', '*')", 0)
    ends = {
        name: await client.eval("return redis.call('TTL', KEYS[1])", 1, name) for name in names if name != b"cache:mark"
    }
    assert len(ends) >= 4
    assert [name for name, end_s in ends.items() if not 0 <= end_s <= 8 * 86_400] == []
    await store.close()


async def test_a_tag_that_redis_has_forgotten_counts_as_purged(
    shared_redis: RedisServer, key: CacheKey, tag: str
) -> None:
    opened = open_client(shared_redis.url)
    store = RedisReplies(RedisLink(opened.client, "the test's store"), is_cluster=False)
    await store.put(to_keep(key=key, tags=(tag,), mark=(await look(store, key, tag)).mark), b"")
    await store.purge(Purge(tags=(tag,)))
    for forgotten in (f"cache:tag:{tag}", "cache:mark"):
        await opened.client.eval("return redis.call('DEL', KEYS[1])", 1, forgotten)
        assert (await look(store, key)).data is None
        assert (await look(store, key, tag)).data is None
    mark = (await look(store, key, tag)).mark
    assert await store.put(to_keep(b"new", key=key, tags=(tag,), mark=mark), b"")
    assert (await look(store, key, tag)).data == b"new"
    await store.close()
