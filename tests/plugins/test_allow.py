from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import GatewayError
from gateway.core.identity import Identity
from gateway.plugin_api import Exchange, PolicyError
from plugins.allow import Allow
from tests.plugins.lent_services import ROUTE, build, exchange_of


def exchange_by(*scopes: str, client_ip: str = "192.0.2.7", credential: str = "jwt:main", **claims: Any) -> Exchange:
    exchange = exchange_of(client_ip=client_ip)
    exchange.identity = Identity(
        tenant="t1", user=None, plan=None, scopes=frozenset(scopes), claims=claims, credential=credential
    )
    return exchange


def refused(policy: Any, exchange: Exchange) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        build(Allow, policy).on_request(exchange)
    assert exchange.verdicts["allow"] == caught.value.kind.code
    return caught.value


def test_all_scopes_are_needed_and_the_missing_are_named() -> None:
    error = refused(["crm.write", "crm.read", "crm.admin"], exchange_by("crm.read"))
    assert error.kind.code == "scope_missing"
    assert error.detail == "The caller lacks: crm.admin, crm.write."
    assert error.headers == (
        (
            b"www-authenticate",
            b'Bearer realm="gateway", error="insufficient_scope", scope="crm.write crm.read crm.admin"',
        ),
    )


def test_the_challenge_is_for_bearer_tokens_only() -> None:
    assert refused(["crm.read"], exchange_by(credential="api_key:machines")).headers == ()


def test_who_has_all_passes() -> None:
    policy = {"scopes": ["crm.read"], "modules": ["crm"], "addresses": ["192.0.2.0/24"]}
    exchange = exchange_by("crm.read", "other", modules=["hr", "crm"])
    build(Allow, policy).on_request(exchange)
    assert exchange.verdicts == {}


@pytest.mark.parametrize("modules", [["hr"], "hr", None, 7, [[]], [{}], {"crm": True}, "crmx"])
def test_a_module_that_is_not_licensed_is_named(modules: Any) -> None:
    error = refused({"modules": ["crm"]}, exchange_by(modules=modules))
    assert error.kind.code == "module_not_licensed"
    assert error.detail == "The tenant has not licensed: crm."


def test_modules_may_be_one_string() -> None:
    build(Allow, {"modules": ["crm"]}).on_request(exchange_by(modules="hr crm"))


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::5", True),
        ("203.0.113.9", True),
        ("203.0.113.10", False),
        ("192.0.3.1", False),
        ("2001:db9::5", False),
        ("", False),
        ("not an address", False),
    ],
)
def test_addresses(address: str, is_inside: bool) -> None:
    plugin = build(Allow, {"addresses": ["192.0.2.0/24", "2001:db8::/32", "203.0.113.9"]})
    for _ in range(2):  # the second answer is a remembered one
        if is_inside:
            plugin.on_request(exchange_of(client_ip=address))
        else:
            with pytest.raises(GatewayError, match="address_refused"):
                plugin.on_request(exchange_of(client_ip=address))


def test_nobody_known_has_no_scope_and_no_module() -> None:
    assert refused(["a"], exchange_of()).kind.code == "scope_missing"
    assert refused({"modules": ["a"]}, exchange_of()).kind.code == "module_not_licensed"


def test_scopes_and_modules_need_an_auth_profile() -> None:
    route = replace(ROUTE, policies={})
    for key in ("scopes", "modules"):
        with pytest.raises(PolicyError, match="auth: none") as caught:
            build(Allow, {key: ["a"]}, route=route)
        assert caught.value.path == (key,)
    build(Allow, {"addresses": ["192.0.2.0/24"]}, route=route)


@pytest.mark.parametrize("policy", [[], {}, ["a b"], {"addresses": ["192.0.2.1/24"]}, {"addresses": ["x"]}, "a", 7])
def test_a_policy_that_cannot_be_meant_is_an_error_at_load(policy: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Allow.Policy).validate_python(policy)


@pytest.mark.parametrize("value", [5, True, ["10.0.0.0/8"]])
def test_a_number_is_no_address(value: object) -> None:
    with pytest.raises(ValueError, match="an address or a network is text"):
        TypeAdapter(Allow.Policy).validate_python({"addresses": [value]})
