"""Policies that do not do what they seem to.

The policies are those of the contract, looked at by their keys; what a plugin from elsewhere has is its own to check.
"""

from gateway.config.lint.view import Lint, LintedRoute

WRITES = ("POST", "PUT", "PATCH", "DELETE")
_KEYED = ("POST", "PATCH")
_SENT_NOTHING = frozenset({"connect", "reset"})
_UNITS = {1_000: "s", 60_000: "min", 3_600_000: "h", 86_400_000: "d"}


def lint_policies(lint: Lint) -> None:
    """public_cache, cache_unused, unsafe_retry, open_limit, unlimited_write, limit_by_address, limit_above_plan,
    timeout_order.
    """
    allowed = _plan_maximum(lint)
    for route in lint.routes:
        _lint_cache(lint, route)
        _lint_retry(lint, route)
        _lint_limit(lint, route)
        _lint_above_plan(lint, route, allowed)
        _lint_timeout(lint, route)


def _lint_cache(lint: Lint, route: LintedRoute) -> None:
    cache = route.policies.get("cache")
    if cache is None:
        return
    if route.has_auth and getattr(cache, "scope", None) == "public":
        lint.add(
            lint.path_of(route, "cache", "scope"),
            "public_cache",
            f'"{route.id}" asks who the caller is, and gives all callers of all tenants the same kept reply',
            "write scope: tenant or scope: user; or auth: none, if the reply is for everybody",
        )
    if route.match.methods is not None and not route.names_any(("GET", "HEAD")):
        lint.add(
            lint.path_of(route, "cache"),
            "cache_unused",
            f'only replies to GET and HEAD are kept, and "{route.id}" serves {", ".join(route.match.methods)}',
            "let the route serve GET, or write cache: none",
            at_key=True,
        )


def _lint_retry(lint: Lint, route: LintedRoute) -> None:
    retry = route.compiled.retry
    if retry is None or route.compiled.call is None or "idempotency" in route.policies:
        return
    path = lint.path_of(route, "retry", "on")
    is_own = path[0] == "routes"
    causes = [cause for cause in retry.on if cause not in _SENT_NOTHING]
    # What a route takes over from defaults is worth a word only where it says itself that it is for such writes.
    if causes and (route.names_any(_KEYED) or (is_own and route.match.methods is None)):
        served = ", ".join(method for method in _KEYED if method in (route.match.methods or _KEYED))
        lint.add(
            path if is_own else (*route.path, "match"),
            "unsafe_retry",
            f'retry.on has {", ".join(causes)}, and "{route.id}" serves {served}: a write that was sent may have '
            f"been "
            "carried out, so it is never sent again without a key",
            "write idempotency: optional, so that writes with an Idempotency-Key are safe to repeat, or retry: "
            "{on: [connect, reset]}",
        )


def _lint_limit(lint: Lint, route: LintedRoute) -> None:
    limit = route.policies.get("limit")
    if route.has_auth:
        return
    if limit is None:
        if route.compiled.call is not None and route.names_any(WRITES):
            lint.add(
                (*route.path, "id"),
                "unlimited_write",
                f'"{route.id}" lets anybody write, as often as they like: it has neither auth nor a limit',
                "write limit: {rate: 10/min, by: ip, on_store_down: closed}, or name an auth profile",
            )
        return
    by = getattr(limit, "by", "ip")
    if by == "ip" and getattr(limit, "on_store_down", "") == "open":
        lint.add(
            lint.path_of(route, "limit", "on_store_down"),
            "open_limit",
            f'while the store is down, nothing limits who tries passwords at "{route.id}"',
            "write on_store_down: local, which goes on counting in each worker, or closed, which answers 503",
        )
    elif by in ("tenant", "user", "key"):
        lint.add(
            lint.path_of(route, "limit"),
            "limit_by_address",
            f'"{route.id}" has auth: none, so there is no {by} to count by: each address is counted',
            "write by: ip on the route to say so, or limit: none",
            at_key=True,
        )


def _plan_maximum(lint: Lint) -> dict[int, tuple[int, str]]:
    """Window length in milliseconds -> the most that a plan allows in it, and the plan."""
    most: dict[int, tuple[int, str]] = {}
    for name, plan in lint.section("plans").items():
        for window in getattr(plan, "limits", ()):
            most[window.period_ms] = max(most.get(window.period_ms, (0, "")), (window.limit, name))
    return most


def _lint_above_plan(lint: Lint, route: LintedRoute, most: dict[int, tuple[int, str]]) -> None:
    limit = route.policies.get("limit")
    if not route.has_auth or limit is None or getattr(limit, "plan", False):
        return
    rate = getattr(limit, "rate", None)
    for window in (rate,) if rate is not None else getattr(limit, "rates", None) or ():
        allowed, plan = most.get(window.period_ms, (window.limit, ""))
        if window.limit > allowed:
            unit = _UNITS[window.period_ms]
            lint.add(
                lint.path_of(route, "limit", "rate" if rate is not None else "rates"),
                "limit_above_plan",
                f'"{route.id}" allows {window.limit}/{unit}, more than the largest plan: {allowed}/{unit} of "{plan}"',
                f"write {allowed}/{unit} or less, limit: {{plan: true}}, or raise the plan",
            )


def _lint_timeout(lint: Lint, route: LintedRoute) -> None:
    compiled = route.compiled
    total_s = compiled.total_timeout_s
    if compiled.call is None or total_s is None:
        return
    for name, limit_s in (("connect", compiled.connect_timeout_s), ("idle", compiled.idle_timeout_s)):
        if limit_s is not None and limit_s >= total_s:
            lint.add(
                lint.path_of(route, "timeout", name),
                "timeout_order",
                f'of "{route.id}", timeout.{name} ({limit_s:g}s) is never reached: total ends it after {total_s:g}s',
                f"make {name} shorter than total, or total longer",
            )
