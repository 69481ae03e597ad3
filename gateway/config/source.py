"""Reading the files of a table: the main one, the included ones, and what they refer to, as one tree."""

import glob
import hashlib
import json
import os.path
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from gateway.config.problems import Place, Problem
from gateway.config.references import References, reason
from gateway.config.tree import Node, read_tree

FILE_SIZE_MAX = 4 << 20
ReadFile = Callable[[str], str]
FindFiles = Callable[[str], Iterable[str]]


def read_text(path: str) -> str:
    """A file of at most 4 MiB as text. Raises OSError, or ValueError where it is larger or not UTF-8."""
    with open(path, "rb") as file:
        data = file.read(FILE_SIZE_MAX + 1)
    if len(data) > FILE_SIZE_MAX:
        raise ValueError(f"the file is larger than {FILE_SIZE_MAX >> 20} MiB")
    return data.decode("utf-8-sig")


def from_memory(files: Mapping[str, str]) -> tuple[ReadFile, FindFiles]:
    """`read_file` and `find_files` over `LoadedTable.files`, so that another process loads exactly the same table."""

    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    def find(pattern: str) -> list[str]:
        wanted = pattern.split("/")
        return [path for path in files if _fits(path.split("/"), wanted)]

    return read, find


def _fits(parts: list[str], wanted: list[str]) -> bool:
    return len(parts) == len(wanted) and all(
        fnmatchcase(part, want) and (not part.startswith(".") or want.startswith("."))
        for part, want in zip(parts, wanted, strict=True)
    )


class Source:
    """Everything that was read. root: one tree of all files. problems: faults found so far. files: path -> text."""

    def __init__(self, path: str, environ: Mapping[str, str], read_file: ReadFile, find_files: FindFiles) -> None:
        self.files: dict[str, str] = {}
        self.parts: list[str] = []
        """The files of the table itself: this one and those that it includes."""
        self.problems: list[Problem] = []
        self.is_whole = True
        """False where a file could not be read: what then seems to be missing may stand there."""
        self.references = References(environ, self._read, self.problems.append)
        self._read_file = read_file
        self._find_files = find_files
        self.root = self._load(path, Place(path, 1, 1)) or Node(Place(path, 1, 1), {}, is_broken=True)
        if not isinstance(self.root.value, dict):
            self._add(Problem.at(self.root.place, "wrong_type", "a table is a mapping that begins with version: 1"))
            self.root = Node(self.root.place, {}, is_broken=True)
        for node in self._included():
            self._merge(node)

    @property
    def version(self) -> str:
        """16 hex digits that change with any file's text and any variable's value."""
        parts = [sorted(self.files.items()), sorted(self.references.used_env.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _add(self, problem: Problem) -> None:
        self.problems.append(problem)

    def _read(self, path: str) -> str:
        if path not in self.files:
            text = self._read_file(path)
            if len(text) > FILE_SIZE_MAX:
                raise ValueError(f"the file is larger than {FILE_SIZE_MAX >> 20} MiB")
            self.files[path] = text
        return self.files[path]

    def _load(self, path: str, place: Place) -> Node | None:
        try:
            text = self._read(path)
        except (OSError, ValueError) as error:
            self._add(Problem.at(place, "missing_file", f"{path}: {reason(error)}"))
            self.is_whole = False
            return None
        self.parts.append(path)
        count = len(self.problems)
        node = read_tree(text, path, self._add, self.references.expand)
        if node is None and len(self.problems) > count:
            self.is_whole = False
            return None
        return node or Node(Place(path, 1, 1), {})

    def _included(self) -> list[Node]:
        listed = self.root.value.get("include")
        if listed is None:
            return []
        nodes = []
        main = self.root.place.file
        seen = {main}
        for item in listed.value if isinstance(listed.value, list) else [listed]:
            if not isinstance(item.value, str) or item.is_broken:
                continue
            pattern = os.path.join(os.path.dirname(main), item.value)
            is_pattern = glob.has_magic(item.value)
            paths = sorted(self._find_files(pattern)) if is_pattern else [pattern]
            if not paths:
                self._add(Problem.at(item.place, "include_empty", f'"{item.value}" matches no file', "warning"))
            for path in paths:
                if path in seen:
                    self._add(Problem.at(item.place, "duplicate_include", f"{path} is part of the table already"))
                elif (node := self._load(path, item.place)) is not None:
                    nodes.append(node)
                seen.add(path)
        return nodes

    def _merge(self, other: Node) -> None:
        if not isinstance(other.value, dict):
            self._add(Problem.at(other.place, "wrong_type", "an included file is a mapping, with routes: for example"))
            return
        for key, node in other.value.items():
            place = other.key_places[key]
            if key == "include":
                self._add(Problem.at(place, "invalid_include", "only the main file includes others"))
            elif key not in self.root.value:
                self.root.value[key] = node
                self.root.key_places[key] = place
            elif key != "version" or node.value != self.root.value[key].value:
                self._merge_section(key, place, node)

    def _merge_section(self, key: str, place: Place, node: Node) -> None:
        mine = self.root.value[key]
        if isinstance(mine.value, list) and isinstance(node.value, list):
            self.root.value[key] = Node(mine.place, [*mine.value, *node.value], reference=mine.reference)
        elif isinstance(mine.value, dict) and isinstance(node.value, dict):
            merged: dict[str, Any] = dict(mine.value)
            places = dict(mine.key_places)
            for name, child in node.value.items():
                if name in merged:
                    self._duplicate(node.key_places[name], f"{key}.{name}", places[name])
                else:
                    merged[name], places[name] = child, node.key_places[name]
            self.root.value[key] = Node(mine.place, merged, places, reference=mine.reference)
        else:
            self._duplicate(place, key, self.root.key_places[key])

    def _duplicate(self, place: Place, name: str, first: Place) -> None:
        self._add(Problem.at(place, "duplicate_key", f'"{name}" stands already at {first}; keep one'))
