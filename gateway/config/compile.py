"""`LoadedTable` to `Snapshot`: plugins built, hooks bound, every route resolved, so that a request looks nothing up."""

import glob
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from gateway.config.describe import describe_config
from gateway.config.load import LoadedRoute, LoadedTable, read_table
from gateway.config.mirroring import MirrorTap
from gateway.config.model import Match, Retry, Rewrite, Route, Timeout
from gateway.config.offline import offline_services
from gateway.config.precautions import Hedge
from gateway.config.problems import TableInvalid
from gateway.config.rewrite import RewriteInvalid, compile_location, compile_rewrite
from gateway.config.snapshot import CompiledRoute, PathRewrite, Snapshot, TargetRewrite, Unwinding, Uses
from gateway.config.source import FindFiles, ReadFile, read_text
from gateway.config.splitting import SplitChoice, choosing, is_late
from gateway.config.translate import Path, Translator
from gateway.config.tree import locate
from gateway.core import errors
from gateway.core.errors import GatewayError
from gateway.core.routing import Router, RouteTies, Rule, parse_pattern
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, Reply, RouteInfo, Stage, UpstreamCall

FALLBACK_ID = "no-route"
R = TypeVar("R")
S = TypeVar("S", Timeout, Retry, Hedge)
Step = Callable[[], None] | None
"""What is yielded between two steps: None, or work to be done before the next, in any thread."""
ServicesFor = Callable[[type[Plugin]], PluginServices]


def compile_snapshot(loaded: LoadedTable, services_for: ServicesFor, call: UpstreamCall) -> Snapshot:
    """Build every plugin and resolve every route.

    services_for: the services of a plugin class, asked once for each. call: sends an exchange to its upstream. Raises
    TableInvalid with the problems of `loaded` (there are some only from `load.read_table`) and all those found here;
    plugins already built are closed then.
    """
    return take_all(compile_steps(loaded, services_for, call))


def take_all(steps: Generator[Step, None, R]) -> R:
    """What comes of the steps, all taken at once."""
    while True:
        try:
            if (work := next(steps)) is not None:
                work()
        except StopIteration as end:
            result: R = end.value
            return result


def compile_steps(
    loaded: LoadedTable, services_for: ServicesFor, call: UpstreamCall, *, is_described: bool = True
) -> Generator[Step, None, Snapshot]:
    """As `compile_snapshot`, a route a step, so that an event loop can do other things in between. Only what needs no
    plugin is yielded as work for a thread: the router, 40 ms of it for 500 routes.

    is_described: whether `Snapshot.config` is wanted, which is a third of the work.
    """
    return _Compiler(loaded, services_for, call).steps(is_described=is_described)


def check_table(
    path: str,
    plugins: Sequence[type[Plugin]] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    read_file: ReadFile = read_text,
    find_files: FindFiles = glob.glob,
) -> Snapshot:
    """The very snapshot that `serve` would run, built without a network. Raises TableInvalid with all problems at once;
    `Snapshot.warnings` has the remarks.
    """
    return compile_loaded(read_table(path, plugins, environ=environ, read_file=read_file, find_files=find_files))


def compile_loaded(loaded: LoadedTable) -> Snapshot:
    """As `check_table`, of a table that was read."""
    return compile_snapshot(loaded, offline_services(loaded), no_upstream)


async def no_upstream(exchange: Exchange) -> Reply:
    raise OSError("no upstream while a table is checked")


class Quarantine(Plugin):
    """Instead of all that a broken route was to do (`partial.py`)."""

    name = "quarantined"
    stage = Stage.LOCAL
    Policy = Any
    is_answering = True

    def on_request(self, exchange: Exchange) -> Reply | None:
        """Refuse."""
        raise GatewayError(errors.ROUTE_QUARANTINED, headers=((b"retry-after", b"30"),))


class _Compiler:
    def __init__(self, loaded: LoadedTable, services_for: ServicesFor, call: UpstreamCall) -> None:
        self._loaded = loaded
        self._call = call
        self._problems = list(loaded.problems)
        self._translator = Translator(loaded.root, loaded.references, self._problems)
        self._plugins = sorted(loaded.plugins, key=lambda plugin: (plugin.stage, plugin.name))
        self._services_for = services_for
        self._services = {plugin: services_for(plugin) for plugin in self._plugins}
        self._built: list[Plugin] = []
        self._uses = Uses()

    def steps(self, *, is_described: bool) -> Generator[Step, None, Snapshot]:
        routes: list[tuple[LoadedRoute, CompiledRoute]] = []
        for route in self._loaded.routes:
            routes.append((route, self._route(route)))
            yield None
        router: Router[CompiledRoute] | None = None

        def build_router() -> None:
            nonlocal router
            router = self._router(routes)

        yield build_router
        fallback = self._fallback()
        if router is None or self._problems:
            for plugin in self._built:
                _close(plugin)
            raise TableInvalid(self._problems)
        return Snapshot(
            version=self._loaded.version,
            table=self._loaded.table,
            routes=tuple(compiled for _, compiled in routes),
            router=router,
            fallback=fallback,
            warnings=self._loaded.warnings,
            plugins=tuple(self._built),
            config=describe_config(self._loaded) if is_described else {},
            uses=self._uses,
            quarantined=self._loaded.quarantined,
        )

    def _route(self, route: LoadedRoute) -> CompiledRoute:
        if route.is_quarantined:
            return self._quarantined(route)
        settings = route.settings
        policies = _in_force({**self._loaded.default_policies, **route.policies})
        methods = frozenset(settings.match.methods) if settings.match.methods is not None else None
        info = RouteInfo(settings.id, settings.match.path, methods, settings.to, policies)
        if settings.split is None:
            return self._leg(route, info, [*self._build_all(self._plugins, info, route.path), *self._taps(route, info)])
        early = self._build_all([each for each in self._plugins if not is_late(each)], info, route.path)
        choice = SplitChoice(settings.split, info, self._services_for(SplitChoice))
        taps = self._taps(route, info)
        legs: list[CompiledRoute] = []
        known = len(self._problems)
        for part in settings.split:
            # What is wrong with one leg is wrong with each, and is told once.
            if len(self._problems) == known:
                own = replace(info, upstream=part.to)
                late = self._build_all([each for each in self._plugins if is_late(each)], own, route.path)
                legs.append(self._leg(route, own, [*early, choice, *late, *taps]))
        return choosing(choice, info, legs)

    def _leg(self, route: LoadedRoute, info: RouteInfo, plugins: Sequence[Plugin]) -> CompiledRoute:
        """The whole of a route, or as much of it as goes to one upstream of a split."""
        settings, defaults = route.settings, self._loaded.table.defaults
        compiled = self._assemble(
            info,
            route.path,
            plugins,
            timeout=_inherit(settings.timeout, defaults.timeout),
            body_max=settings.body_max if settings.body_max is not None else defaults.body_max,
        )
        if compiled.call is None:
            return compiled
        rewrite, location = self._rewrite(route)
        return replace(
            compiled,
            rewrite=rewrite,
            location=location,
            retry=_or_default(settings, "retry", settings.retry, defaults.retry),
            hedge=_or_default(settings, "hedge", settings.hedge, defaults.hedge),
            priority=settings.priority or defaults.priority,
            sends_timeout=_inherit(settings.timeout, defaults.timeout).send,
            split=settings.split or (),
            mirror=settings.mirror,
        )

    def _taps(self, route: LoadedRoute, info: RouteInfo) -> list[Plugin]:
        settings = route.settings
        if settings.mirror is None or (settings.to is None and settings.split is None):
            return []
        total_s = _inherit(settings.timeout, self._loaded.table.defaults.timeout).total
        return [MirrorTap(settings.mirror, info, self._services_for(MirrorTap), self._call, total_s)]

    def _quarantined(self, route: LoadedRoute) -> CompiledRoute:
        match = route.settings.match
        methods = frozenset(match.methods) if match.methods is not None else None
        info = RouteInfo(route.settings.id, match.path, methods, None, self._edge_policies())
        defaults = self._loaded.table.defaults
        plugins = self._build_all(self._plugins, info, route.path)
        plugins.append(Quarantine(None, info, self._services_for(Quarantine)))
        return self._assemble(info, route.path, plugins, timeout=defaults.timeout, body_max=defaults.body_max)

    def _fallback(self) -> CompiledRoute:
        info = RouteInfo(FALLBACK_ID, "/*", None, None, self._edge_policies())
        defaults = self._loaded.table.defaults
        plugins = self._build_all(self._plugins, info, ("defaults",))
        return self._assemble(info, ("defaults",), plugins, timeout=defaults.timeout, body_max=defaults.body_max)

    def _edge_policies(self) -> dict[str, Any]:
        edge = {plugin.name for plugin in self._plugins if plugin.stage is Stage.EDGE}
        return _in_force({name: policy for name, policy in self._loaded.default_policies.items() if name in edge})

    def _assemble(
        self,
        info: RouteInfo,
        path: Path,
        plugins: Sequence[Plugin],
        *,
        timeout: Timeout,
        body_max: int | None,
    ) -> CompiledRoute:
        call: UpstreamCall | None = None
        if info.upstream is not None:
            call = self._call
            for wrap in reversed(_hooks(plugins, "wrap_upstream")):
                call = wrap(call)
        entered = [index for index, plugin in enumerate(plugins) if hasattr(plugin, "on_request")]
        return CompiledRoute(
            info=info,
            position=str(locate(self._loaded.root, path).place),
            request_hooks=_hooks(plugins, "on_request"),
            # A plugin that answers or raises was entered too: a 429 carries the limit's own headers.
            unwinding=(*(_unwinding(plugins[: index + 1]) for index in entered), _unwinding(plugins)),
            call=call,
            rewrite=None,
            connect_timeout_s=timeout.connect,
            total_timeout_s=timeout.total,
            idle_timeout_s=timeout.idle_s,
            body_max=body_max if body_max is not None else self._loaded.table.gateway.limits.body_max,
            plugins=tuple(plugins),
            uses=self._uses,
        )

    def _build_all(self, plugins: Iterable[type[Plugin]], info: RouteInfo, path: Path) -> list[Plugin]:
        """Those of them that the route has, and that do something."""
        built = [self._build(plugin, info, path) for plugin in plugins if plugin.name in info.policies]
        return [plugin for plugin in built if plugin is not None and plugin.is_in_force]

    def _build(self, plugin: type[Plugin], info: RouteInfo, path: Path) -> Plugin | None:
        if plugin.section_name in self._loaded.broken_sections:
            return None
        try:
            built = plugin(info.policies[plugin.name], info, self._services[plugin])
        except PolicyError as error:
            own = (*path, plugin.name)
            if locate(self._loaded.root, own).left:
                own = ("defaults", plugin.name)
            where: Path = (plugin.section_name, *error.path) if error.section else (*own, *error.path)
            self._translator.add(where, error.code, str(error))
        except Exception as error:
            # A plugin's own fault must not take the other problems along, nor show a traceback to an operator.
            message = f"the plugin cannot be built: {type(error).__name__}: {error}"
            self._translator.add((*path, plugin.name), "plugin_invalid", message)
        else:
            self._built.append(built)
            return built
        return None

    def _rewrite(self, route: LoadedRoute) -> tuple[TargetRewrite | None, PathRewrite | None]:
        own = route.settings.rewrite
        is_own = "rewrite" in route.settings.model_fields_set
        rewrite: Rewrite | None = own if is_own else self._loaded.table.defaults.rewrite
        if rewrite is None:
            return None, None
        try:
            return compile_rewrite(rewrite, parse_pattern(route.settings.match.path)), compile_location(rewrite)
        except RewriteInvalid as error:
            # A default that does not fit is the route's to switch off.
            where: Path = (*route.path, "rewrite", error.key) if is_own else (*route.path, "match")
            self._translator.add(where, "rewrite_mismatch", str(error))
            return None, None

    def _router(self, routes: Sequence[tuple[LoadedRoute, CompiledRoute]]) -> Router[CompiledRoute] | None:
        paths = {compiled.position: route.path for route, compiled in routes}
        try:
            return Router.build(rule_of(route.settings.match, compiled) for route, compiled in routes)
        except RouteTies as error:
            for one, other, witness in error.ties:
                self._translator.add(
                    (*paths[other.target.position], "match"),
                    "route_tie",
                    f'"{other.id}" and "{one.id}" (at {one.target.position}) both serve {witness}; '
                    "tell them apart by path, host, methods, headers or query",
                )
            return None


def rule_of(match: Match, compiled: CompiledRoute) -> Rule[CompiledRoute]:
    """What the router is told of a route."""
    return Rule(
        id=compiled.info.id,
        pattern=parse_pattern(match.path),
        host=match.host,
        methods=compiled.info.methods,
        headers=tuple((name.encode(), value) for name, value in match.headers.items()),
        query=tuple(match.query.items()),
        target=compiled,
    )


def _hooks(plugins: Iterable[Plugin], name: str) -> tuple[Any, ...]:
    return tuple(getattr(plugin, name) for plugin in plugins if hasattr(plugin, name))


def _unwinding(entered: Sequence[Plugin]) -> Unwinding:
    leaving = list(reversed(entered))
    return Unwinding(_hooks(leaving, "on_response"), _hooks(leaving, "body_transform"), _hooks(leaving, "on_finish"))


def _in_force(policies: Mapping[str, Any]) -> dict[str, Any]:
    return {name: policy for name, policy in policies.items() if policy is not None}


def _close(plugin: Plugin) -> None:
    if (close := getattr(plugin, "close", None)) is not None:
        close()


def _or_default(route: Route, name: str, own: S | None, default: S | None) -> S | None:
    """What the route says, completed by the default; None where either switches it off."""
    if name not in route.model_fields_set:
        return default
    return own if default is None or own is None else _inherit(own, default)


def _inherit(own: S | None, default: S) -> S:
    """The default with what the route says itself."""
    if own is None:
        return default
    return default.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})
