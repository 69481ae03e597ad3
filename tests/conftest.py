"""For every test: Hypothesis judges results, not how fast this machine is at the moment; and servers to share."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.stores.redis_cluster import RedisClusterServers
from tests.stores.redis_server import RedisServer

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for the tests that leave it alone."""
    server = RedisServer()
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[RedisClusterServers]:
    """One cluster of three masters for the tests that leave it alone."""
    cluster = RedisClusterServers()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
