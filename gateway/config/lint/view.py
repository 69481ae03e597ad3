"""What the rules look at: each route with its policies and where they stand; and the place to say what was found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.codes import CODES
from gateway.config.load import LoadedTable
from gateway.config.model import Match
from gateway.config.problems import Problem
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.config.translate import Path
from gateway.config.tree import Node, locate


@dataclass(frozen=True, slots=True)
class LintedRoute:
    """One route. path: where it stands in the table. policies: those in force, defaults included, by their keys."""

    compiled: CompiledRoute
    match: Match
    path: Path
    policies: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.compiled.info.id

    @property
    def has_auth(self) -> bool:
        """Whether callers are known."""
        return "auth" in self.policies

    @property
    def place(self) -> str:
        """`"id" (file:line:column)`, for messages."""
        return f'"{self.id}" ({self.compiled.position})'

    def names_any(self, methods: Iterable[str]) -> bool:
        """Whether it lists one of these methods; a route for all methods lists none."""
        return not frozenset(methods).isdisjoint(self.match.methods or ())


class Lint:
    """A table that is good, and what is found in it. root: as it was read, with places."""

    def __init__(self, loaded: LoadedTable, snapshot: Snapshot) -> None:
        self.loaded = loaded
        self.root: Node = loaded.root
        self.table = snapshot.table
        self.router = snapshot.router
        self.routes = tuple(
            LintedRoute(compiled, route.settings.match, route.path, compiled.info.policies)
            for route, compiled in zip(loaded.routes, snapshot.routes, strict=True)
        )
        self.findings: list[Problem] = []

    def add(self, path: Path, code: str, message: str, fix: str = "", *, at_key: bool = False) -> None:
        """Report at a path, or as near to it as the table goes. fix: what to do here; else what `CODES` says."""
        located = locate(self.root, path)
        place = located.key_place if at_key else located.place
        message = self.loaded.references.scrub(message, located.references)
        self.findings.append(Problem.at(place, code, message, CODES[code].severity, fix or CODES[code].fix))

    def path_of(self, route: LintedRoute, name: str, *below: str | int) -> Path:
        """Where a policy of a route stands, its own or the default, and a key below it as far as that goes."""
        own = (*route.path, name)
        head: Path = ("defaults", name) if locate(self.root, own).left else own
        return (*head, *below)

    def section(self, name: str) -> Mapping[str, Any]:
        """A top-level mapping of a plugin, parsed; empty where there is none."""
        found = self.loaded.sections.get(name)
        return found if isinstance(found, Mapping) else {}
