"""Script calls over one connection: each gets its own reply, whatever becomes of the server, and none is sent twice."""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hiredis import ProtocolError, ReplyError
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.core.store_url import StoreUrl, parse_store_url
from gateway.stores.redis_link import Script
from gateway.stores.redis_pipe import PipeConnection, RedisPipe
from tests.stores.redis_server import RedisServer, free_port
from tests.stores.tls_proxy import tls_before

# Longer than a busy machine takes for anything here.
PATIENCE_S = 20.0


class Text(Script):
    """A script that is in no file."""

    def __init__(self, text: str) -> None:
        self.text = text  # type: ignore[misc]
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # type: ignore[misc]


ECHO = Text("return {KEYS[1], ARGV[1]}")
COUNT = Text("local count = redis.call('INCR', KEYS[1]); redis.call('EXPIRE', KEYS[1], 60); return count")
FAIL = Text("return redis.error_reply('OOPS it is wrong')")

Maker = Callable[..., RedisPipe]


@pytest.fixture
async def make() -> AsyncIterator[Maker]:
    """A pipe to a URL of one server, or to what `find_server` finds; closed with the test."""
    pipes: list[RedisPipe] = []

    def make_one(
        url: str, late_s: float = PATIENCE_S, find_server: Callable[[], Awaitable[tuple[str, int]]] | None = None
    ) -> RedisPipe:
        store = parse_store_url(url)

        async def find() -> tuple[str, int]:
            return store.hosts[0]

        pipes.append(RedisPipe(store, find_server or find, late_s))
        return pipes[-1]

    yield make_one
    for pipe in pipes:
        await pipe.aclose()


class ScriptedServer(asyncio.Protocol):
    """Answers the n-th piece that comes, on whichever connection, with the n-th reply. came: all pieces."""

    def __init__(self, replies: list[bytes]) -> None:
        self.came: list[bytes] = []
        self.first = asyncio.Event()
        self._replies = iter(replies)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its URL."""
        transports: list[asyncio.Transport] = []

        class Served(asyncio.Protocol):
            def connection_made(served, transport: asyncio.BaseTransport) -> None:  # noqa: N805
                assert isinstance(transport, asyncio.Transport)
                transports.append(transport)

            def data_received(served, data: bytes) -> None:  # noqa: N805
                self.came.append(data)
                self.first.set()
                transports[-1].write(next(self._replies, b""))

        server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0)
        async with server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
            for transport in transports:
                transport.abort()


class NoTransport(asyncio.Transport):
    """Swallows all."""

    def write(self, data: object) -> None: ...

    def abort(self) -> None: ...


async def test_many_at_once_get_their_own_replies(shared_redis: RedisServer, make: Maker) -> None:
    pipe = make(shared_redis.url)
    replies = await asyncio.gather(*(pipe.run(ECHO, [f"k{n}"], [n]) for n in range(200)))
    assert replies == [[b"k%d" % n, b"%d" % n] for n in range(200)]
    async with Redis.from_url(shared_redis.url) as admin:
        clients = [client for client in await admin.client_list() if client["cmd"] in ("eval", "evalsha")]
    assert len(clients) == 1


async def test_a_script_that_the_server_lacks_is_sent_and_run_once(
    shared_redis: RedisServer, make: Maker, key: str
) -> None:
    async with Redis.from_url(shared_redis.url) as admin:
        await admin.script_flush()
    pipe = make(shared_redis.url)
    assert [await pipe.run(COUNT, [key], []) for _ in range(3)] == [1, 2, 3]


async def test_an_error_of_one_call_is_not_that_of_the_next(shared_redis: RedisServer, make: Maker) -> None:
    pipe = make(shared_redis.url)
    failed, fine = await asyncio.gather(pipe.run(FAIL, [], []), pipe.run(ECHO, ["a"], ["b"]), return_exceptions=True)
    assert isinstance(failed, ReplyError)
    assert str(failed) == "OOPS it is wrong"
    assert fine == [b"a", b"b"]


async def test_a_call_that_was_given_up_leaves_its_reply_to_nobody(shared_redis: RedisServer, make: Maker) -> None:
    pipe = make(shared_redis.url)
    await pipe.run(ECHO, ["a"], ["0"])
    given_up = asyncio.ensure_future(pipe.run(ECHO, ["a"], ["1"]))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await pipe.run(ECHO, ["a"], ["2"]) == [b"a", b"2"]


async def test_login_and_database_of_the_url(own_redis: RedisServer, make: Maker, key: str) -> None:
    own_redis.start()
    async with Redis.from_url(own_redis.url) as admin:
        await admin.acl_setuser("limits", enabled=True, passwords=["+pass word"], keys=["*"], commands=["+@all"])
    url = f"redis://limits:pass%20word@127.0.0.1:{own_redis.port}/3"
    assert await make(url).run(COUNT, [key], []) == 1
    async with Redis.from_url(own_redis.url.replace("/0", "/3")) as admin:
        assert await admin.get(key) == b"1"
    with pytest.raises(ReplyError, match="WRONGPASS"):
        await make(url.replace("word", "wrong")).run(COUNT, [key], [])


async def test_over_tls_by_the_authority_of_the_url_alone(shared_redis: RedisServer, make: Maker, key: str) -> None:
    async with tls_before(shared_redis.port) as (port, ca_file):
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ca_file}"
        assert await make(url).run(COUNT, [key], []) == 1
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await make(f"rediss://127.0.0.1:{port}/0").run(COUNT, [key], [])
    async with tls_before(shared_redis.port, address="192.0.2.1") as (port, ca_file):
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await make(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ca_file}").run(COUNT, [key], [])


async def test_a_server_that_dies_fails_what_is_due_and_is_found_again(own_redis: RedisServer, make: Maker) -> None:
    own_redis.start()
    pipe = make(own_redis.url)
    await pipe.run(ECHO, ["a"], ["b"])
    own_redis.freeze()
    due = [asyncio.ensure_future(pipe.run(ECHO, ["a"], [n])) for n in range(3)]
    await asyncio.sleep(0)
    own_redis.kill()
    results = await asyncio.gather(*due, return_exceptions=True)
    assert all(isinstance(result, OSError) for result in results), results
    with pytest.raises(OSError, match="Connect call failed"):
        await pipe.run(ECHO, ["a"], ["b"])
    own_redis.start()
    assert await pipe.run(ECHO, ["a"], ["b"]) == [b"a", b"b"]


async def test_a_frozen_server_is_left_and_its_late_replies_are_nobodys(own_redis: RedisServer, make: Maker) -> None:
    own_redis.start()
    pipe = make(own_redis.url, late_s=0.2)
    await pipe.run(ECHO, ["a"], ["first"])
    own_redis.freeze()
    with pytest.raises(TimeoutError, match="no reply"):
        await pipe.run(ECHO, ["a"], ["late"])
    own_redis.thaw()
    assert await pipe.run(ECHO, ["a"], ["next"]) == [b"a", b"next"]


@given(st.lists(st.integers(0, 99_999), min_size=1), st.lists(st.integers(0, 400)))
def test_replies_in_any_pieces(numbers: list[int], cuts: list[int]) -> None:
    said = b"".join(b"*2\r\n:%d\r\n$%d\r\n%s\r\n" % (n, n % 50, b"x" * (n % 50)) for n in numbers)
    edges = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]

    async def hear() -> list[object]:
        connection = PipeConnection(asyncio.get_running_loop(), PATIENCE_S)
        connection.connection_made(NoTransport())
        due = [connection.send(("PING",)) for _ in numbers]
        for begin, end in itertools.pairwise(edges):
            connection.data_received(said[begin:end])
        heard = [future.result() for future in due]
        connection.close()
        return heard

    assert asyncio.run(hear()) == [[n, b"x" * (n % 50)] for n in numbers]


@pytest.mark.parametrize(
    ("said", "error"),
    [(b"what?\r\n", ProtocolError), (b":1\r\n:2\r\n", None)],
    ids=["no protocol", "a reply too many"],
)
async def test_a_server_that_is_no_redis_is_left(said: bytes, error: type[Exception] | None, make: Maker) -> None:
    server = ScriptedServer([said, b":5\r\n"])
    async with server.listening() as url:
        pipe = make(url)
        if error is not None:
            with pytest.raises(error):
                await pipe.run(COUNT, ["a"], [])
        else:
            assert await pipe.run(COUNT, ["a"], []) == 1
        assert repr(pipe) == "<RedisPipe closed>"
        assert await pipe.run(COUNT, ["a"], []) == 5
        assert len(server.came) == 2


async def test_a_master_that_is_one_no_more_is_asked_for_anew(
    own_redis: RedisServer, shared_redis: RedisServer, make: Maker, key: str
) -> None:
    own_redis.start()
    servers = iter([own_redis.port, shared_redis.port])

    async def find_server() -> tuple[str, int]:
        return "127.0.0.1", next(servers)

    pipe = make(own_redis.url, find_server=find_server)
    assert await pipe.run(COUNT, [key], []) == 1
    async with Redis.from_url(own_redis.url) as admin:
        await admin.replicaof("127.0.0.1", str(free_port()))
    with pytest.raises(ReplyError, match="READONLY"):
        await pipe.run(COUNT, [key], [])
    assert await pipe.run(COUNT, [key], []) == 1, "of the other server"


async def test_a_connection_is_made_once_for_all_who_wait_even_if_they_go(make: Maker) -> None:
    asked = 0
    may_go = asyncio.Event()

    async def find_server() -> tuple[str, int]:
        nonlocal asked
        asked += 1
        await may_go.wait()
        return parse_store_url(url).hosts[0]

    async with ScriptedServer([b":1\r\n"]).listening() as url:
        pipe = make("redis://nowhere/0", find_server=find_server)
        gone, stays = (asyncio.ensure_future(pipe.run(COUNT, ["a"], [])) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        may_go.set()
        assert await stays == 1
        assert asked == 1


async def test_closed_while_connecting_and_while_waiting(make: Maker) -> None:
    async def find_server() -> tuple[str, int]:
        await asyncio.Event().wait()
        raise AssertionError

    connecting = make("redis://nowhere/0", find_server=find_server)
    call = asyncio.ensure_future(connecting.run(COUNT, ["a"], []))
    await asyncio.sleep(0)
    await connecting.aclose()
    with pytest.raises(asyncio.CancelledError):
        await call
    server = ScriptedServer([])
    async with server.listening() as url:
        waiting = make(url)
        call = asyncio.ensure_future(waiting.run(COUNT, ["a"], []))
        await server.first.wait()
        await waiting.aclose()
        with pytest.raises(ConnectionResetError):
            await call


async def test_the_password_is_in_no_repr(make: Maker) -> None:
    assert "s3cret" not in repr(make("redis://:s3cret@127.0.0.1/0"))
    assert "s3cret" not in repr(StoreUrl("single", password="s3cret"))
