"""Hazard: a closed route that lets in who was not named, or keeps out who was."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import GatewayError
from gateway.core.identity import Identity
from gateway.plugin_api import Exchange, PolicyError, RouteInfo
from plugins.maintenance import Maintenance
from tests.support.plugins import LentServices, exchange


def build(policy: Any, *, has_auth: bool = True) -> Maintenance:
    parsed = TypeAdapter(Maintenance.Policy).validate_python(policy)
    route = RouteInfo("r", "/r", None, "crm", {"auth": "main"} if has_auth else {})
    return Maintenance(parsed, route, LentServices())  # type: ignore[arg-type]


def of(*scopes: str, address: str = "192.0.2.7", is_known: bool = True) -> Exchange:
    made = exchange(client_ip=address)
    if is_known:
        made.identity = Identity(
            tenant="t1", user=None, plan=None, scopes=frozenset(scopes), claims={}, credential="jwt:main"
        )
    return made


def is_let_through(plugin: Maintenance, asked: Exchange) -> bool:
    code = ""
    try:
        plugin.on_request(asked)
    except GatewayError as error:
        code = error.kind.code
    assert (code, asked.verdicts["maintenance"]) in (("", "let_through"), ("maintenance", "refused"))
    return not code


@pytest.mark.parametrize(
    ("policy", "retry_after", "message"),
    [
        ("10m", b"600", "This is closed for maintenance"),
        ({"message": "Back at noon"}, b"300", "Back at noon"),
        ("1ms", b"1", "This is closed for maintenance"),
    ],
)
def test_it_says_when_to_come_back(policy: Any, retry_after: bytes, message: str) -> None:
    with pytest.raises(GatewayError) as raised:
        build(policy).on_request(of("crm.read"))
    assert (dict(raised.value.headers), raised.value.detail) == ({b"retry-after": retry_after}, message)


def test_who_has_all_the_scopes_passes() -> None:
    plugin = build({"allow": {"scopes": ["ops", "crm.write"]}})
    assert is_let_through(plugin, of("ops", "crm.write", "crm.read"))
    assert not is_let_through(plugin, of("ops"))
    assert not is_let_through(plugin, of("ops", "crm.write", is_known=False))


def test_who_comes_from_an_address_passes() -> None:
    plugin = build({"allow": {"addresses": ["10.0.0.0/8", "2001:db8::/32"]}}, has_auth=False)
    for address in ("10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"):
        assert is_let_through(plugin, of(address=address, is_known=False))
    for address in ("192.0.2.7", "::1", ""):
        assert not is_let_through(plugin, of(address=address, is_known=False))


def test_one_of_both_is_enough() -> None:
    plugin = build({"allow": {"addresses": ["10.0.0.0/8"], "scopes": ["ops"]}})
    assert is_let_through(plugin, of(address="10.1.2.3"))
    assert is_let_through(plugin, of("ops"))
    assert not is_let_through(plugin, of())


def test_without_allow_nobody_passes() -> None:
    assert not is_let_through(build("10m"), of("ops", address="127.0.0.1"))


def test_an_empty_allow_and_scopes_without_auth_are_refused_at_load() -> None:
    with pytest.raises(ValidationError, match="leave allow out"):
        build({"allow": {}})
    with pytest.raises(PolicyError, match="name an auth profile"):
        build({"allow": {"scopes": ["ops"]}}, has_auth=False)
