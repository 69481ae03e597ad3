"""Which rule serves a request: a trie over host and path, then method, then header and query predicates.

The most specific wins, whatever the order of the table: an exact host before `*.suffix` (longest first) before none; in
the path, segment by segment from the left, literal before `{int}` before `{param}` before `*`; at one place, more
predicates before fewer, then exact values before mere presence, then rules that name methods before those that do not.
Where method or predicates do not fit, the search goes on with the next less specific place. Two rules that nothing of
this tells apart are a tie, which is an error when the table is built.

A place is one host and one shape of path. All look-ups are one dict access a segment, whatever the number of rules.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations
from types import MappingProxyType
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote

from gateway.core.headers import Headers
from gateway.core.paths import Param, PathNotCanonical, Pattern, normal_form, parse_pattern

__all__ = [
    "Found",
    "NotFound",
    "PathNotCanonical",
    "Pattern",
    "RouteTies",
    "Router",
    "Rule",
    "normal_form",
    "parse_pattern",
]

T = TypeVar("T")
Name = TypeVar("Name", bytes, str)


class Rule(NamedTuple, Generic[T]):
    """What a route matches, and the target that is found then.

    host: `example.com`, `*.example.com` (one label or more in place of the `*`) or None for any; without a port.
    methods: None for any; GET serves HEAD as well. headers: (lower-case name, expected value or None for any value).
    query: (decoded name, expected decoded value or None). A field or parameter that is repeated equals no value: its
    readers do not agree on which one counts.
    """

    id: str
    pattern: Pattern
    host: str | None
    methods: frozenset[str] | None
    headers: tuple[tuple[bytes, str | None], ...]
    query: tuple[tuple[str, str | None], ...]
    target: T


class Found(NamedTuple, Generic[T]):
    """params: decoded path parameters."""

    target: T
    params: Mapping[str, str]


class NotFound(NamedTuple):
    """allowed: empty where there is no such path, else the methods for Allow (RFC 9110 section 15.5.6)."""

    allowed: frozenset[str]


class RouteTies(ValueError, Generic[T]):  # noqa: N818 - names the state of the table
    """ties: pairs of rules that would serve the witness, a request in words, equally well."""

    def __init__(self, ties: list[tuple[Rule[T], Rule[T], str]]) -> None:
        super().__init__("; ".join(f"{one.id} and {other.id} both serve {witness}" for one, other, witness in ties))
        self.ties = ties


class Router(Generic[T]):
    """The compiled rules; immutable."""

    def __init__(self) -> None:
        self._any_host: _Node[T] = _Node()
        self._exact_hosts: dict[str, _Node[T]] = {}
        self._host_suffixes: dict[str, _Node[T]] = {}
        self._size = 0

    @classmethod
    def build(cls, rules: Iterable[Rule[T]]) -> "Router[T]":
        """Compile the rules, in any order. Raises RouteTies with every tie."""
        router = cls()
        for rule in rules:
            router._size += 1
            router._root(rule.host).place(rule.pattern).add(rule)
        router._raise_ties()
        for root in router._roots():
            for place in root.places():
                place.compile()
        return router

    def match(self, method: str, authority: str, path: str, headers: Headers, query: str) -> "Found[T] | NotFound":
        """The rule for a request.

        authority: Host, lower case, with or without port. path: in normal form. query: as sent, without the "?".
        """
        segments = path[1:].split("/")
        if segments[-1] == "":
            segments.pop()
        roots = self._roots_for(authority) if self._exact_hosts or self._host_suffixes else (self._any_host,)
        for root in roots:
            for place in root.matching(segments):
                for entry in place.by_method.get(method, place.any_method):
                    if entry.holds is None or entry.holds(headers, query):
                        return entry.found if entry.found is not None else entry.find(segments)
        return NotFound(self._allowed(roots, segments, headers, query))

    def __repr__(self) -> str:
        return f"<Router {self._size} rules>"

    def _root(self, host: str | None) -> "_Node[T]":
        if host is None:
            return self._any_host
        host = host.lower()
        if host.startswith("*."):
            return self._host_suffixes.setdefault(host[1:], _Node())
        return self._exact_hosts.setdefault(host, _Node())

    def _roots(self) -> "list[_Node[T]]":
        return [*self._exact_hosts.values(), *self._host_suffixes.values(), self._any_host]

    def _roots_for(self, authority: str) -> "list[_Node[T]]":
        host = _host_of(authority)
        exact = self._exact_hosts.get(host)
        roots = [] if exact is None else [exact]
        dot = host.find(".", 1)
        while dot != -1:
            if (suffix := self._host_suffixes.get(host[dot:])) is not None:
                roots.append(suffix)
            dot = host.find(".", dot + 1)
        roots.append(self._any_host)
        return roots

    def _allowed(
        self, roots: "Iterable[_Node[T]]", segments: list[str], headers: Headers, query: str
    ) -> frozenset[str]:
        # A rule whose predicates fail does not serve this request with any method, so it allows none.
        allowed = {
            method
            for root in roots
            for place in root.matching(segments)
            for entry in place.entries
            if entry.holds is None or entry.holds(headers, query)
            for method in entry.rule.methods or ()
        }
        if "GET" in allowed:
            allowed.add("HEAD")
        if allowed:
            allowed.add("OPTIONS")
        return frozenset(allowed)

    def _raise_ties(self) -> None:
        literals = {literal for root in self._roots() for node in root.nodes() for literal in node.literals}
        ties = []
        for root in self._roots():
            for place in root.places():
                for one, other in combinations(place.rules, 2):
                    method = _tied_method(one, other)
                    if method is not None:
                        path = _witness_path(root, place, literals)
                        ties.append((one, other, _witness(method, path, one, other)))
        if ties:
            raise RouteTies(ties)


class _Entry(Generic[T]):
    """One rule at its place, with its predicates compiled and, where the path has no parameters, its result."""

    __slots__ = ("found", "holds", "params", "rule")

    def __init__(self, rule: Rule[T]) -> None:
        self.rule = rule
        self.holds = _compile_predicates(rule)
        self.params = tuple(
            (segment.name, index) for index, segment in enumerate(rule.pattern.segments) if isinstance(segment, Param)
        )
        self.found = None if self.params else Found(rule.target, _NO_PARAMS)

    def find(self, segments: list[str]) -> Found[T]:
        params: dict[str, str] = {}
        for name, index in self.params:
            text = segments[index]
            params[name] = unquote(text) if "%" in text else text
        return Found(self.rule.target, params)


class _Place(Generic[T]):
    """All rules of one host and one shape of path, sorted out by method."""

    __slots__ = ("any_method", "by_method", "entries", "rules")

    def __init__(self) -> None:
        self.rules: list[Rule[T]] = []
        self.entries: tuple[_Entry[T], ...] = ()
        self.by_method: dict[str, tuple[_Entry[T], ...]] = {}
        self.any_method: tuple[_Entry[T], ...] = ()

    def add(self, rule: Rule[T]) -> None:
        self.rules.append(rule)

    def compile(self) -> None:
        self.entries = entries = tuple(_Entry(rule) for rule in sorted(self.rules, key=_rank, reverse=True))
        self.any_method = tuple(entry for entry in entries if entry.rule.methods is None)
        named = {method for rule in self.rules for method in rule.methods or ()}
        if "GET" in named:
            named.add("HEAD")
        for method in named:
            serving = [entry for entry in entries if _serves(entry.rule, method)]
            # Of two rules alike, the one that names HEAD is meant for it.
            serving.sort(key=lambda entry: (_rank(entry.rule), method in (entry.rule.methods or ())), reverse=True)
            self.by_method[method] = tuple(serving)


class _Node(Generic[T]):
    """A prefix of paths: where to go on with the next segment. end: rules that end here; below: those with `/*`."""

    __slots__ = ("below", "end", "int_child", "literals", "param_child")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.int_child: _Node[T] | None = None
        self.param_child: _Node[T] | None = None
        self.below: _Node[T] | None = None
        self.end: _Place[T] | None = None

    def place(self, pattern: Pattern) -> _Place[T]:
        node = self
        for segment in pattern.segments:
            if isinstance(segment, str):
                node = node.literals.setdefault(segment, _Node())
            elif segment.is_int:
                node.int_child = node = node.int_child or _Node()
            else:
                node.param_child = node = node.param_child or _Node()
        if pattern.is_prefix:
            node.below = node = node.below or _Node()
        node.end = node.end or _Place()
        return node.end

    def matching(self, segments: list[str]) -> list[_Place[T]]:
        """The places that fit, most specific first. Each node of the trie is visited once at most.

        A list and no generator: there are few, and the first is nearly always the one.
        """
        found: list[_Place[T]] = []
        later: list[tuple[_Node[T], int]] = []
        count = len(segments)
        node: _Node[T] | None = self
        depth = 0
        while True:
            if node is None:
                if not later:
                    return found
                node, depth = later.pop()
            if depth == count:
                if node.end is not None:
                    found.append(node.end)
                # The node of a `*` has nothing below, so this does not repeat it.
                node = node.below
                continue
            segment = segments[depth]
            depth += 1
            if node.below is not None:
                later.append((node.below, count))
            if node.param_child is not None:
                later.append((node.param_child, depth))
            if node.int_child is not None and segment.isdecimal():
                later.append((node.int_child, depth))
            node = node.literals.get(segment)

    def nodes(self) -> "Iterator[_Node[T]]":
        yield self
        for child in (*self.literals.values(), self.int_child, self.param_child, self.below):
            if child is not None:
                yield from child.nodes()

    def places(self) -> Iterator[_Place[T]]:
        return (node.end for node in self.nodes() if node.end is not None)


_NO_PARAMS: Final[Mapping[str, str]] = MappingProxyType({})


def _host_of(authority: str) -> str:
    # A trailing dot names the same host (RFC 3986 section 3.2.2), so it must not choose other rules.
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].removesuffix(".")


def _rank(rule: Rule[T]) -> tuple[int, int, bool]:
    predicates = [expected for _, expected in (*rule.headers, *rule.query)]
    return len(predicates), len(predicates) - predicates.count(None), rule.methods is not None


def _serves(rule: Rule[T], method: str) -> bool:
    return rule.methods is None or method in rule.methods or (method == "HEAD" and "GET" in rule.methods)


def _compile_predicates(rule: Rule[T]) -> Callable[[Headers, str], bool] | None:
    expected_headers = tuple((name, None if text is None else text.encode()) for name, text in rule.headers)
    expected_query = rule.query

    def headers_hold(headers: Headers) -> bool:
        for name, expected in expected_headers:
            value = headers.get(name)
            if value is None or (expected is not None and headers.get_all(name) != [expected]):
                return False
        return True

    def query_holds(query: str) -> bool:
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            values.setdefault(name, []).append(value)
        return all(
            name in values if expected is None else values.get(name) == [expected] for name, expected in expected_query
        )

    if not expected_headers and not expected_query:
        return None
    if not expected_query:
        return lambda headers, query: headers_hold(headers)
    return lambda headers, query: headers_hold(headers) and query_holds(query)


def _tied_method(one: Rule[T], other: Rule[T]) -> str | None:
    """A method that both rules of one place serve on the same terms; None where something tells them apart."""
    if _rank(one) != _rank(other) or not (
        _can_agree(one.headers, other.headers) and _can_agree(one.query, other.query)
    ):
        return None
    if one.methods is None or other.methods is None:
        return "GET"
    return min(one.methods & other.methods, default=None)


def _can_agree(one: Iterable[tuple[Name, str | None]], other: Iterable[tuple[Name, str | None]]) -> bool:
    """Whether some request fulfils both: no name is expected to have two values."""
    expected: dict[Name, str] = {}
    return all(
        value is None or expected.setdefault(name, value) == value for names in (one, other) for name, value in names
    )


def _witness_path(root: _Node[T], place: _Place[T], literals: set[str]) -> str:
    """A path that comes to the place first, where there is one: other places may cover it wholly."""
    word, number = "x", "1"
    while word in literals:
        word += "x"
    while number in literals:
        number += "1"
    pattern = place.rules[0].pattern
    segments = [
        segment if isinstance(segment, str) else number if segment.is_int else word for segment in pattern.segments
    ]
    longer = [segments + [word] * more for more in (1, 8, 0)] if pattern.is_prefix else [segments]
    best = next((path for path in longer if root.matching(path)[0] is place), longer[0])
    return "/" + "/".join(best)


def _witness(method: str, path: str, one: Rule[T], other: Rule[T]) -> str:
    query = dict((*one.query, *other.query))
    for name, expected in (*one.query, *other.query):
        query[name] = query[name] or expected or ""
    headers = dict((*one.headers, *other.headers))
    for header, expected in (*one.headers, *other.headers):
        headers[header] = headers[header] or expected or ""
    lines = [f"{header.decode('latin-1')}: {value or '...'}" for header, value in headers.items()]
    if one.host is not None:
        lines.insert(0, f"host: {one.host.lower().replace('*', 'x', 1)}")
    target = path + "".join(
        f"{'&' if index else '?'}{name}={value or '...'}" for index, (name, value) in enumerate(query.items())
    )
    return f"{method} {target}" + (f" with {', '.join(lines)}" if lines else "")
