"""What a write drops, and when."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import BODY_TOO_LARGE, UPSTREAM_RESET, GatewayError
from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.core.kept_replies import Purge
from gateway.plugin_api import Exchange, PolicyError, Reply, StoreDown
from plugins.invalidates import Invalidates
from tests.plugins.lent_services import ROUTE, LentServices, build

PUBLIC = replace(ROUTE, policies={})
ACME = Identity(tenant="acme", user="u1", plan=None, scopes=frozenset(), claims={}, credential="jwt:main")


class Kept:
    """Records purges; down: what the store says to them."""

    def __init__(self) -> None:
        self.purges: list[Purge] = []
        self.is_down = False

    async def purge(self, purge: Purge) -> None:
        self.purges.append(purge)
        if self.is_down:
            raise StoreDown("down")


def answering(outcome: Any) -> Callable[[Exchange], Awaitable[Reply]]:
    async def call(exchange: Exchange) -> Reply:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call


def write_to(target: str, method: str = "POST") -> Exchange:
    exchange = Exchange(method=method, target=target, headers=Headers(), authority="api.example")
    exchange.identity = ACME
    exchange.params = {"id": "7"}
    return exchange


async def write(outcome: Any, *, is_down: bool = False, method: str = "POST") -> tuple[list[Purge], LentServices]:
    services = LentServices()
    services.kept = Kept()
    services.kept.is_down = is_down
    plugin = build(Invalidates, ["crm:{tenant}", "all"], services)
    call = plugin.wrap_upstream(answering(outcome))
    try:
        await call(write_to("/contacts?x=1", method))
    except GatewayError:
        pass
    return services.kept.purges, services


@pytest.mark.parametrize("status", [200, 201, 204, 303])
async def test_a_write_that_succeeds_drops_its_tags_and_its_target_for_everybody_it_can_be_of(status: int) -> None:
    purges, services = await write(Reply(status))
    assert [purge.tags for purge in purges] == [("all", "crm:acme")]
    assert set(purges[0].keys) == {
        (scope, "http", "api.example", "/contacts", "x=1") for scope in ("", "t4:acme", "u4:acme:u1")
    }
    assert services.metrics.counts["gateway_cache_invalidations", "crm"] == 1


async def test_what_location_names_is_dropped_as_well() -> None:
    purges, _ = await write(Reply(201, Headers([(b"location", b"/contacts/8")])))
    assert {key[3] for key in purges[0].keys} == {"/contacts", "/contacts/8"}


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_a_write_that_failed_drops_nothing(status: int) -> None:
    assert (await write(Reply(status)))[0] == []


async def test_a_read_on_the_same_route_drops_nothing() -> None:
    assert (await write(Reply(200), method="GET"))[0] == []


async def test_where_the_answer_got_lost_they_are_dropped_to_be_sure() -> None:
    purges, _ = await write(GatewayError(UPSTREAM_RESET))
    assert [purge.tags for purge in purges] == [("all", "crm:acme")]
    assert (await write(GatewayError(BODY_TOO_LARGE)))[0] == []


@pytest.mark.parametrize("status", [500, 502])
async def test_of_a_write_that_broke_off_nobody_knows_what_it_did(status: int) -> None:
    purges, _ = await write(Reply(status))
    assert [purge.tags for purge in purges] == [("all", "crm:acme")]


async def test_a_store_that_is_down_does_not_make_the_write_fail() -> None:
    purges, services = await write(Reply(200), is_down=True)
    assert len(purges) == 1
    assert services.metrics.counts["gateway_cache_invalidations_owed", "crm"] == 1


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("crm:{tennant}", "{tennant}, which is not known here; known: {id}, {tenant}, {user}"),
        ("crm:{tenant", "braces"),
        ("crm:}", "braces"),
        ("", "not empty"),
    ],
)
def test_a_tag_that_cannot_be_filled_is_an_error_at_load(tag: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        build(Invalidates, ["crm:{id}", tag], route=replace(ROUTE, pattern="/crm/{id:int}/*"))
    assert said in str(caught.value)
    assert caught.value.path == (1,)


def test_without_auth_no_tag_has_a_tenant() -> None:
    with pytest.raises(PolicyError, match="known: none"):
        build(Invalidates, ["crm:{tenant}"], route=PUBLIC)


def test_on_a_route_of_safe_methods_it_would_do_nothing() -> None:
    with pytest.raises(PolicyError, match="change nothing"):
        build(Invalidates, ["a"], route=replace(ROUTE, methods=frozenset({"GET", "HEAD"})))


@pytest.mark.parametrize("policy", [[], [1], "a"])
def test_a_policy_that_cannot_be_meant_is_an_error_at_load(policy: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Invalidates.Policy).validate_python(policy)
