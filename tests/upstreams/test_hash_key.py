"""Hazard: requests of two users share a key, or one's are told apart by something that changes."""

import pytest

from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.plugin_api import Exchange
from gateway.upstreams.hash_key import key_reader


def exchange(**more: str | None) -> Exchange:
    lines = [(b"cookie", b"a=1; sid=s7; sid=s8"), (b"cookie", b"x=y"), (b"x-shard", b"s\xe9")]
    made = Exchange(method="GET", target="/", headers=Headers(lines), client_ip="192.0.2.7")
    if more:
        made.identity = Identity(
            **{"tenant": None, "user": None, **more}, plan=None, scopes=frozenset(), claims={}, credential="jwt:x"
        )
    return made


@pytest.mark.parametrize(
    ("hash_on", "identity", "expected"),
    [
        ("tenant", {"tenant": "t1"}, "t1"),
        ("tenant", {"user": "u1"}, ""),
        ("tenant", {}, ""),
        ("user", {"tenant": "t1", "user": "u1"}, "t1/u1"),
        ("user", {"user": "u1"}, "/u1"),
        ("user", {"tenant": "t1"}, ""),
        ("ip", {}, "192.0.2.7"),
        ("header:X-Shard", {}, "sé"),
        ("header:X-Other", {}, ""),
        ("cookie:sid", {}, "s7"),
        ("cookie:x", {}, "y"),
        ("cookie:y", {}, ""),
    ],
)
def test_what_a_request_is_told_apart_by(hash_on: str, identity: dict[str, str], expected: str) -> None:
    assert key_reader(hash_on)(exchange(**identity)) == expected
