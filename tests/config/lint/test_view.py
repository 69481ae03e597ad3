"""Hazard: a rule that points at the route for what stands in defaults, or the other way round."""

from gateway.config.compile import compile_loaded
from gateway.config.lint.view import Lint
from gateway.config.load import read_table
from gateway.config.source import from_memory
from tests.config.lint.good_table import ENVIRON, routes


def lint_of(*lines: str) -> Lint:
    read_file, find_files = from_memory({"routes.yaml": routes(*lines)})
    loaded = read_table("routes.yaml", environ=ENVIRON, read_file=read_file, find_files=find_files)
    return Lint(loaded, compile_loaded(loaded))


def test_a_policy_stands_on_the_route_or_in_defaults() -> None:
    lint = lint_of("{id: a, match: /a, to: crm, limit: 1/s}", "{id: b, match: /b, to: crm}")
    assert lint.path_of(lint.routes[0], "limit", "rate") == ("routes", 0, "limit", "rate")
    assert lint.path_of(lint.routes[1], "limit", "plan") == ("defaults", "limit", "plan")


def test_what_a_route_says_of_itself() -> None:
    lint = lint_of(
        "{id: a, match: {path: /a, methods: [GET, HEAD]}, to: crm}",
        "{id: b, match: /b, respond: {status: 200}, auth: none}",
    )
    one, other = lint.routes
    assert (one.has_auth, one.names_any(["GET"])) == (True, True)
    assert (other.has_auth, other.names_any(["GET"])) == (False, False)
    assert one.place == '"a" (routes.yaml:12:3)'


def test_what_comes_from_elsewhere_is_not_in_a_message() -> None:
    lint = lint_of("{id: a, match: /a, to: crm}")
    lint.add(("auth", "main", "jwt", "secret"), "secret_default", f"it is {ENVIRON['KEY']}")
    assert lint.findings[0].message == "it is ${env:KEY}"
    assert lint.findings[0].fix == "take the default out"
    assert lint.section("nothing") == {}
