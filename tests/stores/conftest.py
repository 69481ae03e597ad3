import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.stores.redis import RedisLimits, open_store
from tests.stores.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for the tests that leave it alone."""
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that a test may kill or freeze; not started."""
    server = RedisServer()
    yield server
    server.kill()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., RedisLimits]]:
    """`open_store`, with every store closed at the end of the test."""
    stores: list[RedisLimits] = []

    def open_one(*args: object, **options: object) -> RedisLimits:
        stores.append(open_store(*args, **options))  # type: ignore[arg-type]
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


_numbers = itertools.count()


@pytest.fixture
def key() -> str:
    """A key that no other test has used."""
    return f"route:test:tenant:{next(_numbers)}"
