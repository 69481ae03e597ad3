"""Policies that are read and checked only: cache, invalidates."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.plugin_api import HOOKS, PolicyError
from plugins.cache import Cache
from plugins.invalidates import Invalidates
from tests.plugins.lent_services import ROUTE, build

PUBLIC = replace(ROUTE, policies={})


@pytest.mark.parametrize("plugin", [Cache, Invalidates])
def test_they_say_so_and_have_no_hook(plugin: Any) -> None:
    assert not plugin.is_in_force
    assert not [hook for hook in HOOKS if hasattr(plugin, hook)]
    module = __import__(plugin.__module__, fromlist=["__doc__"])
    assert "not in force yet" in " ".join(module.__doc__.split())


def test_the_contracts_own_examples_are_valid() -> None:
    policy = {"ttl": "180s", "scope": "tenant", "stale": "30s", "stale_if_error": "1h", "tags": ["crm:{tenant}"]}
    build(Cache, policy)
    build(Invalidates, ["crm:{tenant}"])


def test_the_short_form_of_cache_is_a_duration() -> None:
    assert TypeAdapter(Cache.Policy).validate_python("3m").ttl == 180.0
    build(Cache, "3m", route=PUBLIC)


def test_cache_has_to_say_whose_a_reply_is_where_there_is_auth() -> None:
    with pytest.raises(PolicyError, match="say who may share") as caught:
        build(Cache, "3m")
    assert caught.value.path == ("scope",)
    with pytest.raises(PolicyError, match="there is no tenant"):
        build(Cache, {"ttl": "3m", "scope": "tenant"}, route=PUBLIC)


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
    route = replace(ROUTE, pattern="/crm/{id:int}/*")
    with pytest.raises(PolicyError) as caught:
        build(Invalidates, ["crm:{id}", tag], route=route)
    assert said in str(caught.value)
    assert caught.value.path == (1,)
    with pytest.raises(PolicyError) as caught:
        build(Cache, {"ttl": "3m", "scope": "tenant", "tags": ["crm:{id}", tag]}, route=route)
    assert caught.value.path == ("tags", 1)


def test_without_auth_no_tag_has_a_tenant() -> None:
    with pytest.raises(PolicyError, match="known: none"):
        build(Invalidates, ["crm:{tenant}"], route=PUBLIC)


@pytest.mark.parametrize(
    ("plugin", "policy"),
    [
        (Cache, {"ttl": 180}),
        (Cache, {"scope": "tenant"}),
        (Cache, {"ttl": "3m", "scope": "everybody"}),
        (Cache, {"ttl": "3m", "vary": "x"}),
        (Invalidates, []),
        (Invalidates, [1]),
    ],
)
def test_a_policy_that_cannot_be_meant_is_an_error_at_load(plugin: Any, policy: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(plugin.Policy).validate_python(policy)
