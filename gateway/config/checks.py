"""What must hold between the parts of a table, and what of it this version does not carry out yet."""

from collections.abc import Container, Iterable, Iterator, Sequence

from gateway.config.problems import either, suggest
from gateway.config.table_test import TableTest
from gateway.config.translate import Path, Translator
from gateway.config.tree import Node
from gateway.plugin_api import Plugin

OFF = "none"
"""The value of a policy that switches its default off."""

SWITCHED_OFF_WORDS = ("off", "no", "false", "disabled", "disable", "None", "never")
"""What people write in its place."""


def routes_of(root: Node) -> Iterator[tuple[Path, Node]]:
    """Each route that is a mapping, with its path."""
    listed = root.value.get("routes")
    for index, node in enumerate(listed.value if listed is not None and isinstance(listed.value, list) else ()):
        if isinstance(node.value, dict):
            yield ("routes", index), node


def check_routes(root: Node, translator: Translator, plugins: Sequence[type[Plugin]]) -> None:
    """Each id once, one action a route, and every policy that may not be forgotten."""
    first: dict[str, Node] = {}
    answering = [plugin.name for plugin in plugins if plugin.is_answering]
    defaults = _mapping(root, "defaults")
    for path, node in routes_of(root):
        name = node.value.get("id")
        if name is not None and isinstance(name.value, str) and first.setdefault(name.value, name) is not name:
            message = (
                f'the route "{name.value}" stands already at {first[name.value].place}; give one of them another id'
            )
            translator.add((*path, "id"), "duplicate_id", message)
        _check_action(path, node, translator, answering)
        for plugin in plugins:
            if plugin.required_hint and plugin.name not in node.value and plugin.name not in defaults:
                message = f'neither the route nor defaults say "{plugin.name}": {plugin.required_hint}'
                translator.add(path, "missing_policy", message)


def _check_action(path: Path, node: Node, translator: Translator, answering: Sequence[str]) -> None:
    actions = [name for name in ("to", *answering) if name in node.value]
    target = node.value.get("to")
    if target is not None and target.value is None and not target.is_broken:
        message = '"to" says nothing; write the name of an upstream, like to: crm'
        translator.add((*path, "to"), "wrong_type", message, at_key=True)
    elif len(actions) > 1:
        message = f"a route does one thing, and here are {' and '.join(actions)}"
        translator.add((*path, actions[1]), "too_many_actions", message, at_key=True)
    elif not actions or (actions[0] != "to" and node.value[actions[0]].value == OFF):
        message = f'the route does nothing; write "to" with an upstream, or {either(sorted(answering))}'
        translator.add((*path, *actions), "missing_action", message)


def check_targets(root: Node, translator: Translator) -> None:
    """Every `to` names an upstream. Where the section itself is wrong, that is told, and not of each route again."""
    if _is_unreadable(root, "upstreams"):
        return
    upstreams = _mapping(root, "upstreams")
    for path, node in routes_of(root):
        name = node.value.get("to")
        if name is not None and isinstance(name.value, str) and name.value not in upstreams:
            message = f'there is no upstream "{name.value}"; {suggest(name.value, upstreams)}'
            translator.add((*path, "to"), "unknown_upstream", message)


def check_tests(root: Node, translator: Translator, tests: Iterable[tuple[Path, TableTest]]) -> None:
    """Tests expect routes and upstreams that there are."""
    ids = {str(node.value["id"].value) for _, node in routes_of(root) if "id" in node.value}
    upstreams = set(_mapping(root, "upstreams"))
    is_unreadable = {"route": _is_unreadable(root, "routes"), "upstream": _is_unreadable(root, "upstreams")}
    for path, test in tests:
        for kind, name, known in (("route", test.expect.route, ids), ("upstream", test.expect.upstream, upstreams)):
            if name is not None and name not in known and not is_unreadable[kind]:
                message = f'there is no {kind} "{name}"; {suggest(name, known)}'
                translator.add((*path, "expect", kind), f"unknown_{kind}", message)


def warn_not_in_force(root: Node, translator: Translator, plugins: Sequence[type[Plugin]]) -> None:
    """Say of each key that is read and checked only: nothing of a table is ignored in silence."""
    later = {plugin.name for plugin in plugins if not plugin.is_in_force}
    later_sections = {plugin.section_name for plugin in plugins if not plugin.is_in_force}
    paths: list[Path] = [(name,) for name in root.value if name in later_sections]
    paths += [("defaults", name) for name in _mapping(root, "defaults") if name in later]
    paths += [(*path, name) for path, node in routes_of(root) for name in node.value if name in later]
    for path in paths:
        message = f'"{path[-1]}" is read and checked, but not yet in force'
        translator.add(path, "not_in_force", message, at_key=True, severity="warning")


def warn_unverified(root: Node, translator: Translator) -> None:
    """Say of each upstream that it may be anybody."""
    for name, upstream in _mapping(root, "upstreams").items():
        tls = upstream.value.get("tls") if isinstance(upstream.value, dict) else None
        verify = tls.value.get("verify") if tls is not None and isinstance(tls.value, dict) else None
        if verify is not None and verify.value is False:
            message = "the upstream's certificate is not checked: anybody on the way can read and answer the requests"
            translator.add(("upstreams", name, "tls", "verify"), "unverified", message, severity="warning")


def warn_without_effect(root: Node, translator: Translator) -> None:
    """Say of a key that changes nothing."""
    for name, upstream in _mapping(root, "upstreams").items():
        keys = upstream.value if isinstance(upstream.value, dict) else {}
        balance = keys["balance"].value if "balance" in keys else "round_robin"
        if "hash_on" in keys and balance != "hash":
            message = f'hash_on has no effect with "balance: {balance}"; write "balance: hash", or take it out'
            translator.add(("upstreams", name, "hash_on"), "without_effect", message, at_key=True, severity="warning")


def warn_empty(root: Node, translator: Translator, policies: Container[str]) -> None:
    """Say of each key of a route or of defaults that has no value: what a default then does is easily misread."""
    paths = [("defaults", name) for name, node in _mapping(root, "defaults").items() if node.value is None]
    empty: list[Path] = [path for path in paths if path[1] not in policies]
    for route, node in routes_of(root):
        empty += [
            (*route, name)
            for name, child in node.value.items()
            if child.value is None and name not in policies and name not in ("to", "id", "match")
        ]
    for path in empty:
        message = f'"{path[-1]}" says nothing; give it a value, or take it out'
        translator.add(path, "empty_value", message, at_key=True, severity="warning")


def _is_unreadable(root: Node, name: str) -> bool:
    node = root.value.get(name)
    return node is not None and (node.is_broken or not isinstance(node.value, list if name == "routes" else dict))


def _mapping(root: Node, name: str) -> dict[str, Node]:
    node = root.value.get(name)
    return node.value if node is not None and isinstance(node.value, dict) else {}
