"""Hazard: a broken route lets its requests through to a wider one, or takes all others down with it."""

import pytest

from gateway.config.compile import no_upstream
from gateway.config.load import read_table
from gateway.config.offline import offline_services
from gateway.config.partial import admit
from gateway.config.problems import TableInvalid
from gateway.config.snapshot import Snapshot
from gateway.core.errors import ROUTE_QUARANTINED, GatewayError
from gateway.core.headers import Headers
from gateway.core.routing import Found
from gateway.plugin_api import Exchange

TABLE = """
version: 1
gateway: {on_invalid: partial}
auth: {main: {jwt: {algorithms: [HS256], secret: "0123456789abcdef0123456789abcdef"}}}
plans: {free: {limits: [60/min]}}
defaults: {auth: none, cors: ["https://app.example"]}
upstreams:
  crm: {endpoints: ["http://127.0.0.1:1"]}
  hr: {endpoints: ["http://127.0.0.1:2"]}
routes:
- {id: wide, match: /*, to: crm}
- {id: crm, match: /crm/*, to: crm}
- {id: paid, match: /paid, to: crm, limit: {plan: true}}
- {id: hr, match: "/hr/{id}", to: hr, auth: main}
"""


def admitted(text: str) -> Snapshot:
    loaded = read_table("t.yaml", environ={}, read_file=lambda _: text, find_files=lambda _: [])
    return admit(loaded, offline_services(loaded), no_upstream)


def change(old: str, new: str, text: str = TABLE) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


def answer(snapshot: Snapshot, path: str) -> str:
    """The upstream of the route that serves a path, or the code of its refusal."""
    found = snapshot.router.match("GET", "a", path, Headers(), "")
    assert isinstance(found, Found)
    exchange = Exchange(method="GET", target=path, headers=Headers())
    if any(entry.route == found.target.info.id for entry in snapshot.quarantined):
        *before, refuse = found.target.request_hooks
        assert [hook(exchange) for hook in before] == [None] * len(before)
        with pytest.raises(GatewayError) as caught:
            refuse(exchange)
        assert found.target.call is None
        return caught.value.kind.code
    return str(found.target.info.upstream)


@pytest.mark.parametrize(
    ("old", "new", "path", "codes"),
    [
        ("match: /crm/*, to: crm", "match: /crm/*, to: nowhere", "/crm/x", ["unknown_upstream"]),
        ("match: /crm/*, to", "match: /crm/*, too: 1, to", "/crm/x", ["unknown_key"]),
        ("match: /crm/*, to: crm", "match: /crm/*", "/crm/x", ["missing_action"]),
        ("match: /crm/*, to", "match: /crm/*, timeout: {total: 5}, to", "/crm/x", ["bad_duration"]),
        ("match: /crm/*, to", 'match: /crm/*, rewrite: {prefix: "${env:NO}"}, to', "/crm/x", ["missing_env"]),
        # What shows only when plugins are built.
        ("match: /crm/*, to", "match: /crm/*, auth: main, cache: {ttl: 3m}, to", "/crm/x", ["scope_needed"]),
        ("auth: main}", "auth: mian}", "/hr/1", ["unknown_profile"]),
        # One problem behind another: the first hides what the second plugin would say.
        ("auth: main}", "auth: mian, cache: {ttl: 3m}, timeout: {total: 5}}", "/hr/1", ["bad_duration"]),
        # Of what a route uses.
        ('["http://127.0.0.1:2"]', "[ftp://x]", "/hr/1", ["invalid_value"]),
        ("hr: {endpoints", "hr: {balance: best, endpoints", "/hr/1", ["invalid_value"]),
        ("[60/min]", "[60]", "/paid", ["bad_rate"]),
        ('"0123456789abcdef0123456789abcdef"', "short", "/hr/1", ["key_refused"]),
        ("HS256", "HS257", "/hr/1", ["invalid_value"]),
        # Its name is broken, its match is not.
        ("id: hr", "id: HR!", "/hr/1", ["bad_id"]),
        ("id: hr", "id: crm", "/hr/1", ["duplicate_id"]),
    ],
)
def test_the_broken_route_answers_503_and_the_rest_is_served(old: str, new: str, path: str, codes: list[str]) -> None:
    snapshot = admitted(change(old, new))
    others = {"/crm/x": "crm", "/paid": "crm", "/hr/1": "hr", "/other": "crm"}
    del others[path]
    assert answer(snapshot, path) == ROUTE_QUARANTINED.code
    assert {other: answer(snapshot, other) for other in others} == others
    (entry,) = snapshot.quarantined
    assert [problem.code for problem in entry.problems][: len(codes)] == codes
    assert entry.position.startswith("t.yaml:")
    assert len({route.info.id for route in snapshot.routes}) == len(snapshot.routes) == 4
    # Pages of other origins may read the 503 as any other reply.
    assert "cors" in [plugin.name for plugin in snapshot.router.match("GET", "a", path, Headers(), "").target.plugins]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("match: /crm/*", "match: crm", "bad_path"),
        ("match: /crm/*", "match: {path: /crm/*, methods: [FETCH]}", "unknown_method"),
        ("match: /crm/*, ", "", "missing_key"),
        ("match: /crm/*", 'match: "${env:NO}"', "missing_env"),
        ("match: /paid", "match: /crm/*", "route_tie"),
        ("defaults: {auth: none", "defaults: {auth: none, body_max: 5", "bad_size"),
        ("gateway: {", "gateway: {stor: x, ", "unknown_key"),
        ("version: 1", "version: 2", "invalid_value"),
        ("routes:\n", "routes: [\n", "not_yaml"),
        ("upstreams:\n", "upstreams:\n  idle: {endpoints: []}\n", "invalid_value"),
        ("plans:", "identity: {tenant: org}\nplans:", "bad_claim"),
    ],
)
def test_what_is_no_single_routes_fault_refuses_the_whole(old: str, new: str, code: str) -> None:
    with pytest.raises(TableInvalid) as caught:
        admitted(change(old, new))
    assert code in {problem.code for problem in caught.value.problems}


def test_one_route_with_a_bad_match_among_broken_ones_refuses_the_whole_with_all_that_is_wrong() -> None:
    text = change("match: /crm/*, to: crm", "match: /crm/*, to: nowhere")
    with pytest.raises(TableInvalid) as caught:
        admitted(change("match: /paid", "match: paid", text))
    assert {problem.code for problem in caught.value.problems} == {"unknown_upstream", "bad_path"}


def test_by_default_any_problem_refuses_the_whole() -> None:
    text = change("match: /crm/*, to: crm", "match: /crm/*, to: nowhere")
    with pytest.raises(TableInvalid):
        admitted(change("gateway: {on_invalid: partial}", "gateway: {}", text))
    with pytest.raises(TableInvalid):
        admitted(change("partial", "reject", text))


def test_a_good_table_has_nothing_set_aside() -> None:
    assert admitted(TABLE).quarantined == ()
