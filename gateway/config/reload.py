"""A table on its way into a running gateway: found good, and compared with the one that is served."""

import glob
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.config.checks import routes_of, targets_of
from gateway.config.compile import no_upstream
from gateway.config.describe import describe_routes
from gateway.config.load import LoadedTable, read_table
from gateway.config.model import GatewaySection, Limits
from gateway.config.offline import offline_services
from gateway.config.parcel import pack
from gateway.config.partial import settle
from gateway.config.problems import Problem, TableInvalid
from gateway.config.settings import TableSources
from gateway.config.snapshot import Quarantined
from gateway.config.source import FindFiles, ReadFile, read_text
from gateway.config.translate import Path
from gateway.config.tree import Node, locate

# Keys of the section `gateway` that take effect at once; all others are built into what outlives a table.
_LIVE = frozenset({"explain_key", "on_invalid", "watch"})
_LIVE_LIMITS = frozenset({"body_max"})


RunTests = Callable[[LoadedTable], Sequence[Problem]]


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """A table that was found good, as the supervisor keeps it.

    parts: path -> text of the table's own files, references unresolved. routes: a row a route. config: the table as
    data without secrets. meanings: route id -> a digest of all that shapes what the route does. quarantined: the routes
    that are not served, for they are broken.
    """

    version: str
    sources: TableSources
    parts: Mapping[str, str] = field(repr=False)
    routes: Sequence[Mapping[str, object]]
    config: Mapping[str, Any] = field(repr=False)
    gateway: GatewaySection = field(repr=False)
    meanings: Mapping[str, str] = field(repr=False, default_factory=dict)
    quarantined: tuple[Quarantined, ...] = ()


def check_for_serving(
    path: str,
    running: GatewaySection | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    read_file: ReadFile = read_text,
    find_files: FindFiles = glob.glob,
    run_tests: RunTests = lambda loaded: [],
) -> CheckedTable:
    """Read, load, compile and test a table. running: the section of the table that is served. run_tests: runs the
    table's own. Raises TableInvalid.
    """
    loaded = read_table(path, environ=environ, read_file=read_file, find_files=find_files)
    settled, snapshot = settle(loaded, offline_services(loaded), no_upstream)
    problems = [*needs_restart(loaded, running), *run_tests(loaded)]
    if problems:
        raise TableInvalid(problems)
    return CheckedTable(
        version=loaded.version,
        sources=TableSources(loaded.path, loaded.files, pack(settled)),
        parts={name: loaded.files[name] for name in loaded.parts},
        routes=[row.as_dict() for row in describe_routes(snapshot)],
        config=snapshot.config,
        gateway=loaded.table.gateway,
        meanings=route_meanings(loaded),
        quarantined=snapshot.quarantined,
    )


def needs_restart(loaded: LoadedTable, running: GatewaySection | None) -> list[Problem]:
    """A problem for each setting that differs from the running one and is read only at the start."""
    if running is None:
        return []
    wanted = loaded.table.gateway
    changed: list[Path] = [("gateway", name) for name in _differ(GatewaySection, running, wanted, _LIVE | {"limits"})]
    changed += [("gateway", "limits", name) for name in _differ(Limits, running.limits, wanted.limits, _LIVE_LIMITS)]
    advice = "cannot change while the gateway runs: restart it, or put the old value back"
    return [
        Problem.at(locate(loaded.root, path).place, "needs_restart", f"{'.'.join(map(str, path))} {advice}")
        for path in changed
    ]


def _differ(model: Any, one: Any, other: Any, left_out: frozenset[str]) -> list[str]:
    return [name for name in model.model_fields if name not in left_out and getattr(one, name) != getattr(other, name)]


def route_meanings(loaded: LoadedTable) -> dict[str, str]:
    """Route id -> a digest of what shapes the route: its own block with what it takes from `defaults`, its upstream,
    the sections of its plugins, who the caller is. Order and comments shape nothing. Quarantined routes are left out.
    """
    root = loaded.root.plain()
    defaults = _mapping(root.get("defaults"))
    upstreams = _mapping(root.get("upstreams"))
    for_all = [root.get("identity"), {key: root.get("gateway", {}).get(key) for key in ("limits", "trusted_proxies")}]
    nodes: dict[Any, Node] = dict(routes_of(loaded.root))
    meanings = {}
    for route in loaded.routes:
        if route.is_quarantined:
            continue
        own = nodes[route.path].plain()
        whole = {**defaults, **own}
        sections = [
            root.get(plugin.section_name)
            for plugin in loaded.plugins
            if plugin.section_name and whole.get(plugin.name, "none") != "none"
        ]
        targets = [upstreams.get(str(name.plain())) for _, name in targets_of(nodes[route.path])]
        # What is inherited key by key (timeout, retry) hangs on both.
        inherited = [defaults.get("timeout"), defaults.get("retry")]
        parts = [whole, inherited, targets, sections, for_all]
        text = json.dumps(parts, sort_keys=True, default=str)
        meanings[route.settings.id] = hashlib.sha256(text.encode()).hexdigest()
    return meanings


def changed_routes(old: CheckedTable, new: CheckedTable) -> frozenset[str]:
    """The routes that the new table serves, and serves in another way than the old one did."""
    return frozenset(name for name, meaning in new.meanings.items() if old.meanings.get(name) != meaning)


def summarize(old: CheckedTable | None, new: CheckedTable) -> str:
    """One line for people: which entries came (+), went (-) or say something else (~), by section."""
    if old is None:
        return "first table"
    words = []
    for name in dict.fromkeys((*old.config, *new.config)):
        one, other = _named(old.config.get(name)), _named(new.config.get(name))
        if one == other:
            continue
        if not isinstance(one, Mapping) or not isinstance(other, Mapping):
            words.append(name)
            continue
        marks = [f"+{key}" for key in other if key not in one]
        marks += [f"-{key}" for key in one if key not in other]
        marks += [f"~{key}" for key in other if key in one and one[key] != other[key]]
        words.append(f"{name}: {' '.join(marks)}" if len(marks) <= 20 else f"{name}: {len(marks)} changes")
    return "; ".join(words) or "no entry says anything else"


def problem_rows(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """For JSON, with the line that an operator reads as `text`."""
    return [{**asdict(problem), "text": str(problem)} for problem in problems]


def _named(value: Any) -> Any:
    """A list of routes as a mapping by id, in no order; anything else as it is."""
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) and "id" in entry for entry in value):
        return {str(entry["id"]): entry for entry in value}
    return value


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
