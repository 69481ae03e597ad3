"""Hazard: two callers, routes or representations under one key."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache_keys import Names, choose_scope, keys_of_target, may_fill, origin_of, takes
from gateway.core.headers import Headers
from gateway.core.identity import Identity


def caller(tenant: str | None = "acme", user: str | None = "u1", plan: str | None = None) -> Identity:
    return Identity(tenant=tenant, user=user, plan=plan, scopes=frozenset({"b", "a"}), claims={}, credential="jwt:m")


def request(**fields: str) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])


texts = st.text(max_size=6)


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_no_two_callers_share_a_scope(one: tuple[str, str], other: tuple[str, str]) -> None:
    scopes: set[Any] = set()
    for tenant, user in {one, other}:
        scopes |= {choose_scope("tenant")(caller(tenant, user)), choose_scope("user")(caller(tenant, user))}
    tenants = {tenant for tenant, _ in (one, other) if tenant}
    users = {(tenant, user) for tenant, user in (one, other) if tenant and user}
    assert len(scopes - {None}) == len(tenants) + len(users)
    assert choose_scope("public")(None) not in scopes - {None}


@pytest.mark.parametrize("identity", [None, caller(None), caller(""), caller(None, None)])
def test_a_caller_without_a_tenant_has_no_scope_of_one(identity: Identity | None) -> None:
    assert choose_scope("tenant")(identity) is None
    assert choose_scope("user")(identity) is None
    assert choose_scope("public")(identity) == ""


def test_a_caller_without_a_user_has_no_scope_of_one() -> None:
    assert choose_scope("user")(caller("acme", None)) is None


def test_a_target_is_kept_for_all_for_the_tenant_and_for_the_user() -> None:
    keys = keys_of_target(caller(), "https", "api.example", "/a/../b%41?x=/../1")
    assert keys == []
    keys = keys_of_target(caller(), "https", "api.example", "/b%41?x=/../1")
    assert [key[0] for key in keys] == ["", "t4:acme", "u4:acme:u1"]
    assert {key[1:] for key in keys} == {("https", "api.example", "/bA", "x=/../1")}
    assert len(keys_of_target(None, "http", "h", "/")) == 1


def test_only_a_trusted_proxy_says_what_was_asked_for() -> None:
    headers = request(x_forwarded_proto="https", x_forwarded_host="shop.example")
    assert origin_of("http", "gw", headers, is_trusted=False) == ("http", "gw")
    assert origin_of("http", "gw", headers, is_trusted=True) == ("https", "shop.example")
    assert origin_of("http", "gw", Headers(), is_trusted=True) == ("http", "gw")


def test_routes_have_names_of_their_own() -> None:
    one, other = Names("a@crm", (), ()), Names("b@crm", (), ())
    assert one.of((), Headers(), None) != other.of((), Headers(), None)


def test_what_the_gateway_would_compress_alike_is_one_variant() -> None:
    names = Names("a@crm", (), ("zstd", "br", "gzip"))

    def of(value: str) -> bytes:
        return names.of((b"accept-encoding",), request(accept_encoding=value), None)

    assert of("gzip, br") == of("br;q=1.0, gzip;q=0.5, deflate") == of("br")
    assert len({of("br"), of("gzip"), of("zstd"), of("identity"), of("*;q=0")}) == 5
    assert names.of((b"accept-encoding",), Headers(), None) == of("identity")
    # The values that were seen are remembered, and stay right.
    assert of("gzip, br") == of("br")


def test_two_lines_of_accept_encoding_count_as_one_list() -> None:
    names = Names("a@crm", (), ("br", "gzip"))
    twice = Headers([(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip")])
    assert names.of((b"accept-encoding",), twice, None) == names.of(
        (b"accept-encoding",), request(accept_encoding="br, gzip"), None
    )


def test_what_the_policy_lists_counts_whatever_the_reply_says() -> None:
    names = Names("a@crm", ("accept-language",), ())
    assert names.of((), request(accept_language="de"), None) != names.of((), request(accept_language="en"), None)
    assert names.of((), request(accept_language="de"), None) == names.of((), request(accept_language="de"), caller())


@pytest.mark.parametrize("field", ["x-plan", "x-tenant-id", "x-user-id", "x-scopes"])
def test_identity_fields_are_the_verified_ones_whatever_a_client_sends(field: str) -> None:
    vary = (field.encode(),)
    forged = Headers([(field.encode(), b"enterprise")])
    for names, listed in ((Names("a@crm", (), ()), vary), (Names("a@crm", (field,), ()), ())):
        free = names.of(listed, Headers(), caller(plan="free"))
        assert names.of(listed, forged, caller(plan="free")) == free
        assert names.of(listed, forged, None) == names.of(listed, Headers(), None) != free


def test_only_the_whole_of_what_the_request_line_names_is_kept_for_others() -> None:
    assert may_fill("GET", request(accept="*/*"))
    assert not may_fill("HEAD", Headers())
    for name in ("range", "x_http_method_override", "x_original_url", "x_rewrite_url", "x_forwarded_prefix"):
        assert not may_fill("GET", request(**{name: "/admin"}))


def test_a_coding_goes_to_who_takes_it() -> None:
    assert takes(request(accept_encoding="br, gzip;q=0.5"), "gzip")
    assert not takes(request(accept_encoding="br"), "gzip")
    assert not takes(request(accept_encoding="gzip;q=0"), "gzip")
    assert not takes(Headers(), "gzip")
