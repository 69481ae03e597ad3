import itertools
from collections.abc import Iterator

import pytest

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


_numbers = itertools.count()


@pytest.fixture
def key() -> str:
    """A key that no other test has used."""
    return f"route:test:tenant:{next(_numbers)}"
