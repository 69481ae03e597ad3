"""What holds of every `ClaimStore`."""

import asyncio
import os

from gateway.plugin_api import ClaimStore


def new_key() -> str:
    return os.urandom(8).hex()


async def assert_the_first_has_it(store: ClaimStore) -> None:
    key = new_key()
    assert await store.claim(key, b"mine", 60) is None
    assert await store.claim(key, b"yours", 60) == b"mine"
    assert await store.claim(new_key(), b"yours", 60) is None


async def assert_of_many_at_once_one_has_it(store: ClaimStore, others: ClaimStore) -> None:
    key = new_key()
    found = await asyncio.gather(*((store, others)[n % 2].claim(key, b"%d" % n, 60) for n in range(50)))
    (winner,) = [n for n, value in enumerate(found) if value is None]
    assert set(found) == {None, b"%d" % winner}


async def assert_only_its_owner_replaces_it(store: ClaimStore) -> None:
    key = new_key()
    await store.claim(key, b"mine", 60)
    assert not await store.replace(key, b"yours", b"new", 60)
    assert not await store.replace(key, b"yours", b"", 60)
    assert await store.replace(key, b"mine", b"new\0\xff", 60)
    assert await store.claim(key, b"again", 60) == b"new\0\xff"
    assert not await store.replace(key, b"mine", b"late", 60)
    assert not await store.replace(new_key(), b"mine", b"late", 60)


async def assert_a_freed_key_is_anybodys(store: ClaimStore) -> None:
    key = new_key()
    await store.claim(key, b"mine", 60)
    assert await store.replace(key, b"mine", b"", 60)
    assert await store.claim(key, b"yours", 60) is None
