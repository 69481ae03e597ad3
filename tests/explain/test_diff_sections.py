"""Hazard: a change outside of the routes opens something for all of them, and is not told, or tells a secret."""

import pytest

from tests.explain.tables import said

ENDPOINTS = """\
["https://a.example", {url: "https://b.example", weight: 2}]
    balance: round_robin
    tls: {verify: true}\
"""
TABLE = """\
version: 1
identity: {tenant: claim:tenant_id, default_plan: free}
gateway:
  store: "redis://:hunter2@h:1/0"
  trusted_proxies: [10.1.0.0/16]
  limits: {header_max: 32KiB, header_timeout: 9s}
upstreams:
  one:
    endpoints: ["https://a.example", {url: "https://b.example", weight: 2}]
    balance: round_robin
    tls: {verify: true}
routes:
- {id: a, match: /a, to: one, auth: none}
"""


@pytest.mark.parametrize(
    ("old", "new", "there", "back"),
    [
        (
            "verify: true",
            "verify: false",
            "widening: upstream one is not verified any more (tls.verify: false)",
            "breaking",
        ),
        ("tls: {verify: true}", "tls: {server_name: x}", "breaking: upstream one: tls changes", "breaking"),
        (
            ENDPOINTS,
            '["http://a.example"]',
            "widening: upstream one is asked without TLS",
            "breaking",
        ),
        ("weight: 2", "weight: 3", "neutral: upstream one: weights change", "neutral"),
        (
            "https://a.ex",
            "https://c.ex",
            "breaking: upstream one: https://a.example, https://b.example -> https://b.example, https://c.example",
            "breaking",
        ),
        ("round_robin", "least_requests", "neutral: upstream one changes: balance", "neutral"),
        (
            "tenant: claim:tenant_id",
            "tenant: claim:org",
            "widening: identity.tenant comes from claim:org in place of claim:tenant_id",
            "widening",
        ),
        ("10.1.0.0/16", "10.0.0.0/8", "widening: gateway.trusted_proxies believes 10.0.0.0/8", "breaking"),
        ("32KiB", "64KiB", "widening: gateway.limits.header_max: 32768 -> 65536", "breaking"),
        ("header_timeout: 9s", "header_timeout: 8s", "neutral: gateway.limits.header_timeout changes", "neutral"),
        ("hunter2", "hunter3", "neutral: gateway.store changes", "neutral"),
        (
            "  limits:",
            "  explain_key: sixteen-characters\n  limits:",
            "neutral: gateway.explain_key changes",
            "neutral",
        ),
        (
            "default_plan: free",
            "default_plan: pro",
            "neutral: callers without a known plan have pro in place of free",
            "neutral",
        ),
    ],
)
def test_each_change_and_the_risk_of_its_way_back(old: str, new: str, there: str, back: str) -> None:
    changed = TABLE.replace(old, new)
    assert changed != TABLE
    found = said(TABLE, changed)
    assert there in found
    assert {line.partition(":")[0] for line in said(changed, TABLE)} >= {back}
    assert "hunter" not in str(found)
    assert "sixteen" not in str(found)


def test_an_upstream_that_comes_or_goes_opens_nothing_by_itself() -> None:
    more = TABLE.replace("upstreams:\n", 'upstreams:\n  two: {endpoints: ["http://c.example"]}\n')
    assert said(TABLE, more) == ["neutral: upstream two is new"]
    assert said(more, TABLE) == ["neutral: upstream two is gone"]
