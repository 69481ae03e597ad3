"""Hazard: what is asked for ahead costs clients their limits, crowds them out, or never ends."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.plugin_api import Exchange, Reply
from plugins import cache_warming
from plugins.cache_warming import AT_ONCE, WAITING_MAX, Seen, Warming, WarmSettings
from tests.plugins.lent_services import LentServices


class Services(LentServices):
    """Dispatches until `hold` is cleared."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Exchange] = []
        self.running = self.most = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Any) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def dispatch(self, exchange: Exchange) -> Reply:
        self.asked.append(exchange)
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go_on.wait()
        self.running -= 1
        return Reply(200)

    @property
    def targets(self) -> list[str]:
        return [exchange.target for exchange in self.asked]


@pytest.fixture(autouse=True)
def _loop_is_never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine does: a loop that is late rests, and the test would not find what it waits for."""
    monkeypatch.setattr(cache_warming, "LATE_S", math.inf)


@pytest.fixture
async def services() -> Any:
    made = Services()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def of(tenant: str | None, **fields: str) -> Exchange:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    exchange = Exchange(method="GET", target="/x", headers=Headers(lines), authority="api.example", request_id="r1")
    if tenant is not None:
        exchange.identity = Identity(
            tenant=tenant, user="u", plan=None, scopes=frozenset(), claims={}, credential="jwt:m"
        )
    return exchange


def warming(services: Services, *paths: str, is_public: bool = False, **more: Any) -> Warming:
    made = Warming(services, Seen())  # type: ignore[arg-type]
    made.add(WarmSettings(paths=paths or ("/a", "/b"), **more), is_public=is_public)
    return made


async def test_a_tenant_that_comes_back_finds_it_warm(services: Services) -> None:
    made = warming(services)
    sent = of("acme", authorization="Bearer t", accept_encoding="br", if_none_match='"1"', range="bytes=0-1")
    made.see(sent)
    await settled()
    assert services.targets == ["/a", "/b"]
    asked = services.asked[0]
    assert asked.is_background
    assert (asked.method, asked.authority, asked.body) == ("GET", "api.example", b"")
    # As this caller, but the whole of it.
    assert [name for name, _ in asked.headers] == [b"authorization", b"accept-encoding"]


async def test_while_it_is_there_it_is_not_asked_again(services: Services) -> None:
    made = warming(services, "/a")
    for seconds in (0, 0.5, 100, 899, 800):
        services.now_s += seconds
        made.see(of("acme"))
        await settled()
    assert services.targets == ["/a"]
    services.now_s += 900
    made.see(of("acme"))
    await settled()
    assert services.targets == ["/a", "/a"]
    made.see(of("other"))
    await settled()
    assert len(services.asked) == 3


async def test_nobody_and_what_is_asked_ahead_itself_warm_nothing(services: Services) -> None:
    made = warming(services)
    made.see(of(None))
    ahead = of("acme")
    ahead.is_background = True
    made.see(ahead)
    await settled()
    assert services.asked == []


async def test_few_at_once_and_no_more_than_some_wait(services: Services) -> None:
    made = warming(services, *(f"/{number}" for number in range(50)))
    services.go_on.clear()
    for number in range(20):
        made.see(of(f"t{number}"))
    await settled()
    assert services.running == AT_ONCE
    services.go_on.set()
    while services.running or made._waiting:
        await settled()
    await settled()
    assert services.most == AT_ONCE
    assert len(services.asked) <= WAITING_MAX + AT_ONCE
    assert repr(made).endswith("0 waiting, 0 running>")


async def test_clients_go_first(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    rested = asyncio.Event()

    async def rest(seconds: float, real: Callable[..., Any] = asyncio.sleep) -> None:
        if seconds == cache_warming.BREATHER_S:
            rested.set()
            monkeypatch.setattr(cache_warming, "LATE_S", 5.0)
        await real(0)

    # However quick the loop is, it counts as late, until it has rested once.
    monkeypatch.setattr(cache_warming, "LATE_S", -1.0)
    monkeypatch.setattr(asyncio, "sleep", rest)
    warming(services, "/a").see(of("acme"))
    await rested.wait()
    assert services.asked == []
    await settled()
    assert services.targets == ["/a"]


async def test_every_so_often_for_the_tenants_that_are_there(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(seconds: float, real: Callable[..., Any] = asyncio.sleep) -> None:
        if seconds == 600.0:
            await ticks.get()
        else:
            await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    made = Warming(services, Seen())  # type: ignore[arg-type]
    made.add(WarmSettings.model_validate({"paths": ["/a"], "every": "10m"}), is_public=False)
    made.see(of("acme"))
    await settled()
    services.now_s += 600
    ticks.put_nowait(None)
    await settled()
    assert services.targets == ["/a", "/a"]
    # Away for a quarter of an hour: it is asked for again when the tenant is back.
    services.now_s += 600
    ticks.put_nowait(None)
    await settled()
    assert len(services.asked) == 2


async def test_for_all_it_is_asked_as_nobody_for_each_host(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(seconds: float, real: Callable[..., Any] = asyncio.sleep) -> None:
        if seconds == 600.0:
            await ticks.get()
        else:
            await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    made = Warming(services, Seen())  # type: ignore[arg-type]
    made.add(WarmSettings.model_validate({"paths": ["/a"], "every": "10m"}), is_public=True)
    made.see(of("acme", authorization="Bearer t", cookie="c", accept="*/*"))
    await settled()
    assert services.asked == []
    ticks.put_nowait(None)
    await settled()
    assert services.targets == ["/a"]
    assert services.asked[0].headers.lines == [(b"accept", b"*/*")]
    assert services.asked[0].authority == "api.example"


async def test_after_a_change_of_the_table_nobody_has_come_back_and_the_old_one_asks_no_more(
    services: Services,
) -> None:
    seen = Seen()
    old = Warming(services, seen)  # type: ignore[arg-type]
    old.add(WarmSettings(paths=("/a",)), is_public=False)
    request = of("acme")
    request.compiled = object()
    old.see(request)
    await settled()
    assert services.targets == ["/a"]
    new = Warming(services, seen)  # type: ignore[arg-type]
    new.add(WarmSettings(paths=("/a",)), is_public=False)
    services.now_s += 2
    new.see(of("acme"))
    await settled()
    assert services.targets == ["/a"]
    # What is remembered would else keep the old table from being forgotten.
    assert [exchange.compiled for _, exchange in seen.tenants.values()] == [None]
    assert repr(seen) == "<Seen 1 tenants, 1 hosts>"


@pytest.mark.parametrize("is_in_force", [True, False])
async def test_only_the_table_in_force_asks_every_so_often(
    services: Services, monkeypatch: pytest.MonkeyPatch, is_in_force: bool
) -> None:
    rounds = 0

    async def rest(seconds: float, real: Callable[..., Any] = asyncio.sleep) -> None:
        nonlocal rounds
        if seconds == 60.0:
            rounds += 1
            if rounds > 3:
                await asyncio.Event().wait()
        await real(0)

    services.in_force = is_in_force
    monkeypatch.setattr(asyncio, "sleep", rest)
    made = warming(services, "/a", every="60s")
    made.see(of("acme"))
    while rounds < 4:
        await rest(0)
    await settled()
    # Once because it came, and then with each round.
    assert (len(services.asked) > 1) == is_in_force
