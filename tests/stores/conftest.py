import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.stores.redis import RedisLimits, open_store
from gateway.stores.redis_pulse import pulse
from tests.stores.redis_server import RedisServer


@pytest.fixture(params=["redis", "cluster"])
def shared_url(request: pytest.FixtureRequest) -> str:
    """Of a store for the tests that leave it alone: of one server, and of a cluster."""
    url: str = request.getfixturevalue("shared_redis" if request.param == "redis" else "shared_cluster").url
    return url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that a test may kill or freeze; not started."""
    server = RedisServer()
    yield server
    server.kill()


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., RedisLimits]]:
    """`open_store`, with stores that find out by themselves when theirs is back, and are closed with the test."""
    stores: list[RedisLimits] = []

    def open_one(*args: object, **options: object) -> RedisLimits:
        stores.append(open_store(*args, **options))  # type: ignore[arg-type]
        stores[-1].start([pulse])
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


_numbers = itertools.count()


@pytest.fixture
def key() -> str:
    """A key that no other test has used."""
    return f"route:test:tenant:{next(_numbers)}"
