"""Requests that stand for all that a route matches, to ask the real router with.

Of a route's requests, those are made that the fewest other routes could take: words where a parameter stands that are
no route's literal, headers and query with what the match asks for and nothing else, each length of path up to one more
than any route has, each method. If the router gives none of these to the route, it gives it no request at all.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from gateway.config.forms import METHODS
from gateway.config.model import Match
from gateway.config.snapshot import CompiledRoute
from gateway.core.headers import Headers
from gateway.core.paths import Param, parse_pattern
from gateway.core.routing import Found

_ANY_OTHER_METHOD = "PROPFIND"


class Witness(NamedTuple):
    """host: "" for any. query: as in a URL, without the "?"."""

    method: str
    host: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""

    def __str__(self) -> str:
        lines = [f"{name}: {value}" for name, value in (*((("host", self.host),) if self.host else ()), *self.headers)]
        target = f"{self.path}?{self.query}" if self.query else self.path
        return f"{self.method} {target}" + (f" with {', '.join(lines)}" if lines else "")


def ask(router: Any, witness: Witness) -> CompiledRoute | None:
    """The route that the live router gives a request to."""
    headers = Headers([(name.encode(), value.encode()) for name, value in witness.headers])
    found = router.match(witness.method, witness.host, witness.path, headers, witness.query)
    return found.target if isinstance(found, Found) else None


class Witnesses:
    """Makes them, for the routes of one table."""

    def __init__(self, matches: Iterable[Match]) -> None:
        matches = list(matches)
        patterns = [parse_pattern(match.path) for match in matches]
        used = {segment for pattern in patterns for segment in pattern.segments if isinstance(segment, str)}
        for match in matches:
            used.update(value for value in (*match.headers.values(), *match.query.values()) if value is not None)
        self._hosts = {match.host for match in matches}
        self._word, self._number = "x", "1"
        while self._word in used:
            self._word += "x"
        while self._number in used:
            self._number += "1"
        self._depth = max((len(pattern.segments) for pattern in patterns), default=0) + 1

    def of(self, match: Match, methods: Iterable[str] | None = None) -> Iterator[Witness]:
        """The requests for one match; with `methods`, by these instead of its own."""
        pattern = parse_pattern(match.path)
        start = [self._segment(segment) for segment in pattern.segments]
        tails = range(self._depth - len(start) + 1) if pattern.is_prefix else (0,)
        # The plainest first: one word in place of the `*`, for it is shown to people.
        paths = [
            "/" + "/".join([*start, *[self._word] * count]) for count in sorted(tails, key=lambda count: count != 1)
        ]
        headers = tuple((name, self._word if value is None else value) for name, value in match.headers.items())
        query = "&".join(
            f"{quote_plus(name)}={quote_plus(self._word if value is None else value)}"
            for name, value in match.query.items()
        )
        host = self._host(match.host)
        for path in paths:
            for method in methods or match.methods or (*METHODS, _ANY_OTHER_METHOD):
                yield Witness(method, host, path, headers, query)

    def _segment(self, segment: str | Param) -> str:
        if isinstance(segment, str):
            return segment
        return self._number if segment.is_int else self._word

    def _host(self, host: str | None) -> str:
        if host is None or not host.startswith("*."):
            return host or ""
        label = "x"
        while label + host[1:] in self._hosts:
            label += "x"
        return label + host[1:]
