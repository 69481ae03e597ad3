import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import GatewayError
from gateway.core.identity import Identity
from gateway.core.rate_limit import Decision, Window, WindowState
from gateway.plugin_api import LIMITS_REPORT, Exchange, PolicyError, Reply, StoreDown
from gateway.stores.memory import MemoryLimits
from plugins.limit import Limit
from plugins.respond import Respond
from tests.plugins.lent_services import ROUTE, LentServices, build, exchange_of

PLANS = {"free": {"limits": ["60/min", "1000/h"]}, "pro": {"limits": ["500/min", "50000/h"]}}


def exchange_by(tenant: str | None = "t1", client_ip: str = "192.0.2.7", **more: Any) -> Exchange:
    exchange = exchange_of(client_ip=client_ip)
    described = {"user": None, "plan": "free", "scopes": frozenset(), "claims": {}, "credential": "jwt:main", **more}
    exchange.identity = Identity(tenant=tenant, **described)
    return exchange


def lines_of(plugin: Any, exchange: Exchange) -> dict[bytes, bytes]:
    exchange.reply = Reply(200)
    plugin.on_response(exchange)
    return dict(exchange.reply.headers)


class RecordingStore:
    """keys: what was asked. Answers at once by `decision`, raises, or answers later."""

    def __init__(self, *, is_down: bool = False, is_late: bool = False) -> None:
        self.keys: list[tuple[str, tuple[Window, ...], int]] = []
        self._is_down, self._is_late = is_down, is_late

    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> "Decision | asyncio.Future[Decision]":
        self.keys.append((key, windows, cost))
        if not self._is_late:
            return self._answer()
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._resolve, future)
        return future

    def _resolve(self, future: asyncio.Future[Decision]) -> None:
        try:
            future.set_result(self._answer())
        except StoreDown as error:
            future.set_exception(error)

    def _answer(self) -> Decision:
        if self._is_down:
            raise StoreDown
        return Decision(True, ())


def key_asked(policy: Any, exchange: Exchange) -> str:
    services = LentServices(PLANS)
    services.limits = store = RecordingStore()
    build(Limit, policy, services).on_request(exchange)
    return store.keys[0][0]


class TestThePlan:
    def test_sixty_of_sixty_one_pass_over_all_routes_together(self) -> None:
        services = LentServices(PLANS)
        first = build(Limit, {"plan": True}, services)
        second = build(Limit, {"plan": True}, services, replace(ROUTE, id="finance"))
        for number in range(60):
            (first, second)[number % 2].on_request(exchange_by())
        with pytest.raises(GatewayError) as caught:
            first.on_request(exchange_by())
        assert caught.value.kind.code == "rate_limited"
        assert caught.value.detail == "The limit is 60 a minute and 1000 a hour: try again in 1 s."
        assert dict(caught.value.headers) == {
            b"retry-after": b"1",
            b"ratelimit-policy": b'"60-min";q=60;w=60, "1000-h";q=1000;w=3600',
            b"ratelimit": b'"60-min";r=0;t=60, "1000-h";r=940;t=216',
        }
        second.on_request(exchange_by("t2"))

    def test_windows_are_the_plans_own(self) -> None:
        plugin = build(Limit, {"plan": True}, LentServices(PLANS))
        exchange = exchange_by(plan="pro")
        plugin.on_request(exchange)
        assert lines_of(plugin, exchange)[b"ratelimit"] == b'"500-min";r=499;t=1, "50000-h";r=49999;t=1'

    def test_an_unknown_plan_gets_the_default_and_is_counted(self) -> None:
        services = LentServices(PLANS)
        plugin = build(Limit, {"plan": True}, services)
        for plan in ("gold", None):
            exchange = exchange_by(plan=plan)
            plugin.on_request(exchange)
        assert lines_of(plugin, exchange)[b"ratelimit"].startswith(b'"60-min";r=58')
        assert services.metrics.counts["gateway_limit_unknown_plan", "crm"] == 1

    def test_without_the_default_plan_it_is_an_error_at_load(self) -> None:
        for section in (None, {"pro": PLANS["pro"]}):
            with pytest.raises(PolicyError, match="the plan free is missing"):
                build(Limit, {"plan": True}, LentServices(section))

    def test_a_plan_by_route_is_an_error_at_load(self) -> None:
        with pytest.raises(PolicyError, match="a plan is a caller's"):
            build(Limit, {"plan": True, "by": "route"}, LentServices(PLANS))


class TestWhoIsCounted:
    known = {"user": "u1", "credential": "api_key:machines", "key": "ci"}

    @pytest.mark.parametrize(
        ("policy", "key"),
        [
            ({"plan": True}, "plan:tenant:t1"),
            ({"plan": True, "by": "user"}, "plan:user:t1\tu1"),
            ({"plan": True, "by": "key"}, "plan:key:api_key:machines\tci"),
            ({"plan": True, "by": "ip"}, "plan:ip:192.0.2.7"),
            ("10/s", "route:crm:tenant:t1"),
            ({"rate": "10/s", "by": "route"}, "route:crm:route:crm"),
            ({"rate": "10/s", "by": "ip"}, "route:crm:ip:192.0.2.7"),
        ],
    )
    def test_keys_say_what_they_are_for(self, policy: Any, key: str) -> None:
        assert key_asked(policy, exchange_by(**self.known)) == key

    @pytest.mark.parametrize("by", ["user", "key"])
    def test_who_is_not_what_is_counted_counts_by_tenant_and_then_by_address(self, by: str) -> None:
        policy = {"rate": "10/s", "by": by}
        assert key_asked(policy, exchange_by()) == "route:crm:tenant:t1"
        assert key_asked(policy, exchange_by(tenant=None)) == "route:crm:ip:192.0.2.7"
        assert key_asked(policy, exchange_of()) == "route:crm:ip:192.0.2.7"

    @pytest.mark.parametrize(
        ("client_ip", "key"),
        [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("::ffff:192.0.2.9", "192.0.2.9"),
            ("", ""),
            ("unix:", "unix:"),
        ],
    )
    def test_addresses_of_one_household_are_one(self, client_ip: str, key: str) -> None:
        assert key_asked({"rate": "10/s", "by": "ip"}, exchange_of(client_ip=client_ip)) == f"route:crm:ip:{key}"


class TestReplies:
    def test_every_reply_says_how_things_stand(self) -> None:
        services = LentServices()
        plugin = build(Limit, "60/min", services)
        exchange = exchange_of()
        assert plugin.on_request(exchange) is None
        assert exchange.verdicts == {"limit": "passed"}
        assert lines_of(plugin, exchange) == {
            b"ratelimit-policy": b'"60-min";q=60;w=60',
            b"ratelimit": b'"60-min";r=59;t=1',
        }
        assert services.metrics.counts == {("gateway_limit_verdicts", "crm", "passed"): 1}

    @pytest.mark.parametrize(
        ("rate", "name", "seconds"), [("2/s", "2-s", 1), ("1/h", "1-h", 3600), ("1/d", "1-d", 86400)]
    )
    def test_windows_are_named_as_they_are_written(self, rate: str, name: str, seconds: int) -> None:
        plugin = build(Limit, rate)
        exchange = exchange_of()
        plugin.on_request(exchange)
        limit = rate.partition("/")[0]
        assert lines_of(plugin, exchange)[b"ratelimit-policy"].decode() == f'"{name}";q={limit};w={seconds}'

    def test_a_refusal_says_when_in_whole_seconds_rounded_up(self) -> None:
        services = LentServices()
        plugin = build(Limit, {"rates": ["7/min", "100/h"]}, services)
        for _ in range(7):
            plugin.on_request(exchange_of())
        services.now_s += 0.5
        exchange = exchange_of()
        with pytest.raises(GatewayError) as caught:
            plugin.on_request(exchange)
        assert dict(caught.value.headers)[b"retry-after"] == b"9"  # 8.07 s
        assert exchange.verdicts == {"limit": "limited"}
        assert lines_of(plugin, exchange) == {}  # the error carries them

    def test_cost_is_taken_at_once_or_not_at_all(self) -> None:
        plugin = build(Limit, {"rate": "10/min", "cost": 4})
        plugin.on_request(exchange_of())
        plugin.on_request(exchange_of())
        with pytest.raises(GatewayError):
            plugin.on_request(exchange_of())


class TestWithoutTheStore:
    @pytest.fixture(params=["at once", "later"])
    def services(self, request: pytest.FixtureRequest) -> LentServices:
        services = LentServices()
        services.limits = RecordingStore(is_down=True, is_late=request.param == "later")
        return services

    async def ask(self, plugin: Any, exchange: Exchange) -> None:
        result = plugin.on_request(exchange)
        if result is not None:
            await result

    async def test_local_counts_this_workers_share(self, services: LentServices) -> None:
        plugin = build(Limit, {"rate": "20/min"}, services)
        for _ in range(5):  # 20 over four workers
            await self.ask(plugin, exchange := exchange_of())
        assert exchange.verdicts == {"limit": "passed_local"}
        assert lines_of(plugin, exchange) == {
            b"ratelimit-policy": b'"20-min";q=20;w=60;degraded',
            b"ratelimit": b'"20-min";r=0;t=60',
        }
        with pytest.raises(GatewayError, match="rate_limited") as caught:
            await self.ask(plugin, exchange)
        assert dict(caught.value.headers)[b"ratelimit-policy"].endswith(b";degraded")
        assert exchange.verdicts == {"limit": "limited_local"}

    async def test_the_share_is_one_at_least(self, services: LentServices) -> None:
        await self.ask(build(Limit, "1/min", services), exchange_of())

    async def test_open_lets_all_pass_and_says_nothing(self, services: LentServices) -> None:
        plugin = build(Limit, {"rate": "1/min", "on_store_down": "open"}, services)
        for _ in range(3):
            await self.ask(plugin, exchange := exchange_of())
        assert exchange.verdicts == {"limit": "unchecked"}
        assert lines_of(plugin, exchange) == {}

    async def test_closed_is_503(self, services: LentServices) -> None:
        plugin = build(Limit, {"rate": "1/min", "on_store_down": "closed"}, services)
        with pytest.raises(GatewayError, match="limit_store_down") as caught:
            await self.ask(plugin, exchange_of())
        assert caught.value.headers == ((b"retry-after", b"1"),)
        assert services.metrics.counts["gateway_limit_verdicts", "crm", "store_down"] == 1


async def test_an_answer_that_comes_later_is_the_same() -> None:
    services = LentServices()
    plain = build(Limit, "1/min", services)
    plain_store = MemoryLimits(services.now_ms)

    class Later:
        def take(self, *args: Any) -> "asyncio.Future[Decision]":
            async def answer() -> Decision:
                decision = plain_store.take(*args)
                assert isinstance(decision, Decision)
                return decision

            return asyncio.ensure_future(answer())

    services.limits = Later()
    later = build(Limit, "1/min", services)
    first, second = exchange_of(), exchange_of()
    plain.on_request(first)
    await later.on_request(second)
    assert lines_of(plain, first) == lines_of(later, second)
    with pytest.raises(GatewayError, match="rate_limited"):
        await later.on_request(exchange_of())


class TestShadow:
    """`mode: shadow` counts and logs, and is not to be noticed."""

    async def test_it_refuses_nothing_and_says_nothing_to_the_client(self) -> None:
        services = LentServices()
        plugin = build(Limit, {"rate": "1/min", "mode": "shadow"}, services)
        for verdict in ("shadow_passed", "shadow_limited", "shadow_limited"):
            exchange = exchange_of()
            assert plugin.on_request(exchange) is None
            assert exchange.verdicts == {"limit": verdict}
            assert lines_of(plugin, exchange) == {}
        assert services.metrics.counts["gateway_limit_verdicts", "crm", "shadow_limited"] == 2

    async def test_it_takes_the_tokens_that_the_policy_would(self) -> None:
        services = LentServices()
        build(Limit, {"rate": "3/min", "cost": 2, "mode": "shadow"}, services).on_request(exchange_of())
        with pytest.raises(GatewayError, match="rate_limited"):
            build(Limit, {"rate": "3/min", "cost": 2}, services).on_request(exchange_of())

    @pytest.mark.parametrize("on_store_down", ["local", "open", "closed"])
    async def test_nor_without_the_store(self, on_store_down: str) -> None:
        services = LentServices()
        services.limits = RecordingStore(is_down=True)
        plugin = build(Limit, {"rate": "4/min", "mode": "shadow", "on_store_down": on_store_down}, services)
        for _ in range(3):
            plugin.on_request(exchange := exchange_of())
        expected = {"local": "shadow_limited", "open": "unchecked", "closed": "store_down"}[on_store_down]
        assert exchange.verdicts == {"limit": expected}

    def test_a_cap_is_only_watched(self) -> None:
        services = LentServices()
        plugin = build(Limit, {"concurrent": 1, "mode": "shadow"}, services)
        first, second = exchange_of(), exchange_of()
        plugin.on_request(first)
        plugin.on_request(second)
        assert (first.verdicts, second.verdicts) == ({"limit": "shadow_passed"}, {"limit": "shadow_too_many"})
        plugin.on_finish(second)
        plugin.on_finish(first)
        assert repr(services.in_flight) == "<WorkerInFlight 0 of 0 keys>"


class TestConcurrent:
    """How many requests may be under way at once."""

    def test_one_more_than_the_cap_waits_until_one_has_ended(self) -> None:
        services = LentServices()
        plugin = build(Limit, {"concurrent": 2}, services)
        first = exchange_of()
        plugin.on_request(first)
        plugin.on_request(exchange_of())
        with pytest.raises(GatewayError) as caught:
            plugin.on_request(refused := exchange_of())
        assert (caught.value.kind.code, caught.value.kind.status) == ("concurrency_limited", 429)
        assert caught.value.headers == ((b"retry-after", b"1"),)
        assert "At most 2 requests" in caught.value.detail
        plugin.on_finish(refused)  # it was never counted
        with pytest.raises(GatewayError):
            plugin.on_request(exchange_of())
        plugin.on_finish(first)
        plugin.on_finish(first)  # once is enough
        plugin.on_request(exchange_of())
        with pytest.raises(GatewayError):
            plugin.on_request(exchange_of())
        assert services.metrics.counts["gateway_limit_verdicts", "crm", "too_many"] == 3

    def test_a_plan_has_its_own_cap_over_all_routes(self) -> None:
        plans = {"free": {"limits": ["60/min"], "concurrent": 1}, "pro": {"limits": ["60/min"]}}
        services = LentServices(plans)
        one = build(Limit, {"plan": True}, services)
        other = build(Limit, {"plan": True}, services, replace(ROUTE, id="finance"))
        one.on_request(exchange_by())
        with pytest.raises(GatewayError, match="concurrency_limited"):
            other.on_request(exchange_by())
        other.on_request(exchange_by("t2"))
        for _ in range(3):
            one.on_request(exchange_by("t3", plan="pro"))

    def test_a_request_over_the_cap_costs_no_token_and_one_over_the_rate_leaves_its_place(self) -> None:
        services = LentServices()
        plugin = build(Limit, {"rate": "2/min", "concurrent": 1}, services)
        first = exchange_of()
        plugin.on_request(first)
        with pytest.raises(GatewayError, match="concurrency_limited"):
            plugin.on_request(exchange_of())
        plugin.on_finish(first)
        plugin.on_request(second := exchange_of())
        plugin.on_finish(second)
        for _ in range(2):
            with pytest.raises(GatewayError, match="rate_limited"):
                plugin.on_request(third := exchange_of())
            plugin.on_finish(third)
        assert repr(services.in_flight) == "<WorkerInFlight 0 of 0 keys>"

    def test_a_cap_alone_says_nothing_of_rates(self) -> None:
        plugin = build(Limit, {"concurrent": 2})
        plugin.on_request(exchange := exchange_of())
        assert exchange.verdicts == {"limit": "passed"}
        assert lines_of(plugin, exchange) == {}

    def test_where_nothing_is_capped_no_request_pays_for_it(self) -> None:
        assert not hasattr(build(Limit, "60/min"), "on_finish")
        assert hasattr(build(Limit, {"concurrent": 1}), "on_finish")


class TestReport:
    """`respond: limits` shows how the caller stands; `limit` itself takes nothing for it."""

    ROUTE = replace(ROUTE, id="mine", policies={"respond": TypeAdapter(Respond.Policy).validate_python("limits")})

    async def report(self, plugin: Any, exchange: Exchange) -> dict[str, Any]:
        result = plugin.on_request(exchange)
        if result is not None:
            await result
        found: dict[str, Any] = exchange.state[LIMITS_REPORT]
        return found

    async def test_the_numbers_are_those_of_enforcement_and_nothing_is_taken(self) -> None:
        plans = {"free": {"limits": ["60/min", "1000/h"], "concurrent": 5}}
        services = LentServices(plans)
        enforced = build(Limit, {"plan": True}, services)
        shown = build(Limit, {"plan": True}, services, self.ROUTE)
        enforced.on_request(exchange := exchange_by())
        said = lines_of(enforced, exchange)[b"ratelimit"]
        assert said == b'"60-min";r=59;t=1, "1000-h";r=999;t=4'
        for _ in range(2):
            assert await self.report(shown, exchange_by()) == {
                "plan": "free",
                "by": "tenant",
                "is_enforced": True,
                "is_degraded": False,
                "windows": [
                    {"limit": 60, "window_s": 60, "remaining": 59, "reset_s": 1},
                    {"limit": 1000, "window_s": 3600, "remaining": 999, "reset_s": 4},
                ],
                "concurrent": {"limit": 5},
            }

    async def test_who_has_nothing_left_is_still_told_so(self) -> None:
        services = LentServices({"free": {"limits": ["1/min"]}})
        build(Limit, {"plan": True}, services).on_request(exchange_by())
        report = await self.report(build(Limit, {"plan": True}, services, self.ROUTE), exchange_by(plan="gold"))
        assert report["plan"] == "free"
        assert report["windows"] == [{"limit": 1, "window_s": 60, "remaining": 0, "reset_s": 60}]

    async def test_without_the_store_it_shows_what_is_in_force_then(self) -> None:
        services = LentServices({"free": {"limits": ["60/min"]}})
        services.limits = RecordingStore(is_down=True, is_late=True)
        report = await self.report(build(Limit, {"plan": True}, services, self.ROUTE), exchange_by())
        assert report["is_degraded"] and report["windows"][0]["remaining"] == 15, "of four workers"
        open_ = build(Limit, {"plan": True, "on_store_down": "open"}, services, self.ROUTE)
        assert (await self.report(open_, exchange_by()))["windows"] == []
        closed = build(Limit, {"plan": True, "on_store_down": "closed"}, services, self.ROUTE)
        with pytest.raises(GatewayError, match="limit_store_down"):
            await self.report(closed, exchange_by())


async def test_open_lets_pass_what_a_store_that_has_just_come_back_would_not() -> None:
    services = LentServices()

    class Returning:
        def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> Decision:
            state = WindowState(1, 60_000, 0, 60_000, 60_000)
            return Decision(False, (state,), True)

    services.limits = Returning()
    build(Limit, {"rate": "1/min", "on_store_down": "open"}, services).on_request(exchange := exchange_of())
    assert exchange.verdicts == {"limit": "unchecked"}
    with pytest.raises(GatewayError, match="rate_limited"):
        build(Limit, "1/min", services).on_request(exchange_of())


def test_a_cost_that_never_fits_is_an_error_at_load() -> None:
    with pytest.raises(PolicyError, match="a cost of 11 never fits into 10 a minute") as caught:
        build(Limit, {"rate": "10/min", "cost": 11})
    assert caught.value.path == ("cost",)


@pytest.mark.parametrize(
    "policy",
    [
        "60",
        "60/week",
        "0/min",
        60,
        {},
        {"rates": []},
        {"rate": "1/s", "plan": True},
        {"rate": "1/s", "cost": 0},
        {"rate": "1/s", "by": "header"},
        {"rate": "1/s", "cost": True},
        {"plan": True, "on_store_down": "maybe"},
        {"concurrent": 0},
        {"plan": True, "concurrent": 3},
        {"rate": "1/s", "mode": "dark"},
    ],
)
def test_a_policy_that_cannot_be_meant_is_an_error_at_load(policy: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Limit.Policy).validate_python(policy)
