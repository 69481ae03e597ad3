"""Which route serves what: routes that never do, doors that another route leaves open, routes without a test."""

from collections.abc import Iterator

from gateway.config.forms import METHODS
from gateway.config.lint.view import Lint, LintedRoute
from gateway.config.lint.witness import Witness, Witnesses, ask
from gateway.config.tree import locate
from gateway.core.owned_headers import is_set_by_gateway

_WRITES = ("POST", "PUT", "PATCH", "DELETE")


def lint_routing(lint: Lint) -> None:
    """shadowed_route, falls_through, stripped_header."""
    witnesses = Witnesses(route.match for route in lint.routes)
    by_position = {route.compiled.position: route for route in lint.routes}
    for route in lint.routes:
        _lint_shadowed(lint, route, witnesses, by_position)
        _lint_falls_through(lint, route, witnesses, by_position)
        for name in _header_keys(lint, route):
            if is_set_by_gateway(name.lower().encode()):
                lint.add(
                    (*route.path, "match", "headers", name),
                    "stripped_header",
                    f'"{name}" is for the gateway to set: any client can send it, and no upstream sees what it sent',
                    "match by path, host or a header of your own; to ask who the caller is, write allow",
                    at_key=True,
                )


def _header_keys(lint: Lint, route: LintedRoute) -> list[str]:
    """As they are spelled in the table."""
    located = locate(lint.root, (*route.path, "match", "headers"))
    return [] if located.left else list(located.node.value)


def _lint_shadowed(lint: Lint, route: LintedRoute, witnesses: Witnesses, by_position: dict[str, LintedRoute]) -> None:
    takers: dict[str, Witness] = {}
    for witness in witnesses.of(route.match):
        served = ask(lint.router, witness)
        if served is None or served is route.compiled:
            return
        takers.setdefault(served.position, witness)
    (position, shown), *_ = takers.items()
    others = " and ".join(by_position[taker].place for taker in takers)
    lint.add(
        (*route.path, "match"),
        "shadowed_route",
        f'"{route.id}" never serves a request: {others} {"takes" if len(takers) == 1 else "take"} all that it '
        f"matches; "
        f'{shown} goes to "{by_position[position].id}"',
        "take this route out, or narrow the others by methods, headers or query",
    )


def _lint_falls_through(
    lint: Lint, route: LintedRoute, witnesses: Witnesses, by_position: dict[str, LintedRoute]
) -> None:
    if not route.has_auth or route.match.methods is None:
        return
    # OPTIONS is asked by browsers before anybody is known, so an open route may well answer it.
    missing = [method for method in (*_WRITES, "GET") if method not in route.match.methods]
    for witness in witnesses.of(route.match, missing) if missing else ():
        served = ask(lint.router, witness)
        open_route = by_position[served.position] if served is not None else None
        if open_route is not None and not open_route.has_auth and open_route.compiled.call is not None:
            lint.add(
                (*route.path, "match"),
                "falls_through",
                f'{witness} asks nobody who they are: "{route.id}" serves {", ".join(route.match.methods)} only, '
                f"so it "
                f"goes to {open_route.place}, which has auth: none",
                "leave methods out here, or give the open route methods or a path of its own",
            )
            return


def lint_tests(lint: Lint) -> None:
    """untested_route, no_tests."""
    if not lint.table.tests:
        if shown := next(filter(None, (_suggested(lint, route) for route in lint.routes)), ""):
            lint.add((), "no_tests", "the table has no tests", f"add: tests: [{shown}]")
        return
    reached = {id(ask(lint.router, witness)) for witness in _tested(lint)}
    for route in lint.routes:
        # Of a route that serves nothing, lint_routing says more.
        if id(route.compiled) not in reached and (suggested := _suggested(lint, route)):
            lint.add(
                (*route.path, "id"),
                "untested_route",
                f'no test of the table comes to "{route.id}"',
                f"add to tests: - {suggested}",
            )


def _tested(lint: Lint) -> Iterator[Witness]:
    for test in lint.table.tests:
        method, target = test.request
        path, _, query = target.partition("?")
        headers = dict(test.headers)
        host = headers.pop("host", "").lower()
        yield Witness(method, host, path, tuple(headers.items()), query)


def _suggested(lint: Lint, route: LintedRoute) -> str:
    """A line for `tests:` that comes to the route, as the router itself says; "" where nothing does."""
    witnesses = Witnesses(other.match for other in lint.routes).of(route.match)
    witness = next(
        (each for each in witnesses if ask(lint.router, each) is route.compiled and each.method in METHODS), None
    )
    if witness is None:
        return ""
    lines = [*((("host", witness.host),) if witness.host else ()), *witness.headers]
    headers = f", headers: {{{', '.join(f'{name}: {value}' for name, value in lines)}}}" if lines else ""
    target = f'"{witness.path}?{witness.query}"' if witness.query else witness.path
    return f"{{{witness.method.lower()}: {target}{headers}, expect: {{route: {route.id}}}}}"
