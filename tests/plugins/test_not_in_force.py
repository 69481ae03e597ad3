"""A policy that is read and checked only: idempotency."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.plugin_api import HOOKS, PolicyError
from plugins.idempotency import Idempotency
from tests.plugins.lent_services import ROUTE, build


@pytest.mark.parametrize("plugin", [Idempotency])
def test_they_say_so_and_have_no_hook(plugin: Any) -> None:
    assert not plugin.is_in_force
    assert not [hook for hook in HOOKS if hasattr(plugin, hook)]
    module = __import__(plugin.__module__, fromlist=["__doc__"])
    assert "not in force yet" in " ".join(module.__doc__.split())


def test_the_contracts_own_example_is_valid() -> None:
    build(Idempotency, "optional")


def test_safe_methods_need_no_idempotency_key() -> None:
    build(Idempotency, "required", route=replace(ROUTE, methods=frozenset({"GET", "POST"})))
    with pytest.raises(PolicyError, match="safe methods only"):
        build(Idempotency, "required", route=replace(ROUTE, methods=frozenset({"GET", "HEAD"})))


def test_a_policy_that_cannot_be_meant_is_an_error_at_load() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Idempotency.Policy).validate_python("maybe")
