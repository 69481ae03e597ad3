"""A compiled table for people: the rows of `gateway routes`, and the configuration without its secrets."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from gateway.config.load import LoadedTable
from gateway.config.model import Defaults, Route, Table
from gateway.config.shares import percent_text, split_text
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.config.translate import Path, is_secret
from gateway.config.tree import Node

HIDDEN = "***"
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route in words. methods: "any" or a list with commas. action: `-> upstream` or the plugin that answers."""

    id: str
    methods: str
    host: str
    path: str
    action: str
    plugins: tuple[str, ...]
    position: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def describe_routes(snapshot: Snapshot) -> list[RouteRow]:
    """One row a route, in the order of the table; plugins in the order in which they run."""
    return [
        _row(compiled, route.match.host) for compiled, route in zip(snapshot.routes, snapshot.table.routes, strict=True)
    ]


def _row(compiled: CompiledRoute, host: str | None) -> RouteRow:
    info = compiled.info
    answering = [plugin.name for plugin in compiled.plugins if plugin.is_answering]
    return RouteRow(
        id=info.id,
        methods="any" if info.methods is None else ", ".join(sorted(info.methods)),
        host=host or "any",
        path=info.pattern,
        action=_action(compiled) if compiled.call is not None else " ".join(answering),
        plugins=tuple(plugin.name for plugin in compiled.plugins),
        position=compiled.position,
    )


def _action(compiled: CompiledRoute) -> str:
    mirror = compiled.mirror
    copies = f"; copies {percent_text(mirror.percent)} to {mirror.to}" if mirror is not None else ""
    return f"-> {split_text(compiled.split) if compiled.split else compiled.info.upstream}{copies}"


def describe_config(loaded: LoadedTable) -> dict[str, Any]:
    """The table as it was written, all files as one; what came from a reference is shown as the reference, a literal
    secret (a field kept out of `repr`, or a password in a URL) as `***`.
    """
    is_hidden = secrets_of(loaded)
    return {key: _shown(node, (key,), is_hidden) for key, node in loaded.root.value.items()}


def secrets_of(loaded: LoadedTable) -> Callable[[Path], bool]:
    """Whether what stands at a path of the table is secret by its type."""
    types: dict[str, Any] = {plugin.name: plugin.Policy for plugin in loaded.plugins}
    sections = {plugin.section_name: plugin.Section for plugin in loaded.plugins if plugin.Section is not None}

    @cache
    def is_hidden(path: Path) -> bool:
        head, *below = path
        if head in sections:
            return is_secret(sections[str(head)], below)
        inner: Sequence[str | int] = below[1:] if head == "routes" else below
        if head in ("routes", "defaults") and inner and inner[0] in types:
            return is_secret(types[str(inner[0])], inner[1:])
        if head in ("routes", "defaults"):
            return is_secret(Route if head == "routes" else Defaults, inner)
        return is_secret(Table, path)

    return is_hidden


def _shown(node: Node, path: Path, is_hidden: Callable[[Path], bool]) -> Any:
    if node.reference:
        return node.reference
    if is_hidden(path):
        return HIDDEN
    if isinstance(node.value, Mapping):
        return {key: _shown(child, (*path, key), is_hidden) for key, child in node.value.items()}
    if isinstance(node.value, list):
        # Entries of one list are alike, so they share what is known of their keys: 0.5 s less for 1,000 routes.
        return [_shown(child, (*path, 0), is_hidden) for child in node.value]
    return _PASSWORD.sub(HIDDEN, node.value) if isinstance(node.value, str) else node.value
