"""Where each policy of a route comes from: the route, `defaults`, a section, or what is built in."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError

from gateway.config.load import LoadedRoute, LoadedTable
from gateway.config.model import Retry
from gateway.config.problems import Place
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.config.splitting import is_late
from gateway.config.translate import Path
from gateway.config.tree import Node, locate
from gateway.core.scalars import parse_duration, parse_duration_or_none, parse_size
from gateway.plugin_api import Plugin

BUILT_IN = "built in"
_OWN = ("rewrite", "body_max", "timeout", "retry", "hedge", "priority", "mirror")


def place_of(loaded: LoadedTable, path: Path) -> Place | None:
    """Where a key stands, None where it does not."""
    located = locate(loaded.root, path)
    return None if located.left else located.key_place


def scrubbed(loaded: LoadedTable, text: str) -> str:
    """A text that an operator may see: values of references are shown as the references."""
    nearby = [
        node for name in ("defaults", "routes") if (top := loaded.root.value.get(name)) for node in _references(top)
    ]
    return loaded.references.scrub(text, nearby)


def policy_rows(snapshot: Snapshot, loaded: LoadedTable, route: CompiledRoute) -> list[dict[str, Any]]:
    """One row a policy, in the order of the chain and then of the way to the upstream: policy, stage, value (as it is
    written, or "none"), from, and left_out, the values that are built in because nobody says otherwise.
    """
    index = next(number for number, each in enumerate(snapshot.routes) if each is route)
    written = loaded.routes[index]
    rows = []
    split = list(_own_rows(snapshot, loaded, written, route, "split"))
    for plugin in sorted(loaded.plugins, key=lambda each: (each.stage, each.name)):
        if is_late(plugin):
            rows += split
            split = []
        path = _written_at(loaded, written, plugin.name)
        if path is not None and plugin.is_in_force:
            policy = route.info.policies.get(plugin.name)
            rows.append(_plugin_row(snapshot, loaded, path, plugin, policy))
    rows += split
    if route.call is not None:
        rows += [row for name in _OWN for row in _own_rows(snapshot, loaded, written, route, name)]
    return rows


def _plugin_row(
    snapshot: Snapshot, loaded: LoadedTable, path: Path, plugin: type[Plugin], policy: Any
) -> dict[str, Any]:
    row = {
        "policy": plugin.name,
        "stage": plugin.stage.name.lower(),
        "value": _config_at(snapshot, path),
        "from": _said(loaded, path),
        "left_out": _left_out(policy),
    }
    if plugin.section_name and isinstance(policy, str):
        place = place_of(loaded, (plugin.section_name, policy))
        row["section"] = f"{plugin.section_name} at {place}"
    return row


def _own_rows(
    snapshot: Snapshot, loaded: LoadedTable, written: LoadedRoute, route: CompiledRoute, name: str
) -> Iterator[dict[str, Any]]:
    path = _written_at(loaded, written, name)
    if name in ("split", "mirror", "rewrite", "body_max"):
        if path is not None:
            yield _own_row(name, _config_at(snapshot, path), _said(loaded, path))
        elif name == "body_max":
            limit: Path = ("gateway", "limits", "body_max")
            said = place_of(loaded, limit)
            yield _own_row(name, size_text(route.body_max), BUILT_IN if said is None else f"gateway.limits at {said}")
        return
    if name == "priority" or (name in ("retry", "hedge") and getattr(route, name) is None):
        yield _own_row(
            name, route.priority if name == "priority" else "none", BUILT_IN if path is None else _said(loaded, path)
        )
        return
    values = timeouts_of(route) if name == "timeout" else retry_of(route.retry) if name == "retry" else hedge_of(route)
    for key, value in values.items():
        # Key by key: what a route leaves out is as in defaults.
        paths = ((*written.path, name, key), ("defaults", name, key))
        at = next((each for each in paths if place_of(loaded, each) is not None), None)
        yield _own_row(f"{name}.{key}", value, BUILT_IN if at is None else _said(loaded, at))


def timeouts_of(route: CompiledRoute) -> dict[str, str]:
    """In the table's words."""
    values = {"connect": route.connect_timeout_s, "total": route.total_timeout_s, "idle": route.idle_timeout_s}
    shown = {name: "none" if value is None else f"{value:g}s" for name, value in values.items()}
    return {**shown, "send": "true" if route.sends_timeout else "false"}


def retry_of(retry: Retry | None) -> dict[str, Any]:
    """In the table's words; empty: never."""
    if retry is None:
        return {}
    return {"attempts": retry.attempts, "on": list(retry.on), "budget": f"{retry.budget:.0%}"}


def hedge_of(route: CompiledRoute) -> dict[str, Any]:
    """In the table's words; empty: never."""
    hedge = route.hedge
    if hedge is None:
        return {}
    after = "p95" if hedge.after is None else f"{hedge.after:g}s"
    return {"after": after, "at_most": f"{hedge.at_most:.0%}"}


def _own_row(name: str, value: Any, origin: str) -> dict[str, Any]:
    return {"policy": name, "stage": "upstream", "value": value, "from": origin, "left_out": {}}


def _written_at(loaded: LoadedTable, written: LoadedRoute, name: str) -> Path | None:
    for path in ((*written.path, name), ("defaults", name)):
        if place_of(loaded, path) is not None:
            return path
    return None


def _said(loaded: LoadedTable, path: Path) -> str:
    return f"{'defaults' if path[0] == 'defaults' else 'route'} at {place_of(loaded, path)}"


def _config_at(snapshot: Snapshot, path: Path) -> Any:
    value: Any = snapshot.config
    for step in path:
        value = value[step]
    return value


def _left_out(policy: Any) -> dict[str, Any]:
    """What is built in of a policy that says something."""
    if not isinstance(policy, BaseModel):
        return {}
    names = {name: field.alias or name for name, field in type(policy).model_fields.items()}
    try:
        dumped: Mapping[str, Any] = policy.model_dump(mode="json", exclude=policy.model_fields_set)
    except PydanticSerializationError:
        # Of an operator's own plugin.
        return {}
    fields = type(policy).model_fields
    return {
        names[name]: _with_unit(fields[name], value)
        for name, value in dumped.items()
        if value not in (None, [], {}, "")
    }


def _with_unit(field: FieldInfo, value: Any) -> Any:
    """Seconds and bytes as the table writes them."""
    readers = [getattr(each, "func", None) for each in field.metadata]
    if isinstance(value, float) and (parse_duration in readers or parse_duration_or_none in readers):
        return f"{value:g}s"
    return size_text(value) if isinstance(value, int) and parse_size in readers else value


def size_text(size_bytes: int) -> str:
    """`10MiB`, in the largest unit that has no rest."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def _references(node: Node) -> Iterator[Node]:
    if node.reference:
        yield node
    elif isinstance(node.value, (dict, list)):
        for child in node.children():
            yield from _references(child)
