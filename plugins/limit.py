"""`limit`: how often a caller may use the gateway, by token buckets (see `gateway/core/rate_limit.py`), and with how
many requests at once.

`limit: 60/min` is a rate of the route itself; `limit: {plan: true}` takes the windows of the caller's plan, one set of
buckets for all routes under plan limits. A request passes only if every window has a token. Counted by tenant unless
said otherwise; a caller who is not what `by` counts (no user, no key, nobody known) is counted by tenant, else by
address: IPv6 by its /64, since a household has all of that. `concurrent: 20`, on a route or in a plan, is how many
requests of whom `by` counts may be under way.

Each reply says how things stand (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy` and `RateLimit`; the policy
is marked `degraded` while this worker counts without the store. `mode: shadow` only counts and logs what would have
been refused. On a route that has `respond: limits`, nothing is taken: that reply says how things stand.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_address
from typing import Any, ClassVar

from gateway.core.errors import CONCURRENCY_LIMITED, LIMIT_STORE_DOWN, RATE_LIMITED, GatewayError
from gateway.core.headers import HeaderLine
from gateway.core.rate_limit import Decision, Window
from gateway.core.scalars import Id
from gateway.plugin_api import (
    LIMITS_REPORT,
    Exchange,
    Later,
    Plugin,
    PluginServices,
    PolicyError,
    RouteInfo,
    Stage,
    StoreDown,
)
from plugins.limit_changes import compare_limit, compare_plans
from plugins.limit_settings import LimitPolicy, LimitSettings, PlanSettings

_UNITS = {1_000: ("s", "second"), 60_000: ("min", "minute"), 3_600_000: ("h", "hour"), 86_400_000: ("d", "day")}
_VERDICTS = (
    *("passed", "limited", "passed_local", "limited_local", "unchecked", "store_down", "too_many"),
    *("shadow_passed", "shadow_limited", "shadow_too_many"),
)
_HELD = "limit.held"


class Rule:
    """Windows, or none, with all that can be prepared of them. plan: whose they are, None for a route's own."""

    __slots__ = ("_state_names", "concurrent", "degraded_line", "plan", "policy_line", "text", "windows")

    def __init__(self, windows: tuple[Window, ...], concurrent: int | None, plan: str | None = None) -> None:
        self.windows = windows
        self.concurrent = concurrent
        self.plan = plan
        self.text = " and ".join(_text(window) for window in windows)
        names = [f'"{window.limit}-{_UNITS[window.period_ms][0]}"' for window in windows]
        quotas = [
            f"{name};q={window.limit};w={window.period_ms // 1000}" for name, window in zip(names, windows, strict=True)
        ]
        self.policy_line: HeaderLine = (b"ratelimit-policy", ", ".join(quotas).encode())
        self.degraded_line: HeaderLine = (
            b"ratelimit-policy",
            ", ".join(f"{quota};degraded" for quota in quotas).encode(),
        )
        self._state_names = [f"{', ' if number else ''}{name};r=" for number, name in enumerate(names)]

    def format_state(self, decision: Decision) -> bytes:
        """The value of RateLimit: what remains, and in how many seconds all of it is back."""
        text = ""
        states = decision.windows
        for index in range(len(states)):
            state = states[index]
            text = f"{text}{self._state_names[index]}{state.remaining};t={-(-state.reset_ms // 1000)}"
        return text.encode()


class Limit(Plugin):
    """Takes tokens, or ends the exchange as 429."""

    name = "limit"
    stage = Stage.ADMISSION
    Policy = LimitPolicy
    section_name = "plans"
    Section: ClassVar[Any] = dict[Id, PlanSettings]
    compare: ClassVar[Any] = compare_limit
    compare_section: ClassVar[Any] = compare_plans

    on_finish: Callable[[Exchange], None]
    """Only where requests under way are counted: elsewhere a request would pay for it."""

    def __init__(self, policy: LimitSettings, route: RouteInfo, services: PluginServices) -> None:
        self._cost = policy.cost
        self._by = policy.by
        self._when_down = policy.on_store_down
        self._is_shadow = policy.mode == "shadow"
        self._take = services.limits.take
        self._take_locally = services.local_limits.take
        self._in_flight = services.in_flight
        self._plans: dict[str, Rule] = {}
        if policy.plan:
            if policy.by == "route":
                raise PolicyError("a plan is a caller's: count it by tenant, user, ip or key", path=("by",))
            self._default = self._read_plans(services)
            self._key = _key_of(policy.by, "plan:", route.id)
        else:
            windows = policy.rates if policy.rate is None else (policy.rate,)
            self._default = self._prepare(windows or (), policy.concurrent)
            self._key = _key_of(policy.by, f"route:{route.id}:", route.id)
        self._is_capped = any(rule.concurrent is not None for rule in (self._default, *self._plans.values()))
        if self._is_capped:
            self.on_finish = self._release
        self._is_report = getattr(route.policies.get("respond"), "limits", False)
        # Most routes only take tokens; what else there is to do is asked once for each request.
        self._is_plain = not (self._is_capped or self._is_report or self._is_shadow)
        counter = services.metrics.counter
        self._count = {
            verdict: counter("gateway_limit_verdicts", "Limit checks", route=route.id, verdict=verdict).inc
            for verdict in _VERDICTS
        }
        self._count_unknown_plan = counter(
            "gateway_limit_unknown_plan", "Requests of a plan that is not in plans", route=route.id
        ).inc

    def on_request(self, exchange: Exchange) -> Later | None:
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
        cost = self._cost
        if not self._is_plain:
            if self._is_report:
                cost = 0
            elif rule.concurrent is not None:
                self._hold(exchange, rule.concurrent, key)
            if not rule.windows:
                self._judge(exchange, rule, _NO_WINDOWS)
                return None
        try:
            result = self._take(key, rule.windows, cost)
        except StoreDown:
            self._go_on_without_store(exchange, rule, key)
            return None
        if not isinstance(result, Decision):
            return Later(result, partial(self._take_later, exchange, rule, key))
        self._judge(exchange, rule, result)
        return None

    def on_response(self, exchange: Exchange) -> None:
        """Say how things stand."""
        reply = exchange.reply
        lines: tuple[HeaderLine, ...] | None = exchange.state.get("limit")
        if lines is not None and reply is not None:
            headers = reply.headers
            for line in lines:
                headers.set(line[0], line[1])

    def explain(self, exchange: Exchange) -> dict[str, Any]:
        """Under which key an exchange was counted, and by what."""
        identity = exchange.identity
        plan = None if identity is None else identity.plan
        rule = self._default if plan is None else self._plans.get(plan, self._default)
        return {
            "key": self._key(exchange),
            "by": self._by,
            "plan": rule.plan,
            "windows": [f"{window.limit}/{_UNITS[window.period_ms][0]}" for window in rule.windows],
            "cost": 0 if self._is_report else self._cost,
            "concurrent": rule.concurrent,
            "mode": "shadow" if self._is_shadow else "enforce",
        }

    def _release(self, exchange: Exchange) -> None:
        key = exchange.state.pop(_HELD, None)
        if key is not None:
            self._in_flight.leave(key)

    def _hold(self, exchange: Exchange, concurrent: int, key: str) -> None:
        if self._in_flight.enter(key, concurrent):
            exchange.state[_HELD] = key
        elif self._is_shadow:
            self._note(exchange, "shadow_too_many")
        else:
            self._note(exchange, "too_many")
            raise GatewayError(
                CONCURRENCY_LIMITED,
                f"At most {concurrent} requests may be under way at once: try again when one of them has ended.",
                headers=((b"retry-after", b"1"),),
            )

    def _take_later(self, exchange: Exchange, rule: Rule, key: str, result: "asyncio.Future[Decision]") -> None:
        try:
            decision = result.result()
        except StoreDown:
            self._go_on_without_store(exchange, rule, key)
        else:
            self._judge(exchange, rule, decision)

    def _go_on_without_store(self, exchange: Exchange, rule: Rule, key: str) -> None:
        if self._when_down == "local":
            # A store in this worker's memory answers at once.
            decision = self._take_locally(key, rule.windows, 0 if self._is_report else self._cost)
            assert isinstance(decision, Decision)
            self._judge(exchange, rule, decision)
        elif self._when_down == "open":
            self._note(exchange, "unchecked")
            if self._is_report:
                exchange.state[LIMITS_REPORT] = self._report(rule, Decision(True, (), True))
        else:
            self._note(exchange, "store_down")
            if not self._is_shadow:
                raise GatewayError(LIMIT_STORE_DOWN, headers=((b"retry-after", b"1"),))

    def _judge(self, exchange: Exchange, rule: Rule, decision: Decision) -> None:
        if not self._is_plain and not self._is_to_enforce(exchange, rule, decision):
            return
        policy_line = rule.degraded_line if decision.is_degraded else rule.policy_line
        lines = (policy_line, (b"ratelimit", rule.format_state(decision)))
        if decision.is_allowed:
            self._note(exchange, "passed_local" if decision.is_degraded else "passed")
            exchange.state["limit"] = lines
            return
        if decision.is_degraded and self._when_down == "open":
            # The store has just come back, and does not know yet what passed without it.
            self._note(exchange, "unchecked")
            return
        self._note(exchange, "limited_local" if decision.is_degraded else "limited")
        wait_ms = max(window.retry_after_ms for window in decision.windows)
        seconds = max(1, -(-wait_ms // 1000))
        raise GatewayError(
            RATE_LIMITED,
            f"The limit is {rule.text}: try again in {seconds} s.",
            headers=((b"retry-after", b"%d" % seconds), *lines),
        )

    def _is_to_enforce(self, exchange: Exchange, rule: Rule, decision: Decision) -> bool:
        """Whether a decision of a route that is not plain is one like any other; else all is done."""
        if self._is_report:
            exchange.state[LIMITS_REPORT] = self._report(rule, decision)
            return False
        if self._is_shadow:
            if exchange.verdicts.get("limit") != "shadow_too_many":
                self._note(exchange, "shadow_passed" if decision.is_allowed else "shadow_limited")
            return False
        if not rule.windows:
            self._note(exchange, "passed")
            return False
        return True

    def _report(self, rule: Rule, decision: Decision) -> dict[str, Any]:
        report: dict[str, Any] = {
            "plan": rule.plan,
            "by": self._by,
            "is_enforced": not self._is_shadow,
            "is_degraded": decision.is_degraded,
            "windows": [
                {
                    "limit": window.limit,
                    "window_s": window.period_ms // 1000,
                    "remaining": window.remaining,
                    "reset_s": -(-window.reset_ms // 1000),
                }
                for window in decision.windows
            ],
        }
        if rule.concurrent is not None:
            report["concurrent"] = {"limit": rule.concurrent}
        return report

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
        self._plans = {name: self._prepare(plan.limits, plan.concurrent, name) for name, plan in plans.items()}
        return self._plans[default]

    def _prepare(self, windows: tuple[Window, ...], concurrent: int | None, plan: str | None = None) -> Rule:
        for window in windows:
            if self._cost > window.limit:
                raise PolicyError(
                    f"a cost of {self._cost} never fits into {_text(window)}: lower the cost or raise the limit",
                    path=("cost",),
                )
        return Rule(windows, concurrent, plan)


_NO_WINDOWS = Decision(True, ())


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
