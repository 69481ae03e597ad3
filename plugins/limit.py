"""`limit`: how often a caller may use the gateway, by token buckets (see `gateway/core/rate_limit.py`).

`limit: 60/min` is a rate of the route itself; `limit: {plan: true}` takes the windows of the caller's plan, one set of
buckets for all routes under plan limits. A request passes only if every window has a token. Counted by tenant unless
said otherwise; a caller who is not what `by` counts (no user, no key, nobody known) is counted by tenant, else by
address: IPv6 by its /64, since a household has all of that.

Each reply says how things stand (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy` and `RateLimit`.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.core.errors import LIMIT_STORE_DOWN, RATE_LIMITED, GatewayError
from gateway.core.headers import HeaderLine
from gateway.core.rate_limit import Decision, Window
from gateway.core.scalars import Id, Rate, Settings
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, RouteInfo, Stage, StoreDown

_UNITS = {1_000: ("s", "second"), 60_000: ("min", "minute"), 3_600_000: ("h", "hour"), 86_400_000: ("d", "day")}
_VERDICTS = ("passed", "limited", "passed_local", "limited_local", "unchecked", "store_down")


class LimitSettings(Settings):
    """How often, and who is counted. The short form is a rate."""

    rate: Rate | None = Field(default=None, description="One rate of this route itself")
    rates: tuple[Rate, ...] | None = Field(default=None, min_length=1, description="Several, all of which must hold")
    plan: bool = Field(default=False, description="The rates of the caller's plan, over all routes together")
    by: Literal["tenant", "user", "ip", "key", "route"] = Field(default="tenant", description="Who is counted")
    on_store_down: Literal["local", "open", "closed"] = Field(
        default="local", description="Without the store: count in each worker, let all pass, or answer 503"
    )
    cost: int = Field(default=1, ge=1, strict=True, description="Tokens of one request")

    @model_validator(mode="after")
    def _check_one(self) -> "LimitSettings":
        if (self.rate is not None) + (self.rates is not None) + self.plan != 1:
            raise ValueError("write one of rate, rates, plan: true")
        return self


class PlanSettings(Settings):
    """The token buckets of one plan."""

    limits: tuple[Rate, ...] = Field(min_length=1, description="A request passes only if every one has a token")


def _read_short(value: Any) -> Any:
    return {"rate": value} if isinstance(value, str) else value


class Rule:
    """Windows with all that can be prepared of them. local: one worker's share, for when the store is down."""

    __slots__ = ("_state_format", "local", "policy_line", "text", "windows")

    def __init__(self, windows: tuple[Window, ...], worker_count: int, cost: int) -> None:
        self.windows = windows
        self.local = tuple(Window(max(window.limit // worker_count, cost), window.period_ms) for window in windows)
        self.text = " and ".join(_text(window) for window in windows)
        names = [f'"{window.limit}-{_UNITS[window.period_ms][0]}"' for window in windows]
        quotas = [f"q={window.limit};w={window.period_ms // 1000}" for window in windows]
        policy = ", ".join(f"{name};{quota}" for name, quota in zip(names, quotas, strict=True))
        self.policy_line: HeaderLine = (b"ratelimit-policy", policy.encode())
        self._state_format = ", ".join(f"{name};r=%d;t=%d" for name in names).encode()

    def format_state(self, decision: Decision) -> bytes:
        """The value of RateLimit: what remains, and in how many seconds all of it is back."""
        numbers: list[int] = []
        for _, _, remaining, reset_ms, _ in decision.windows:
            numbers += (remaining, -(-reset_ms // 1000))
        return self._state_format % tuple(numbers)


class Limit(Plugin):
    """Takes tokens, or ends the exchange as 429."""

    name = "limit"
    stage = Stage.ADMISSION
    Policy = Annotated[LimitSettings, BeforeValidator(_read_short)]
    section_name = "plans"
    Section = dict[Id, PlanSettings]

    def __init__(self, policy: LimitSettings, route: RouteInfo, services: PluginServices) -> None:
        self._cost = policy.cost
        self._when_down = policy.on_store_down
        self._take = services.limits.take
        self._take_locally = services.local_limits.take
        self._plans: dict[str, Rule] = {}
        if policy.plan:
            if policy.by == "route":
                raise PolicyError("a plan is a caller's: count it by tenant, user, ip or key", path=("by",))
            self._default = self._read_plans(services)
            self._key = _key_of(policy.by, "plan:", route.id)
        else:
            windows = policy.rates if policy.rate is None else (policy.rate,)
            self._default = self._prepare(windows or (), services.worker_count)
            self._key = _key_of(policy.by, f"route:{route.id}:", route.id)
        counter = services.metrics.counter
        self._count = {
            verdict: counter("gateway_limit_verdicts", "Limit checks", route=route.id, verdict=verdict).inc
            for verdict in _VERDICTS
        }
        self._count_unknown_plan = counter(
            "gateway_limit_unknown_plan", "Requests of a plan that is not in plans", route=route.id
        ).inc

    def on_request(self, exchange: Exchange) -> Awaitable[None] | None:
        """Take the tokens. Waits only where the store does."""
        if exchange.is_background:
            return None
        rule = self._default
        identity = exchange.identity
        if self._plans and identity is not None and identity.plan is not None:
            own = self._plans.get(identity.plan)
            if own is None:
                self._count_unknown_plan()
            else:
                rule = own
        key = self._key(exchange)
        try:
            result = self._take(key, rule.windows, self._cost)
        except StoreDown:
            self._go_on_without_store(exchange, rule, key)
            return None
        if not isinstance(result, Decision):
            return self._wait(exchange, rule, key, result)
        self._judge(exchange, rule, result)
        return None

    def on_response(self, exchange: Exchange) -> None:
        """Say how things stand."""
        lines = exchange.state.get("limit")
        if lines is not None and exchange.reply is not None:
            replace = exchange.reply.headers.set
            for name, value in lines:
                replace(name, value)

    async def _wait(self, exchange: Exchange, rule: Rule, key: str, result: Awaitable[Decision]) -> None:
        try:
            decision = await result
        except StoreDown:
            self._go_on_without_store(exchange, rule, key)
        else:
            self._judge(exchange, rule, decision)

    def _go_on_without_store(self, exchange: Exchange, rule: Rule, key: str) -> None:
        if self._when_down == "local":
            # A store in this worker's memory answers at once.
            decision = self._take_locally(key, rule.local, self._cost)
            assert isinstance(decision, Decision)
            self._judge(exchange, rule, decision._replace(is_degraded=True))
        elif self._when_down == "open":
            self._note(exchange, "unchecked")
        else:
            self._note(exchange, "store_down")
            raise GatewayError(LIMIT_STORE_DOWN, headers=((b"retry-after", b"1"),))

    def _judge(self, exchange: Exchange, rule: Rule, decision: Decision) -> None:
        lines = (rule.policy_line, (b"ratelimit", rule.format_state(decision)))
        if decision.is_allowed:
            self._note(exchange, "passed_local" if decision.is_degraded else "passed")
            exchange.state["limit"] = lines
            return
        self._note(exchange, "limited_local" if decision.is_degraded else "limited")
        wait_ms = max(window.retry_after_ms for window in decision.windows)
        seconds = max(1, -(-wait_ms // 1000))
        raise GatewayError(
            RATE_LIMITED,
            f"The limit is {rule.text}: try again in {seconds} s.",
            headers=((b"retry-after", b"%d" % seconds), *lines),
        )

    def _note(self, exchange: Exchange, verdict: str) -> None:
        exchange.verdicts["limit"] = verdict
        self._count[verdict]()

    def _read_plans(self, services: PluginServices) -> Rule:
        plans: Mapping[str, PlanSettings] = services.section or {}
        default = services.identity.default_plan
        if default not in plans:
            raise PolicyError(
                f"the plan {default} is missing, which callers without a known plan get: "
                "add it to plans, or set identity.default_plan",
                code="unknown_plan",
                path=("plan",),
            )
        self._plans = {name: self._prepare(plan.limits, services.worker_count) for name, plan in plans.items()}
        return self._plans[default]

    def _prepare(self, windows: tuple[Window, ...], worker_count: int) -> Rule:
        for window in windows:
            if self._cost > window.limit:
                raise PolicyError(
                    f"a cost of {self._cost} never fits into {_text(window)}: lower the cost or raise the limit",
                    path=("cost",),
                )
        return Rule(windows, worker_count, self._cost)


def _text(window: Window) -> str:
    return f"{window.limit} a {_UNITS[window.period_ms][1]}"


def _key_of(by: str, prefix: str, route_id: str) -> Callable[[Exchange], str]:
    """What an exchange counts under. Prefixes keep apart a tenant, a user and an address that are spelled alike."""
    if by == "route":
        key = f"{prefix}route:{route_id}"
        return lambda exchange: key

    def by_ip(exchange: Exchange) -> str:
        return f"{prefix}ip:{_address(exchange.client_ip)}"

    def by_tenant(exchange: Exchange) -> str:
        identity = exchange.identity
        if identity is None or identity.tenant is None:
            return by_ip(exchange)
        return f"{prefix}tenant:{identity.tenant}"

    def by_user(exchange: Exchange) -> str:
        identity = exchange.identity
        if identity is None or identity.user is None:
            return by_tenant(exchange)
        # Users are a tenant's own. A tab can be in neither name, so that no two pairs spell one key.
        return f"{prefix}user:{identity.tenant or ''}\t{identity.user}"

    def by_key(exchange: Exchange) -> str:
        identity = exchange.identity
        if identity is None or identity.key is None:
            return by_tenant(exchange)
        return f"{prefix}key:{identity.credential}\t{identity.key}"

    return {"ip": by_ip, "tenant": by_tenant, "user": by_user, "key": by_key}[by]


@lru_cache(4096)
def _address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if not isinstance(address, IPv6Address):
        return text
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
