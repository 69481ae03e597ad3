"""routes.yaml to `LoadedTable`: read, typed and cross-checked, with every fault at its place."""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter

from gateway.config.checks import (
    OFF,
    SWITCHED_OFF_WORDS,
    check_routes,
    check_targets,
    check_tests,
    warn_empty,
    warn_idle_mirror,
    warn_not_in_force,
    warn_unverified,
    warn_without_effect,
)
from gateway.config.discover import PluginInvalid, check_names, find_plugins, import_plugins
from gateway.config.model import (
    Defaults,
    FileNames,
    GatewaySection,
    IdentitySection,
    Route,
    Table,
    Upstream,
    Version,
)
from gateway.config.problems import Problem, TableInvalid, in_order, suggest
from gateway.config.references import References
from gateway.config.snapshot import Quarantined
from gateway.config.source import FindFiles, ReadFile, Source, read_text
from gateway.config.table_test import TableTest
from gateway.config.translate import Path, Translator
from gateway.config.tree import Node, locate
from gateway.core.scalars import Id
from gateway.plugin_api import Plugin

_OWN_SECTIONS: dict[str, Any] = {
    "version": Version,
    "include": FileNames,
    "plugins": tuple[str, ...],
    "gateway": GatewaySection,
    "identity": IdentitySection,
}
# A section's kind alone, for where it is of another: its entries are read one by one.
_KINDS: dict[str, Any] = {
    name: Annotated[kind, Field(examples=Table.model_fields[name].examples)]
    for kind, names in ((dict[str, Any], ("upstreams", "defaults")), (list[Any], ("routes", "tests")))
    for name in names
}


# To make one is half the work of reading a small table, so they outlive it. By identity, because a plugin's type may be
# annotated with what has no hash; an adapter keeps its type, so that no other one gets that identity.
_ADAPTERS: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


class LoadedRoute(NamedTuple):
    """A route with its own policies by plugin name (None: switched off). path: where it stands in the table.
    is_quarantined: it is broken, and of its settings the match alone is good (`partial.py`).
    """

    settings: Route
    policies: Mapping[str, Any]
    path: Path
    is_quarantined: bool = False


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """A table that was read and typed; no plugin is built yet.

    version: 16 hex digits over files and environment values. default_policies: as of a route. sections: by section
    name, parsed; broken_sections: those that could not be. problems: why the table is invalid, empty from `load_table`.
    files: path -> text of everything that was read, enough for `source.from_memory`. parts: the files of the table
    itself, and not what `${file:}` refers to.
    """

    path: str
    version: str
    table: Table
    plugins: tuple[type[Plugin], ...]
    routes: tuple[LoadedRoute, ...]
    default_policies: Mapping[str, Any]
    sections: Mapping[str, Any]
    broken_sections: frozenset[str]
    warnings: tuple[Problem, ...]
    problems: tuple[Problem, ...]
    files: Mapping[str, str] = field(repr=False)
    root: Node = field(repr=False)
    references: References = field(repr=False)
    parts: tuple[str, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()

    def section(self, plugin: type[Plugin]) -> Any:
        """The plugin's top-level section as `Plugin.Section` parsed it; None where the table has none."""
        return self.sections.get(plugin.section_name)


def load_table(
    path: str,
    plugins: Sequence[type[Plugin]] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    read_file: ReadFile = read_text,
    find_files: FindFiles = glob.glob,
) -> LoadedTable:
    """Read a table. plugins: None for those of the `plugins` package; those that the table names come on top.

    Raises TableInvalid with every problem found; compiling may find more, and
    with `read_table` before it finds all at once.
    """
    loaded = read_table(path, plugins, environ=environ, read_file=read_file, find_files=find_files)
    if loaded.problems:
        raise TableInvalid(loaded.problems)
    return loaded


def read_table(
    path: str,
    plugins: Sequence[type[Plugin]] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    read_file: ReadFile = read_text,
    find_files: FindFiles = glob.glob,
) -> LoadedTable:
    """As `load_table`, but what is wrong is left out and stands in `problems`."""
    return _Loader(Source(path, environ, read_file, find_files)).load(path, plugins)


def _adapter(model: Any) -> TypeAdapter[Any]:
    known = _ADAPTERS.get(id(model))
    if known is None:
        known = _ADAPTERS[id(model)] = model, TypeAdapter(model)
    return known[1]


class _Loader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._root = source.root
        self._problems = source.problems
        self._translator = Translator(source.root, source.references, source.problems)

    def load(self, path: str, plugins: Sequence[type[Plugin]] | None) -> LoadedTable:
        self._plugins = self._all_plugins(plugins)
        self._by_name = {plugin.name: plugin for plugin in self._plugins}
        self._sections_owned = {plugin.section_name: plugin for plugin in self._plugins if plugin.Section is not None}
        self._check_top_keys()
        parts = {
            name: value
            for name in ("version", "include", "plugins", "gateway", "identity")
            for value in self._own_section(name)
        }
        parts["upstreams"] = dict(self._upstreams())
        parts["defaults"], default_policies = self._defaults()
        routes = tuple(self._routes())
        parts["routes"] = tuple(route.settings for route in routes)
        tests = tuple(self._items("tests", TableTest))
        parts["tests"] = tuple(test for _, test in tests)
        sections = dict(self._plugin_sections())
        table = Table.model_construct(**parts)
        check_routes(self._root, self._translator, self._plugins)
        if self._source.is_whole:
            check_targets(self._root, self._translator)
            check_tests(self._root, self._translator, tests)
        warn_not_in_force(self._root, self._translator, self._plugins)
        warn_unverified(self._root, self._translator)
        warn_without_effect(self._root, self._translator)
        warn_idle_mirror(self._root, self._translator)
        warn_empty(self._root, self._translator, self._by_name)
        return LoadedTable(
            path=path,
            version=self._source.version,
            table=table,
            plugins=self._plugins,
            routes=routes,
            default_policies=default_policies,
            sections=sections,
            broken_sections=frozenset(self._present(self._sections_owned)) - frozenset(sections),
            warnings=tuple(in_order(problem for problem in self._problems if problem.severity == "warning")),
            problems=tuple(in_order(problem for problem in self._problems if problem.severity == "error")),
            files=self._source.files,
            root=self._root,
            references=self._source.references,
            parts=tuple(self._source.parts),
        )

    def _all_plugins(self, given: Sequence[type[Plugin]] | None) -> tuple[type[Plugin], ...]:
        found: list[type[Plugin]] = []
        add = self._translator.add
        try:
            found += find_plugins() if given is None else given
        except PluginInvalid as error:
            add((), "plugin_invalid", str(error))
        listed = self._root.value.get("plugins")
        names = listed.value if listed is not None and isinstance(listed.value, list) else []
        for index, name in enumerate(names):
            if isinstance(name.value, str):
                try:
                    more = import_plugins(name.value)
                    check_names((*found, *more))
                    found += more
                except PluginInvalid as error:
                    add(("plugins", index), "plugin_invalid", str(error))
        return tuple(dict.fromkeys(found))

    def _present(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self._root.value]

    def _read(self, model: Any, path: Path, value: Any, more_keys: Iterable[str] = ()) -> tuple[Any, bool]:
        return self._translator.read(_adapter(model), model, path, value, more_keys=more_keys)

    def _mapping(self, path: Path) -> Mapping[str, Node]:
        """The mapping at a path, or none where there is none or something else."""
        located = locate(self._root, path)
        if located.left or located.node.is_broken:
            return {}
        if not isinstance(located.node.value, dict):
            self._read(_KINDS[str(path[0])], path, located.node.plain())
            return {}
        return located.node.value

    def _check_top_keys(self) -> None:
        known = {*Table.model_fields, *self._sections_owned}
        for key in self._root.value:
            if key not in known:
                message = f'"{key}" is not a key here; {suggest(key, known)}'
                self._translator.add((key,), "unknown_key", message, at_key=True)
        if "version" not in self._root.value:
            self._translator.add((), "missing_key", '"version" is missing here; begin the table with version: 1')

    def _own_section(self, name: str) -> Iterator[Any]:
        field_info = Table.model_fields[name]
        if name in self._root.value:
            value, is_good = self._read(_OWN_SECTIONS[name], (name,), self._root.value[name].plain())
            if is_good:
                yield value
                return
        if not field_info.is_required():
            yield field_info.get_default(call_default_factory=True)

    def _upstreams(self) -> Iterator[tuple[str, Upstream]]:
        for name, node in self._mapping(("upstreams",)).items():
            _, is_named = self._read(Id, ("upstreams", name, "[key]"), name)
            upstream, is_good = self._read(Upstream, ("upstreams", name), node.plain())
            if is_named and is_good:
                yield name, upstream

    def _policies(self, path: Path, node: Mapping[str, Node]) -> dict[str, Any]:
        policies: dict[str, Any] = {}
        for name, value in node.items():
            plugin = self._by_name.get(name)
            if plugin is None or value.is_broken:
                continue
            if value.value is None:
                message = f'"{name}" says nothing; give it a value, or write {name}: none to switch it off'
                self._translator.add((*path, name), "wrong_type", message)
            elif value.value == OFF:
                policies[name] = None
            else:
                policies.update(self._policy(plugin, (*path, name), value))
        return policies

    def _policy(self, plugin: type[Plugin], path: Path, node: Node) -> Iterator[tuple[str, Any]]:
        count = len(self._problems)
        policy, is_good = self._read(plugin.Policy, path, node.plain())
        if is_good:
            yield plugin.name, policy
        elif node.value is False or node.value in SWITCHED_OFF_WORDS:
            del self._problems[count:]
            message = f"this switches nothing off; write {plugin.name}: none"
            self._translator.add(path, "wrong_type", message)

    def _own(self, model: Any, path: Path, node: Mapping[str, Node]) -> tuple[Any, bool]:
        own = {key: value.plain() for key, value in node.items() if key not in self._by_name}
        return self._read(model, path, own, self._by_name)

    def _defaults(self) -> tuple[Defaults, dict[str, Any]]:
        node = self._mapping(("defaults",))
        settings, is_good = self._own(Defaults, ("defaults",), node)
        policies = self._policies(("defaults",), node)
        for name in policies:
            if self._by_name[name].is_answering:
                message = f'"{name}" answers instead of an upstream, so it belongs on a route'
                self._translator.add(("defaults", name), "invalid_default", message, at_key=True)
        return settings if is_good else Defaults(), policies

    def _items(self, section: str, model: Any) -> Iterator[tuple[Path, Any]]:
        node = self._root.value.get(section)
        if node is None or node.is_broken:
            return
        if not isinstance(node.value, list):
            self._read(_KINDS[section], (section,), node.plain())
            return
        for index, item in enumerate(node.value):
            path = (section, index)
            if model is Route and isinstance(item.value, dict):
                value, is_good = self._own(model, path, item.value)
            else:
                value, is_good = self._read(model, path, item.plain())
            if is_good:
                yield path, value

    def _routes(self) -> Iterator[LoadedRoute]:
        good = dict(self._items("routes", Route))
        node = self._root.value.get("routes")
        for index, item in enumerate(node.value if node is not None and isinstance(node.value, list) else ()):
            path = ("routes", index)
            policies = self._policies(path, item.value) if isinstance(item.value, dict) else {}
            if path in good:
                yield LoadedRoute(good[path], policies, path)

    def _plugin_sections(self) -> Iterator[tuple[str, Any]]:
        for name in self._present(self._sections_owned):
            node = self._root.value[name]
            if not node.is_broken:
                section, is_good = self._read(self._sections_owned[name].Section, (name,), node.plain())
                if is_good:
                    yield name, section
