"""Why a route does not serve a request, told by the router itself: it is asked again with one demand of a route at a
time, so that what is said here can never differ from what is done.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.compile import rule_of
from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.core.paths import Param
from gateway.core.routing import Found, Router, Rule
from gateway.plugin_api import Exchange

NEAREST_MAX = 5


@dataclass(frozen=True, slots=True)
class Loser:
    """A route that does not serve the request, and why. position: file:line:column."""

    id: str
    position: str
    why: str


def losers_of(snapshot: Snapshot, exchange: Exchange, winner: CompiledRoute | None) -> list[Loser]:
    """Every other route that has the path; where nothing serves the request, also those whose path is nearest."""
    losers: list[Loser] = []
    strangers: list[tuple[int, CompiledRoute]] = []
    for rule in _rules(snapshot):
        if rule.target is winner:
            continue
        if _serves(_bare(rule), exchange):
            losers.append(Loser(rule.id, rule.target.position, "; ".join(_reasons(rule, exchange, winner))))
        elif winner is None:
            shared = _shared_segments(rule.pattern.segments, exchange.path)
            if shared:
                strangers.append((shared, rule.target))
    if winner is None and not losers:
        strangers.sort(key=lambda pair: -pair[0])
        best = strangers[0][0] if strangers else 0
        losers = [
            Loser(route.info.id, route.position, f"path: {route.info.pattern} is wanted")
            for shared, route in strangers[:NEAREST_MAX]
            if shared == best
        ]
    return losers


def _rules(snapshot: Snapshot) -> Iterator[Rule[CompiledRoute]]:
    for compiled, route in zip(snapshot.routes, snapshot.table.routes, strict=True):
        yield rule_of(route.match, compiled)


def _bare(rule: Rule[CompiledRoute]) -> Rule[CompiledRoute]:
    return rule._replace(host=None, methods=None, headers=(), query=())


def _serves(rule: Rule[CompiledRoute], exchange: Exchange) -> bool:
    found = Router.build([rule]).match(
        _method(exchange), exchange.authority, exchange.path, exchange.headers, exchange.query
    )
    return isinstance(found, Found)


def _method(exchange: Exchange) -> str:
    """As `pipeline.match_route`: of a preflight, the method that it asks about."""
    asked = exchange.headers.get(b"access-control-request-method")
    if exchange.method == "OPTIONS" and asked is not None and b"origin" in exchange.headers:
        return asked.decode("latin-1")
    return exchange.method


def _reasons(rule: Rule[CompiledRoute], exchange: Exchange, winner: CompiledRoute | None) -> Iterator[str]:
    bare = _bare(rule)
    is_refused = False
    for says, alone in (
        (f"host: {rule.host} is wanted", bare._replace(host=rule.host)),
        (f"method: {', '.join(sorted(rule.methods or ()))} only", bare._replace(methods=rule.methods)),
        *(
            (f"header: {_wanted(name.decode(), value, ': ')} is wanted", bare._replace(headers=((name, value),)))
            for name, value in rule.headers
        ),
        *(
            (f"query: {_wanted(name, value, '=')} is wanted", bare._replace(query=((name, value),)))
            for name, value in rule.query
        ),
    ):
        if not _serves(alone, exchange):
            is_refused = True
            yield says
    if not is_refused and winner is not None:
        yield f"less specific than {winner.info.id}: {rule.pattern.text} against {winner.info.pattern}"


def _wanted(name: str, value: str | None, joint: str) -> str:
    return name if value is None else f"{name}{joint}{value}"


def _shared_segments(segments: Sequence[Any], path: str) -> int:
    """How many segments from the left fit, of which at least one has to be a literal."""
    count = literals = 0
    for segment, text in zip(segments, _segments(path), strict=False):
        if isinstance(segment, Param):
            count += 1
        elif segment == text:
            count += 1
            literals += 1
        else:
            break
    return count if literals else 0


def _segments(path: str) -> list[str]:
    """Of a path in normal form."""
    return [segment for segment in path.split("/") if segment]
