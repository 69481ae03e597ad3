"""Hazard: a setting of the table that never reaches what it is for."""

from gateway.config import model
from gateway.core.ejection import EjectRule
from gateway.core.health import HealthRule
from gateway.upstreams.shape import Care, TlsShape, UpstreamShape, shape_of


def test_what_is_left_out() -> None:
    shape = shape_of("crm", model.Upstream.model_validate({"endpoints": ["http://a:1"]}))
    assert shape == UpstreamShape("crm", (("http://a:1", 1),), "round_robin", 256, 60.0, TlsShape(), "tenant", Care())


def test_all_of_it() -> None:
    shape = shape_of(
        "crm",
        model.Upstream.model_validate(
            {
                "endpoints": [{"url": "https://a:1", "weight": 3}],
                "balance": "hash",
                "hash_on": "cookie:sid",
                "health": {"path": "/h", "every": "4s", "timeout": "2s", "healthy_after": 5, "unhealthy_after": 6},
                "eject": {"errors": 7, "for": "8s", "at_most": "9%"},
                "slow_start": "10s",
                "resolve": "11s",
                "pool": {"max": 12, "idle": "13s"},
                "tls": {"server_name": "b"},
            }
        ),
    )
    care = Care(HealthRule("/h", 4.0, 2.0, 5, 6), EjectRule(7, 8.0, 0.09), 10.0, 11.0)
    assert shape == UpstreamShape(
        "crm", (("https://a:1", 3),), "hash", 12, 13.0, TlsShape(server_name="b"), "cookie:sid", care
    )
