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


def targets_of(node: Node) -> Iterator[tuple[Path, Node]]:
    """Each name of an upstream in a route, with its path below the route: of `to`, each part of `split`, `mirror`."""
    if (to := node.value.get("to")) is not None:
        yield ("to",), to
    split = node.value.get("split")
    for index, part in enumerate(split.value if split is not None and isinstance(split.value, list) else ()):
        if isinstance(part.value, dict) and "to" in part.value:
            yield ("split", index, "to"), part.value["to"]
    mirror = node.value.get("mirror")
    if mirror is not None and isinstance(mirror.value, dict) and "to" in mirror.value:
        yield ("mirror", "to"), mirror.value["to"]


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
    actions = [name for name in (*_FORWARDING, *answering) if name in node.value]
    empty = [name for name in _FORWARDING if name in node.value and node.value[name].value is None]
    if empty and not node.value[empty[0]].is_broken:
        message = f'"{empty[0]}" says nothing; write {_FORWARDING[empty[0]]}'
        translator.add((*path, empty[0]), "wrong_type", message, at_key=True)
    elif len(actions) > 1:
        message = f"a route does one thing, and here are {' and '.join(actions)}"
        translator.add((*path, actions[1]), "too_many_actions", message, at_key=True)
    elif not actions or (actions[0] not in _FORWARDING and node.value[actions[0]].value == OFF):
        message = f'the route does nothing; write "to" with an upstream, or {either(sorted(answering))}'
        translator.add((*path, *actions), "missing_action", message)


_FORWARDING = {
    "to": "the name of an upstream, like to: crm",
    "split": "upstreams with their weights, like split: [{to: crm, weight: 90}, {to: crm-v2, weight: 10}]",
}
"""What sends a route's requests to upstreams, and how it is written."""


def check_targets(root: Node, translator: Translator) -> None:
    """Every `to` names an upstream, and that of a mirror another one. Where the section itself is wrong, that is told,
    and not of each route again.
    """
    if _is_unreadable(root, "upstreams"):
        return
    upstreams = _mapping(root, "upstreams")
    for path, node in routes_of(root):
        named: list[object] = []
        for below, name in targets_of(node):
            if isinstance(name.value, str) and name.value not in upstreams:
                message = f'there is no upstream "{name.value}"; {suggest(name.value, upstreams)}'
                translator.add((*path, *below), "unknown_upstream", message)
            elif below[0] == "mirror" and name.value in named:
                message = f'"{name.value}" gets these requests already; copies are for another upstream'
                translator.add((*path, *below), "mirror_to_itself", message)
            named.append(name.value)


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


def warn_idle_mirror(root: Node, translator: Translator) -> None:
    """Say of a mirror that has nothing to copy."""
    for path, node in routes_of(root):
        if "mirror" in node.value and not _FORWARDING.keys() & node.value.keys():
            message = "only what goes to an upstream is copied, and this route answers itself; take mirror out"
            translator.add((*path, "mirror"), "without_effect", message, at_key=True, severity="warning")


def warn_empty(root: Node, translator: Translator, policies: Container[str]) -> None:
    """Say of each key of a route or of defaults that has no value: what a default then does is easily misread."""
    paths = [("defaults", name) for name, node in _mapping(root, "defaults").items() if node.value is None]
    empty: list[Path] = [path for path in paths if path[1] not in policies]
    for route, node in routes_of(root):
        empty += [
            (*route, name)
            for name, child in node.value.items()
            if child.value is None and name not in policies and name not in ("to", "split", "id", "match")
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
