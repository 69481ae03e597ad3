"""Hooks in their order, what is inherited, what is not in force yet, and plugins that cannot be built."""

from typing import Any

import pytest

from gateway.config.compile import compile_snapshot
from gateway.config.load import read_table
from gateway.config.model import Retry
from gateway.config.offline import offline_services
from gateway.config.problems import TableInvalid
from gateway.config.snapshot import CompiledRoute, Snapshot, Unwinding
from gateway.config.source import from_memory
from gateway.core.headers import Headers
from gateway.core.routing import Found
from gateway.plugin_api import Exchange, Plugin, PluginServices, Reply, RouteInfo, Stage
from tests.config.sample_plugins import ENVIRON, GOOD, PLUGINS, Stamp, compile_text, no_upstream, problems_of


def route_of(text: str, environ: dict[str, str] = ENVIRON) -> CompiledRoute:
    return compile_text(text, environ=environ).routes[0]


async def run(route: CompiledRoute) -> list[str]:
    """The pipeline in a few lines."""
    exchange = Exchange(method="GET", target="/", headers=Headers())
    reply: Any = None
    unwinding: Unwinding = route.unwinding[-1]
    for index, hook in enumerate(route.request_hooks):
        reply = hook(exchange)
        if reply is not None:
            unwinding = route.unwinding[index]
            break
    else:
        if route.call is not None:
            await route.call(exchange)
    for response_hook in unwinding.on_response:
        response_hook(exchange)
    for finish_hook in unwinding.on_finish:
        finish_hook(exchange)
    trace: list[str] = exchange.state["trace"]
    return trace


async def test_hooks_run_by_stage_and_unwind_in_reverse() -> None:
    route = route_of(GOOD + "  mark: [a]\n  stamp: x\n  keep: 5s\n")

    assert await run(route) == [
        *("stamp request", "auth request", "mark request", "mark call", "upstream"),
        *("mark response", "auth response", "stamp response"),
        *("mark finish", "auth finish", "stamp finish"),
    ]
    assert [plugin.name for plugin in route.plugins] == ["stamp", "auth", "mark"]


async def test_only_plugins_that_were_entered_unwind_and_the_one_that_answers_is_among_them() -> None:
    route = route_of(GOOD.replace("to: crm", "respond: hi") + "  stamp: x\n")

    assert await run(route) == [
        *("stamp request", "auth request", "respond request"),
        *("respond response", "auth response", "stamp response"),
        *("respond finish", "auth finish", "stamp finish"),
    ]
    assert route.call is None
    assert [len(unwinding.on_finish) for unwinding in route.unwinding] == [1, 2, 3, 3]


async def test_wrapping_goes_from_the_first_plugin_outermost() -> None:
    class Outer(Stamp):
        name = "outer"

        def wrap_upstream(self, call: Any) -> Any:
            async def wrapped(exchange: Exchange) -> Reply:
                exchange.state["trace"].append("outer call")
                reply: Reply = await call(exchange)
                return reply

            return wrapped

    text = GOOD + "  mark: [a]\n  outer: x\n  auth: none\n"
    read_file, find_files = from_memory({"routes.yaml": text})
    loaded = read_table("routes.yaml", (*PLUGINS, Outer), environ=ENVIRON, read_file=read_file, find_files=find_files)

    trace = await run(compile_snapshot(loaded, offline_services(loaded), no_upstream).routes[0])

    assert trace[:5] == ["outer request", "mark request", "outer call", "mark call", "upstream"]


def test_a_hook_that_a_plugin_does_not_have_costs_nothing() -> None:
    route = route_of(GOOD + "  auth: none\n")

    assert route.request_hooks == ()
    assert route.unwinding == (Unwinding((), (), ()),)


def test_none_switches_a_default_off_and_a_value_replaces_it() -> None:
    text = GOOD.replace("  auth: main\n", "  auth: main\n  mark: [a]\n  stamp: x\n")

    off = route_of(text + "  mark: none\n")
    other = route_of(text + "  mark: {words: [b], level: high}\n")

    assert sorted(off.info.policies) == ["auth", "stamp"]
    assert other.info.policies["mark"].level == "high"


def test_times_and_sizes_when_nothing_is_said() -> None:
    route = route_of(GOOD)

    assert (route.connect_timeout_s, route.total_timeout_s, route.idle_timeout_s) == (1.0, 30.0, None)
    assert route.body_max == 10 << 20
    assert route.retry is None
    assert route.rewrite is None


def test_a_route_says_only_what_differs_from_the_defaults() -> None:
    text = GOOD.replace(
        "defaults:\n",
        "defaults:\n  timeout: {connect: 2s, total: 9s}\n  body_max: 1MiB\n"
        "  retry: {attempts: 3, on: [connect, 503], budget: 10%}\n  rewrite: {strip: /api}\n",
    )

    inherited = route_of(text)
    changed = route_of(text + "  timeout: {total: none}\n  retry: {attempts: 5}\n  body_max: 2MiB\n  rewrite: none\n")
    off = route_of(text + "  retry: none\n  timeout: {total: none, idle: none}\n")

    assert (inherited.connect_timeout_s, inherited.total_timeout_s, inherited.idle_timeout_s) == (2.0, 9.0, None)
    assert inherited.retry == Retry.model_validate({"attempts": 3, "on": ["connect", 503], "budget": "10%"})
    assert inherited.body_max == 1 << 20
    assert inherited.rewrite is not None
    assert (changed.connect_timeout_s, changed.total_timeout_s, changed.idle_timeout_s) == (2.0, None, 60.0)
    assert changed.retry is not None
    assert (changed.retry.attempts, changed.retry.on, changed.retry.budget) == (5, ("connect", "503"), 0.1)
    assert changed.body_max == 2 << 20
    assert changed.rewrite is None
    assert off.retry is None
    assert off.idle_timeout_s is None


def test_the_gateways_own_limit_stands_in_for_body_max() -> None:
    text = GOOD.replace("defaults:", "gateway: {limits: {body_max: 5B}}\ndefaults:")

    assert route_of(text).body_max == 5
    assert compile_text(text).fallback.body_max == 5


def test_the_router_finds_the_compiled_route() -> None:
    text = GOOD.replace(
        "/api/crm/*",
        "{path: '/a/{id}', host: API.example.com, methods: GET, headers: {X-Kind: '2', X-Any: '*'}, query: {v: 2}}",
    )
    snapshot = compile_text(text)
    headers = Headers([(b"x-kind", b"2"), (b"x-any", b"")])

    found = snapshot.router.match("HEAD", "api.example.com:80", "/a/7", headers, "v=2")

    assert isinstance(found, Found)
    assert found.target is snapshot.routes[0]
    assert dict(found.params) == {"id": "7"}
    assert not isinstance(snapshot.router.match("GET", "api.example.com", "/a/7", headers, "v=3"), Found)


def test_the_fallback_has_the_edge_plugins_of_the_defaults_only() -> None:
    snapshot = compile_text(GOOD.replace("  auth: main\n", "  auth: main\n  stamp: x\n"))

    assert [plugin.name for plugin in snapshot.fallback.plugins] == ["stamp"]
    assert snapshot.fallback.call is None
    assert snapshot.fallback.info.id == "no-route"


def test_what_is_not_in_force_is_said_of_each_key() -> None:
    text = GOOD.replace(
        "    endpoints",
        "    health: {path: /h}\n    eject: {for: 5s}\n    breaker: {}\n    overload: {}\n"
        "    balance: hash\n    hash_on: ip\n    endpoints",
    )
    text += "  keep: 5s\ntests:\n- {get: /x, expect: {status: 404}}\n"

    warnings = compile_text(text).warnings

    assert {warning.severity for warning in warnings} == {"warning"}
    assert [str(warning) for warning in warnings] == [
        'routes.yaml:19:3: not_in_force: "keep" is read and checked, but not yet in force',
    ]


def test_a_key_that_changes_nothing_is_said() -> None:
    text = GOOD.replace("    endpoints", "    balance: random_two\n    hash_on: ip\n    endpoints")

    assert [str(warning) for warning in compile_text(text).warnings] == [
        (
            'routes.yaml:9:5: without_effect: hash_on has no effect with "balance: random_two"; '
            'write "balance: hash", or take it out'
        )
    ]
    assert compile_text(text.replace("random_two", "hash")).warnings == ()


def test_a_plugin_that_breaks_is_a_problem_among_others_and_the_others_are_closed() -> None:
    built: list[Plugin] = []

    class Broken(Plugin):
        name = "broken"
        stage = Stage.LOCAL
        Policy = str

        def __init__(self, policy: str, route: RouteInfo, services: PluginServices) -> None:
            raise ZeroDivisionError("no luck")

    class Kept(Stamp):
        name = "kept"

        def __init__(self, policy: str, route: RouteInfo, services: PluginServices) -> None:
            super().__init__(policy, route, services)
            built.append(self)

    text = GOOD + "  broken: x\n  kept: y\n"
    read_file, find_files = from_memory({"routes.yaml": text})
    plugins = (*PLUGINS, Broken, Kept)
    loaded = read_table("routes.yaml", plugins, environ=ENVIRON, read_file=read_file, find_files=find_files)

    with pytest.raises(TableInvalid) as caught:
        compile_snapshot(loaded, offline_services(loaded), no_upstream)

    message = "plugin_invalid: the plugin cannot be built: ZeroDivisionError: no luck"
    assert str(caught.value) == f"routes.yaml:13:11: {message}"
    assert [plugin.is_closed for plugin in built] == [True]  # type: ignore[attr-defined]


def test_a_broken_section_is_not_blamed_on_the_routes_that_use_it() -> None:
    text = GOOD.replace("main: {secret", "main: {sekret")

    assert [line.split(": ")[1] for line in problems_of(text)] == ["missing_key", "unknown_key"]


def test_every_plugin_of_the_snapshot_is_known_for_closing() -> None:
    snapshot: Snapshot = compile_text(GOOD + "  keep: 5s\n  stamp: x\n")

    assert sorted(plugin.name for plugin in snapshot.plugins) == ["auth", "keep", "stamp"]
