"""Hazard: a rule that means nothing is accepted, and a bad table stays."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.watch_settings import Watch


@pytest.mark.parametrize(
    ("rule", "share"), [("error_rate > 5%", 0.05), ("error_rate>50%", 0.5), ("error_rate  >  0%", 0.0)]
)
def test_a_rule_is_a_share(rule: str, share: float) -> None:
    watch = Watch.model_validate({"rollback_if": rule})
    assert (watch.rollback_if, watch.for_) == (share, 60.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"rollback_if": "error_rate > 100%"},
        {"rollback_if": "error_rate > 5"},
        {"rollback_if": "latency > 5%"},
        {"rollback_if": "5%"},
        {"rollback_if": 5},
        {"for": "60s"},
        {"for": "0s", "rollback_if": "error_rate > 5%"},
        {"for": "60", "rollback_if": "error_rate > 5%"},
        {"for": "60s", "rollback_if": "error_rate > 5%", "then": "pray"},
    ],
)
def test_anything_else_is_an_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Watch.model_validate(settings)
