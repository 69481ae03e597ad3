"""Hazard: a request that is shown as proof and that the router would serve otherwise."""

import pytest

from gateway.config.lint.witness import Witness, Witnesses, ask
from gateway.config.model import Match
from tests.config.lint.good_table import check, routes


def test_words_are_no_routes_literals() -> None:
    matches = [
        Match(path="/x/{id:int}/*", host="*.example.com"),
        Match(path="/1/x"),
        Match(path="/a", host="x.example.com"),
    ]
    shown = [str(witness) for witness in Witnesses(matches).of(matches[0], ["GET"])]
    assert shown == [
        "GET /x/11/xx with host: xx.example.com",
        "GET /x/11 with host: xx.example.com",
    ]


def test_what_a_match_asks_for_is_there_and_nothing_else() -> None:
    match = Match(path="/a", methods=["POST"], headers={"X-A": "*", "x-b": "1"}, query={"q&r": "a b", "s": "*"})
    (witness,) = Witnesses([match]).of(match)
    assert str(witness) == "POST /a?q%26r=a+b&s=x with x-a: x, x-b: 1"


@pytest.mark.parametrize(("method", "route"), [("GET", "read"), ("POST", None), ("PROPFIND", None)])
def test_the_router_itself_is_asked(method: str, route: str | None) -> None:
    snapshot = check(routes("{id: read, match: {path: /crm/*, methods: [GET]}, to: crm}")).snapshot
    assert snapshot is not None
    served = ask(snapshot.router, Witness(method, "", "/crm/x"))
    assert (served.info.id if served else None) == route
