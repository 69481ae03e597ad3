"""Requests that show what two tables do with the same thing: for each route of either, some that it is meant for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from gateway.config.compile import rule_of
from gateway.config.forms import METHODS
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.core.headers import Headers
from gateway.core.paths import Param
from gateway.core.routing import Found, Rule
from gateway.plugin_api import Exchange

_ANY_HOST = "any-host.invalid"


@dataclass(frozen=True, slots=True)
class Witness:
    """One request, as far as routing looks at it."""

    method: str
    authority: str
    path: str
    headers: tuple[tuple[bytes, bytes], ...]
    query: str

    def __str__(self) -> str:
        host = "" if self.authority == _ANY_HOST else f" on {self.authority}"
        lines = ", ".join(f"{name.decode()}: {value.decode()}" for name, value in self.headers)
        target = f"{self.path}?{self.query}" if self.query else self.path
        return f"{self.method} {target}{host}{f' with {lines}' if lines else ''}"

    def route_in(self, snapshot: Snapshot) -> CompiledRoute | None:
        """The route that serves it, None where none does."""
        found = snapshot.router.match(self.method, self.authority, self.path, Headers(self.headers), self.query)
        return found.target if isinstance(found, Found) else None

    def exchange_in(self, snapshot: Snapshot) -> Exchange:
        """As it is after routing."""
        target = f"{self.path}?{self.query}" if self.query else self.path
        exchange = Exchange(method=self.method, target=target, headers=Headers(self.headers), authority=self.authority)
        exchange.path, exchange.query = self.path, self.query
        found = snapshot.router.match(self.method, self.authority, self.path, exchange.headers, self.query)
        assert isinstance(found, Found)
        exchange.params = found.params
        return exchange


def witnesses(snapshots: Iterable[Snapshot]) -> list[Witness]:
    """Of all routes of all tables, each once. What a table has a literal for is no word for another's parameter."""
    rules = [
        rule_of(route.match, compiled)
        for snapshot in snapshots
        for compiled, route in zip(snapshot.routes, snapshot.table.routes, strict=True)
    ]
    literals = {segment for rule in rules for segment in rule.pattern.segments if isinstance(segment, str)}
    word, number = "x", "1"
    while word in literals:
        word += "x"
    while number in literals:
        number += "1"
    return list(dict.fromkeys(each for rule in rules for each in _of_rule(rule, word, number)))


def _of_rule(rule: Rule[CompiledRoute], word: str, number: str) -> Iterator[Witness]:
    plain = [
        segment if isinstance(segment, str) else number if segment.is_int else word for segment in rule.pattern.segments
    ]
    paths = [plain + [word] * more for more in (0, 1, 8)] if rule.pattern.is_prefix else [plain]
    if any(isinstance(segment, Param) and not segment.is_int for segment in rule.pattern.segments):
        # What is a word may be a number as well, and that may be another route's.
        paths += [[number if part == word else part for part in path] for path in paths]
    authority = _ANY_HOST if rule.host is None else rule.host.lower().replace("*", "x", 1)
    headers = tuple((name, (value or "x").encode()) for name, value in rule.headers)
    query = urlencode([(name, value or "x") for name, value in rule.query])
    methods = METHODS if rule.methods is None else sorted(rule.methods | ({"HEAD"} if "GET" in rule.methods else set()))
    for path in paths:
        for method in methods:
            yield Witness(method, authority, "/" + "/".join(path), headers, query)
