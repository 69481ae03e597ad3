"""YAML as a tree that knows the place of every key and value.

Built from PyYAML's events and not by recursion, because the C composer overflows the stack on deeply nested input. The
scalars are those of YAML 1.2's core schema: `on`, `yes` and `no` are text, only `true` and `false` are booleans.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from gateway.config.problems import Place, Problem
from gateway.config.syntax import find_fault

NODES_MAX = 250_000
DEPTH_MAX = 50

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]{1,18}(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_REFERENCE = re.compile(r"\$\{[^}\n\"']*\}")
_FLOW_CHARACTERS = "{}[],:#"
_MASK = {ord(char): 0xF0000 + index for index, char in enumerate(_FLOW_CHARACTERS)}
_UNMASK = {masked: char for char, masked in _MASK.items()}
_MASKED = re.compile(f"[{chr(0xF0000)}-{chr(0xF0000 + len(_FLOW_CHARACTERS) - 1)}]")
_TAGS = {"!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}


@dataclass(slots=True, eq=False)
class Node:
    """One value. value: text, number, boolean, None, a list of nodes or a dict of them.

    key_places: of a mapping's keys. reference: the `${…}` text that the value came from. is_broken: it could not be
    read, which has been reported, so that nothing else about it is worth a word. size, height: of the tree below.
    """

    place: Place
    value: Any
    key_places: dict[str, Place] = field(default_factory=dict)
    reference: str = ""
    is_broken: bool = False
    size: int = 1
    height: int = 1

    def __repr__(self) -> str:
        # The value may be a secret.
        return f"<Node {type(self.value).__name__} at {self.place}>"

    def plain(self) -> Any:
        """The value as plain lists, dicts and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def children(self) -> Iterator["Node"]:
        """The nodes one step below."""
        if isinstance(self.value, dict):
            yield from self.value.values()
        elif isinstance(self.value, list):
            yield from self.value


@dataclass(frozen=True, slots=True)
class Located:
    """How far a path led. path: the steps that exist; left: the others. place: of the value, key_place: of its key.
    node: the last one; references: the nodes on the way, and below the last, that came from a `${…}`.
    """

    node: Node
    key_place: Place
    path: tuple[str | int, ...]
    left: tuple[str | int, ...]
    references: tuple[Node, ...]

    @property
    def place(self) -> Place:
        return self.node.place


def locate(root: Node, path: Sequence[str | int]) -> Located:
    """Follow a path as far as it exists; steps that do not exist are left out, later ones may."""
    node, key_place = root, root.place
    found: list[str | int] = []
    left: list[str | int] = []
    passed: list[Node] = []
    for step in path:
        if isinstance(node.value, dict) and isinstance(step, str) and step in node.value:
            key_place, node = node.key_places[step], node.value[step]
        elif isinstance(node.value, list) and isinstance(step, int) and 0 <= step < len(node.value):
            node = node.value[step]
            key_place = node.place
        else:
            left.append(step)
            continue
        found.append(step)
        if node.reference:
            passed.append(node)
    references = (*passed, *(below for below in _walk(node) if below.reference and below is not node))
    return Located(node, key_place, tuple(found), tuple(left), references)


def _walk(node: Node) -> Iterator[Node]:
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(current.children())


def parse_scalar(text: str) -> Any:
    """A plain scalar of YAML 1.2's core schema; what is no number, boolean or null is text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


class _Refused(Exception):  # noqa: N818 - ends the reading of one file
    pass


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come."""

    node: Node
    anchor: str | None
    key: str | None = None
    key_place: Place | None = None
    merged: list[Node] = field(default_factory=list)
    is_doubled: bool = False


def read_tree(
    text: str, file: str, report: Callable[[Problem], None], expand: Callable[[str, Place], Node]
) -> Node | None:
    """Parse one file.

    expand: gives the node for a text with `${`. Problems are reported; returns None where
    the file as a whole cannot be used.
    """
    masked = _mask(text)
    builder = _Builder(file, report, expand, is_masked=masked is not text)
    try:
        for event in yaml.parse(masked, Loader=_Loader):
            builder.take(event)
    except _Refused:
        return None
    except yaml.MarkedYAMLError as error:
        fault = find_fault(error, text)
        report(Problem.at(_inside(text, file, fault.line, fault.column), "not_yaml", fault.message))
        return None
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        offset = getattr(error, "position", 0) or 0
        before = text[:offset]
        place = _inside(text, file, before.count("\n"), offset - before.rfind("\n") - 1)
        report(Problem.at(place, "not_yaml", "a character that may not stand in YAML; save the file as UTF-8 text"))
        return None
    return builder.root


def _mask(text: str) -> str:
    """Make `{secret: ${env:NAME}}` YAML: inside of braces, a plain scalar may hold none, so private-use characters
    stand in for those of a reference while the parser reads; one for one, so that columns stay.
    """
    if "${" not in text or _MASKED.search(text):
        return text
    return _REFERENCE.sub(lambda found: found[0].translate(_MASK), text)


def _inside(text: str, file: str, line: int, column: int) -> Place:
    lines = text.splitlines() or [""]
    if line >= len(lines):
        # The parser reports the end of the input as a line that there is not.
        line, column = len(lines) - 1, len(lines[-1])
    return Place(file, line + 1, min(column, len(lines[line])) + 1)


class _Builder:
    def __init__(
        self,
        file: str,
        report: Callable[[Problem], None],
        expand: Callable[[str, Place], Node],
        *,
        is_masked: bool,
    ) -> None:
        self.root: Node | None = None
        self._file = file
        self._is_masked = is_masked
        self._report = report
        self._expand = expand
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._begin(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            self._refuse(self._place(event), "one file holds one document; take the --- out")

    def _place(self, event: yaml.Event) -> Place:
        mark: Any = event.start_mark
        return Place(self._file, mark.line + 1, mark.column + 1)

    def _refuse(self, place: Place, message: str) -> NoReturn:
        self._report(Problem.at(place, "not_yaml", message))
        raise _Refused

    def _check_tag(self, event: Any, place: Place) -> None:
        if event.tag is not None and event.tag not in _TAGS:
            self._report(Problem.at(place, "unknown_tag", f'the tag "{event.tag}" means nothing here; leave it out'))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        place = self._place(event)
        self._check_tag(event, place)
        value = event.value.translate(_UNMASK) if self._is_masked else event.value
        if self._wants_key():
            self._key(value, place)
            return
        is_plain = event.implicit[0] and event.tag is None
        node = self._expand(value, place) if "${" in value else Node(place, parse_scalar(value) if is_plain else value)
        if event.anchor:
            self._anchors[event.anchor] = node
        if len(self._open) + node.height > DEPTH_MAX:
            self._refuse(place, f"nested more than {DEPTH_MAX} deep")
        self._spend(node.size, place)
        self._add(node)

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].node.value, dict) and self._open[-1].key is None

    def _key(self, key: str, place: Place) -> None:
        self._open[-1].key, self._open[-1].key_place = key, place

    def _begin(self, event: Any) -> None:
        place = self._place(event)
        self._check_tag(event, place)
        if self._wants_key():
            self._refuse(place, "a key must be a plain word")
        if len(self._open) >= DEPTH_MAX:
            self._refuse(place, f"nested more than {DEPTH_MAX} deep")
        if event.anchor:
            self._anchors[event.anchor] = None
        self._spend(1, place)
        node = Node(place, {} if isinstance(event, yaml.MappingStartEvent) else [])
        self._open.append(_Open(node, event.anchor))

    def _end(self) -> None:
        ended = self._open.pop()
        node = ended.node
        for merged in ended.merged:
            for key, child in merged.value.items():
                if key not in node.value:
                    self._spend(child.size, child.place)
                    node.value[key] = child
                    node.key_places[key] = merged.key_places[key]
        for child in node.children():
            node.size += child.size
            node.height = max(node.height, child.height + 1)
        if ended.anchor:
            self._anchors[ended.anchor] = node
        self._add(node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        place = self._place(event)
        name = event.anchor or ""
        if name not in self._anchors:
            self._refuse(place, f'no anchor "&{name}" stands before this; to mean text, put it in quotes: "*{name}"')
        node = self._anchors[name]
        if node is None:
            self._refuse(place, f'"*{name}" stands inside of what it names')
        if self._wants_key():
            self._refuse(place, "a key must be a plain word")
        if len(self._open) + node.height > DEPTH_MAX:
            self._refuse(place, f"nested more than {DEPTH_MAX} deep")
        self._spend(node.size, place)
        self._add(node)

    def _spend(self, size: int, place: Place) -> None:
        # Aliases of aliases grow without bound from a few lines ("billion laughs"), so what they stand for is counted.
        self._count += size
        if self._count > NODES_MAX:
            self._refuse(place, f"more than {NODES_MAX} values, counting what each alias stands for")

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
            return
        key, key_place = parent.key or "", parent.key_place or node.place
        parent.key = None
        if key == "<<":
            self._merge(parent, node)
        elif key in parent.node.value:
            self._duplicate(parent, key, key_place)
        else:
            parent.node.value[key] = node
            parent.node.key_places[key] = key_place

    def _duplicate(self, parent: _Open, key: str, place: Place) -> None:
        # Where the dash of the next entry was forgotten, every key of it stands twice: that is told once.
        if not parent.is_doubled:
            first = parent.node.key_places[key]
            hint = "; keep one" if key != "id" else "; keep one, or begin the next entry with - id:"
            message = f'"{key}" stands here already, in line {first.line}{hint}'
            self._report(Problem.at(place, "duplicate_key", message))
        parent.is_doubled = parent.is_doubled or key == "id"

    def _merge(self, parent: _Open, node: Node) -> None:
        sources = node.value if isinstance(node.value, list) else [node]
        for source in sources:
            if isinstance(source.value, dict):
                parent.merged.append(source)
            else:
                self._report(Problem.at(source.place, "wrong_type", '"<<" takes a mapping, or a list of them'))
