"""Hazard: a reload that changes nothing of an upstream drops its connections, or one that does keeps the old ones."""

import asyncio
import random
import ssl
from collections import Counter
from dataclasses import replace

import pytest

from gateway.core.health import HealthRule
from gateway.observe.metrics import WorkerMetrics
from gateway.upstreams.registry import Care, Endpoint, Registry, TlsShape, Upstream, UpstreamShape
from tests.support.certificates import Authority

SHAPE = UpstreamShape("crm", (("http://127.0.0.1:8101", 1), ("http://127.0.0.1:8102", 3)), "round_robin", 4, 60.0)


def make() -> Registry:
    return Registry(asyncio.get_running_loop(), random.Random(1), WorkerMetrics())


async def test_an_upstream_of_the_same_shape_is_the_same() -> None:
    registry = make()
    upstream = registry.upstream(SHAPE)
    assert registry.upstream(replace(SHAPE)) is upstream
    assert repr(upstream) == (
        "<Upstream crm [<Endpoint 127.0.0.1:8101 <Pool open=0/4 idle=0 waiting=0>>, "
        "<Endpoint 127.0.0.1:8102 <Pool open=0/4 idle=0 waiting=0>>]>"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"pool_max": 5},
        {"pool_idle_s": 1.0},
        {"balance": "random_two"},
        {"name": "hr"},
        {"tls": TlsShape(server_name="crm.internal")},
        {"tls": TlsShape(verify=False)},
    ],
)
async def test_any_change_makes_another(change: dict[str, object]) -> None:
    registry = make()
    assert registry.upstream(SHAPE) is not registry.upstream(replace(SHAPE, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("balance", ["round_robin", "least_requests", "random_two"])
async def test_weights_are_kept_to(balance: str) -> None:
    upstream = make().upstream(replace(SHAPE, balance=balance))  # type: ignore[arg-type]
    chosen = Counter(upstream.choose(()).name for _ in range(400))
    assert chosen["127.0.0.1:8102"] >= 240
    if balance != "least_requests":  # which takes the heavier one as long as both rest
        assert chosen["127.0.0.1:8101"] >= 20


@pytest.mark.parametrize("balance", ["round_robin", "least_requests", "random_two"])
async def test_another_attempt_goes_to_another_endpoint_while_there_is_one(balance: str) -> None:
    upstream = make().upstream(replace(SHAPE, balance=balance))  # type: ignore[arg-type]
    one, other = upstream.endpoints
    for _ in range(20):
        assert upstream.choose([one]) is other
        assert upstream.choose([other]) is one
        assert upstream.choose([one, other]) in (one, other)


@pytest.mark.parametrize(
    ("url", "host", "port", "name"),
    [
        ("http://crm.internal", "crm.internal", 80, "crm.internal"),
        ("https://crm.internal", "crm.internal", 443, "crm.internal"),
        ("http://[::1]:8101", "::1", 8101, "[::1]:8101"),
    ],
)
async def test_an_endpoint_knows_where_it_is(url: str, host: str, port: int, name: str) -> None:
    endpoint: Endpoint = make().upstream(replace(SHAPE, endpoints=((url, 1),))).endpoints[0]
    assert (endpoint.host, endpoint.port, endpoint.name) == (host, port, name)
    assert (endpoint.tls is not None) == url.startswith("https")
    assert endpoint.in_flight == 0


async def test_endpoints_of_an_upstream_share_its_tls_and_its_server_name() -> None:
    secure = replace(SHAPE, endpoints=(("https://a.test", 1), ("https://b.test:8443", 1), ("http://c.test", 1)))
    one, other, plain = make().upstream(secure).endpoints
    assert one.tls is other.tls and one.tls is not None and plain.tls is None
    assert one.tls.verify_mode is ssl.CERT_REQUIRED and one.tls.check_hostname
    assert [endpoint.server_name for endpoint in (one, other)] == ["a.test", "b.test"]
    named = make().upstream(replace(secure, tls=TlsShape(server_name="crm.internal", verify=False)))
    assert {endpoint.server_name for endpoint in named.endpoints} == {"crm.internal"}
    assert named.endpoints[0].tls is not None and named.endpoints[0].tls.verify_mode is ssl.CERT_NONE
    own = Authority().issue("gateway")
    assert own.key not in repr(TlsShape(client_cert=own.certificate, client_key=own.key))


async def test_a_warning_about_an_endpoint_is_due_once_a_minute() -> None:
    endpoint = make().upstream(SHAPE).endpoints[0]
    assert [endpoint.may_warn(now_s) for now_s in (0.0, 1.0, 59.9, 60.0, 61.0)] == [True, False, False, True, False]


async def test_requests_under_way_are_what_the_pool_has_out() -> None:
    endpoint = make().upstream(SHAPE).endpoints[0]
    assert endpoint.pool.reserve()
    assert endpoint.in_flight == 1


async def test_a_closed_registry_has_closed_every_pool() -> None:
    registry = make()
    upstream = registry.upstream(SHAPE)
    registry.close()
    assert all(endpoint.pool.is_closed for endpoint in upstream.endpoints)
    assert registry.upstream(SHAPE) is not upstream


HEALTH = HealthRule("/health", every_s=5.0, timeout_s=1.0, healthy_after=2, unhealthy_after=3)


def addresses(upstream: Upstream) -> list[tuple[str, str]]:
    return [(endpoint.name, endpoint.standing.state) for endpoint in upstream.endpoints]


@pytest.mark.parametrize(
    "change",
    [
        {"balance": "hash"},
        {"care": Care(replace(HEALTH, every_s=1.0), slow_start_s=9.0)},
        {"endpoints": (("http://127.0.0.1:8101", 5), ("http://127.0.0.1:8109", 1))},
    ],
    ids=["balance", "rules", "endpoints"],
)
async def test_a_change_that_does_not_concern_an_endpoint_leaves_its_connections_and_its_health(
    change: dict[str, object],
) -> None:
    registry = make()
    shape = replace(SHAPE, care=Care(HEALTH))
    old = registry.upstream(shape)
    registry.serve([old])
    old.endpoints[0].standing.probed("status 503")
    new = registry.upstream(replace(shape, **change))  # type: ignore[arg-type]
    assert old.rotation == (old.endpoints[1],)
    registry.serve([new])
    assert new.endpoints[0] is old.endpoints[0]
    assert addresses(new)[0] == ("127.0.0.1:8101", "unhealthy")
    assert new.rotation == (new.endpoints[1],)
    registry.close()


async def test_what_belongs_to_no_table_any_more_is_closed() -> None:
    registry = make()
    old = registry.upstream(SHAPE)
    registry.serve([old])
    new = registry.upstream(replace(SHAPE, pool_max=5, endpoints=SHAPE.endpoints[:1]))
    assert not any(endpoint.pool.is_closed for endpoint in old.endpoints)
    registry.serve([new])
    assert all(endpoint.pool.is_closed for endpoint in old.endpoints)
    assert not new.endpoints[0].pool.is_closed
    assert new.endpoints[0].series.up.value == 1
    # Where the old table comes back, it begins anew.
    assert registry.upstream(SHAPE) is not old
    registry.close()


async def test_a_table_that_is_built_and_never_served_changes_nothing() -> None:
    registry = make()
    old = registry.upstream(replace(SHAPE, care=Care(HEALTH)))
    registry.serve([old])
    registry.upstream(replace(SHAPE, endpoints=(("http://127.0.0.1:8101", 9), ("http://127.0.0.1:8102", 9))))
    assert [endpoint.weight for endpoint in old.endpoints] == [1, 3]
    assert old.endpoints[0].standing.care.health is HEALTH
    registry.close()


async def test_every_endpoint_with_a_rule_is_looked_after_once() -> None:
    registry = make()
    care = Care(HEALTH, resolve_s=30.0)
    named = replace(SHAPE, name="hr", endpoints=(("http://hr.internal", 1), ("http://127.0.0.1:8102", 1)), care=care)
    shape = replace(SHAPE, care=care)
    registry.serve([registry.upstream(shape), registry.upstream(named), registry.upstream(shape)])
    # Four to probe; of the hosts one is a name.
    assert len(registry._rounds._tasks) == 5
    tasks = set(registry._rounds._tasks.values())
    registry.serve([registry.upstream(named), registry.upstream(shape)])
    assert set(registry._rounds._tasks.values()) == tasks
    registry.serve([registry.upstream(SHAPE)])
    assert registry._rounds._tasks == {}
    registry.close()


async def test_the_report_is_of_what_is_in_force() -> None:
    registry = make()
    assert registry.report() == []
    upstream = registry.upstream(SHAPE)
    registry.serve([upstream])
    assert [(row["endpoint"], row["in_rotation"]) for row in registry.report()] == [
        ("127.0.0.1:8101", True),
        ("127.0.0.1:8102", True),
    ]
    registry.close()
    assert registry.report() == []
