"""`gateway.on_invalid: partial`: a table with broken routes is served without these, which answer 503 until mended.

A broken route keeps its place: its requests never fall through to a wider route, which may ask for less. So its match
has to be readable, and be no other route's as well. What is wrong with an upstream, or with the section of a plugin,
breaks the routes that use it. Anything else (the `gateway` section, `defaults`, `tests`, a file that is no YAML) cannot
be laid at the door of a route, and the whole table is refused.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gateway.config.checks import OFF, routes_of, targets_of
from gateway.config.compile import ServicesFor, Step, compile_steps, take_all
from gateway.config.load import LoadedRoute, LoadedTable
from gateway.config.model import Match, Route
from gateway.config.problems import Problem, TableInvalid
from gateway.config.snapshot import Quarantined, Snapshot
from gateway.config.translate import Path
from gateway.config.tree import Node, locate
from gateway.core.scalars import Id
from gateway.plugin_api import UpstreamCall

_Where = tuple[str, int, int]
_ID: TypeAdapter[str] = TypeAdapter(Id)
_MATCH: TypeAdapter[Match] = TypeAdapter(Match)


def admit(loaded: LoadedTable, services_for: ServicesFor, call: UpstreamCall, *, is_described: bool = True) -> Snapshot:
    """`compile.compile_snapshot`, less the routes that are broken where the table wants that. Raises TableInvalid."""
    return take_all(admit_steps(loaded, services_for, call, is_described=is_described))


def admit_steps(
    loaded: LoadedTable, services_for: ServicesFor, call: UpstreamCall, *, is_described: bool = False
) -> Generator[Step, None, Snapshot]:
    """As `admit`, a route a step."""
    _, snapshot = yield from _settle_steps(loaded, services_for, call, is_described=is_described)
    return snapshot


def settle(loaded: LoadedTable, services_for: ServicesFor, call: UpstreamCall) -> tuple[LoadedTable, Snapshot]:
    """As `admit`, with the table as it was admitted: what is broken in it is set aside, and it has no problems left."""
    return take_all(_settle_steps(loaded, services_for, call, is_described=True))


def _settle_steps(
    loaded: LoadedTable, services_for: ServicesFor, call: UpstreamCall, *, is_described: bool
) -> Generator[Step, None, tuple[LoadedTable, Snapshot]]:
    while True:
        try:
            return loaded, (yield from compile_steps(loaded, services_for, call, is_described=is_described))
        except TableInvalid as invalid:
            if loaded.table.gateway.on_invalid != "partial":
                raise
            # A problem may hide others, which show once it is out of the way. Each round quarantines a route at least.
            loaded = quarantine(loaded, invalid.problems)


def quarantine(loaded: LoadedTable, problems: Iterable[Problem]) -> LoadedTable:
    """The table with the routes that these problems break set aside. Raises TableInvalid, with all of them, where one
    breaks more than routes, or none that is not set aside already.
    """
    problems = tuple(problems)
    broken: dict[int, list[Problem]] = {}
    owners = _owners(loaded)
    for problem in problems:
        hit = owners.get((problem.file, problem.line, problem.column), ())
        if problem.code == "route_tie" or not hit:
            raise TableInvalid(problems)
        for index in hit:
            broken.setdefault(index, []).append(problem)
    known = {entry.position for entry in loaded.quarantined}
    routes_by_index: dict[Any, LoadedRoute] = {route.path[1]: route for route in loaded.routes}
    taken = {route.settings.id for route in loaded.routes if route.path[1] not in broken}
    more: list[Quarantined] = []
    for index, why in broken.items():
        route = _set_aside(loaded, index, taken)
        position = str(locate(loaded.root, route.path).place) if route is not None else ""
        if route is None or position in known:
            raise TableInvalid(problems)
        routes_by_index[index] = route
        taken.add(route.settings.id)
        more.append(Quarantined(route.settings.id, position, tuple(why)))
    routes = tuple(route for _, route in sorted(routes_by_index.items()))
    return replace(
        loaded,
        routes=routes,
        table=loaded.table.model_copy(update={"routes": tuple(route.settings for route in routes)}),
        problems=(),
        quarantined=(*loaded.quarantined, *more),
    )


def _set_aside(loaded: LoadedTable, index: int, taken: set[str]) -> LoadedRoute | None:
    """The route with its match alone; None where that cannot be read."""
    path: Path = ("routes", index)
    node = locate(loaded.root, path).node
    match = node.value.get("match") if isinstance(node.value, dict) else None
    if match is None or any(below.is_broken for below in _all_of(match)):
        return None
    plain = match.plain()
    try:
        readable = _MATCH.validate_python({"path": plain} if isinstance(plain, str) else plain)
    except ValidationError:
        return None
    return LoadedRoute(Route.model_construct(id=_name(node, index, taken), match=readable), {}, path, True)


def _name(node: Node, index: int, taken: set[str]) -> str:
    """What it is called in logs and metrics: its id, where that is one and no other route's."""
    try:
        name = _ID.validate_python(node.value["id"].plain())
    except (KeyError, ValidationError):
        name = ""
    number = index + 1
    while not name or name in taken:
        name = f"route-{number}"
        number += 1
    return name


def _owners(loaded: LoadedTable) -> Mapping[_Where, Iterable[int]]:
    """Which routes are broken by a problem at a place."""
    users: dict[tuple[str, str], list[int]] = {}
    owners: dict[_Where, Iterable[int]] = {}
    defaults = _mapping(loaded.root, "defaults")
    for path, node in routes_of(loaded.root):
        index = path[1]
        assert isinstance(index, int)
        _own(owners, node, (index,))
        for _, target in targets_of(node):
            users.setdefault(("upstreams", str(target.value)), []).append(index)
        for plugin in loaded.plugins:
            policy = node.value.get(plugin.name, defaults.get(plugin.name))
            if plugin.section_name and policy is not None and policy.value != OFF:
                users.setdefault((plugin.section_name, ""), []).append(index)
    for name, upstream in _mapping(loaded.root, "upstreams").items():
        _own(owners, upstream, users.get(("upstreams", name), ()), loaded.root.value["upstreams"].key_places.get(name))
    for plugin in loaded.plugins:
        section = loaded.root.value.get(plugin.section_name) if plugin.section_name else None
        if section is not None:
            _own(owners, section, users.get((plugin.section_name, ""), ()))
    return owners


def _own(owners: dict[_Where, Iterable[int]], node: Node, routes: Iterable[int], key: Any = None) -> None:
    places = [key] if key is not None else []
    for below in _all_of(node):
        places += [below.place, *below.key_places.values()]
    for place in places:
        owners[tuple(place)] = routes


def _all_of(node: Node) -> Iterable[Node]:
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(current.children())


def _mapping(root: Node, name: str) -> Mapping[str, Node]:
    node = root.value.get(name)
    return node.value if node is not None and isinstance(node.value, dict) else {}
