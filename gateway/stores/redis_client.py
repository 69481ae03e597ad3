"""The connection to Redis behind any store URL: one server, TLS, sentinels, a cluster. Connects at the first command.

The deadlines and the breaker of a call are its store's own; what is here only keeps redis-py from adding to them:
nothing is sent twice, and no socket is waited for much longer than a store would wait.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from gateway.core.store_url import StoreUrl, parse_store_url

SOCKET_TIMEOUT_S = 0.1
# Over TLS and a long way a connection takes more round trips than a call. The calls that wait for it end at their own
# deadline, and a later one finds the connection made.
CONNECT_TIMEOUT_S = 1.0


class Client(Protocol):
    """What stores need of `redis.asyncio.Redis` or `RedisCluster`."""

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """Run the script; the server keeps it."""

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """Run a script that the server has. Raises NoScriptError."""

    async def aclose(self) -> None:
        """Close all connections."""


@dataclass(frozen=True)
class Opened:
    """find_server: host and port of the server; None for a cluster, where the keys of one call have to be in one
    slot.
    """

    client: Client
    find_server: Callable[[], Awaitable[tuple[str, int]]] | None = None

    @property
    def is_cluster(self) -> bool:
        """Whether there are slots."""
        return self.find_server is None


def open_client(url: str, socket_timeout_s: float | None = None) -> Opened:
    """The client of a store URL, except `memory://`. Raises ValueError, which never shows the URL.

    socket_timeout_s: how long a reply is waited for, if not SOCKET_TIMEOUT_S.
    """
    store = parse_store_url(url)
    if store.kind == "memory":
        raise ValueError("memory:// is no Redis")
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_S if socket_timeout_s is None else socket_timeout_s,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        # Retries would break the deadline; what a breaker answers is better than what a second try would.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    login: dict[str, Any] = {"username": store.username, "password": store.password}
    if store.kind == "cluster":
        return Opened(cast(Client, _open_cluster(store, {**login, **options})))
    if store.kind == "sentinel":
        # The login is for Redis itself: sentinels that ask for one of their own are not supported.
        sentinel = Sentinel(list(store.hosts), sentinel_kwargs=dict(options), **options)  # type: ignore[no-untyped-call]
        master = sentinel.master_for(store.master, _Master, db=store.database, **login)
        sentinels = cast(SentinelConnectionPool, master.connection_pool)
        return Opened(cast(Client, master), sentinels.get_master_address)
    host, port = store.hosts[0]

    async def find_server() -> tuple[str, int]:
        return host, port

    tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": store.ca_file} if store.is_tls else {}
    return Opened(cast(Client, Redis(host=host, port=port, db=store.database, **login, **tls, **options)), find_server)


class _Master(Redis):
    """The server that sentinels call the master, asked for at each connection."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        pool = cast(SentinelConnectionPool, self.connection_pool)
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _open_cluster(store: StoreUrl, options: dict[str, Any]) -> RedisCluster:
    """Found through any node of the URL, and used as far as it goes: a slot without a node fails alone."""
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in store.hosts],
        require_full_coverage=False,
        # At every fifth redirection redis-py closes all connections, those with calls under way too, to learn the slots
        # anew. Moving the one slot that it was told of is enough, and several first calls are redirected anyhow.
        reinitialize_steps=0,
        **options,
    )
