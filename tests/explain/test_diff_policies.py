"""Hazard: a change of a policy lets somebody in, and the diff calls it something else."""

import pytest

from tests.explain.tables import said

HEAD = """\
version: 1
auth:
  main: {jwt: {algorithms: [HS256], secret: "${env:SECRET}", issuer: us, audience: here}}
  same: {jwt: {algorithms: [HS256], secret: "${env:SECRET}", issuer: us, audience: here}}
  weak: {jwt: {algorithms: [HS256, HS384], secret: "${env:SECRET}", issuer: us, leeway: 30s}}
  strict: {jwt: {algorithms: [HS256], secret: "${env:SECRET}", issuer: us, audience: here}}
  other: {jwt: {algorithms: [HS256], secret: "${env:OTHER}", issuer: us, audience: here}}
  keys: {api_key: {keys: {ci: {sha256: DIGEST, scopes: [a]}}}}
plans:
  free: {limits: [60/min, 1000/h]}
  pro: {limits: [500/min]}
upstreams: {one: {endpoints: ["http://127.0.0.1:1"]}}
routes:
""".replace("DIGEST", "0" * 64)
ROUTE = "- {id: a, match: {path: /a, methods: [GET]}, to: one, POLICIES}\n"
WEAKER = "accepts HS384; asks for no audience; has a leeway of 30s in place of 0s"
STRICTER = "refuses HS384; asks for the audience here; has a leeway of 0s in place of 30s"


def change(old: str, new: str) -> list[str]:
    """What is said where a route with auth has the one and then the other."""
    policies = [text if text.startswith("auth") else f"auth: main, {text}".rstrip(", ") for text in (old, new)]
    return said(*(HEAD + ROUTE.replace("POLICIES", text) for text in policies))


@pytest.mark.parametrize(
    ("old", "new", "there", "back"),
    [
        ("auth: main", "auth: none", "widening: a loses auth", "breaking: a asks for auth (main)"),
        (
            "auth: main",
            "auth: weak",
            f"widening: a: auth profile weak in place of main, which {WEAKER}",
            f"breaking: a: auth profile main in place of weak, which {STRICTER}",
        ),
        (
            "auth: main",
            "auth: same",
            "neutral: a: auth profile same in place of main, which is the same",
            "neutral: a: auth profile main in place of same, which is the same",
        ),
        (
            "auth: main",
            "auth: keys",
            "widening: a: auth profile keys in place of main, which knows callers by API keys instead",
            "widening: a: auth profile main in place of keys, which knows callers by tokens instead",
        ),
        (
            "auth: main",
            "auth: other",
            "widening: a: auth profile other in place of main, which accepts tokens of another key",
            "widening: a: auth profile main in place of other, which accepts tokens of another key",
        ),
        ("allow: [x, y]", "allow: [x]", "widening: a no longer asks for scopes y", "breaking: a asks for scopes y"),
        ("allow: [x]", "", "widening: a no longer asks for scopes x", "breaking: a asks for scopes x"),
        (
            "allow: {modules: [crm]}",
            "",
            "widening: a no longer asks for modules crm",
            "breaking: a asks for modules crm",
        ),
        (
            "allow: {addresses: [10.0.0.0/8]}",
            "",
            "widening: a is open to every address",
            "breaking: a is closed to other addresses",
        ),
        (
            "allow: {addresses: [10.1.0.0/16]}",
            "allow: {addresses: [10.0.0.0/8]}",
            "widening: a is open to addresses of 10.0.0.0/8",
            "breaking: a is closed to addresses of 10.0.0.0/8",
        ),
        ("limit: 60/min", "", "widening: a loses its limit", "breaking: a gets a limit"),
        (
            "limit: 60/min",
            "limit: 600/min",
            "widening: limit of a: 60/min -> 600/min",
            "breaking: limit of a: 600/min -> 60/min",
        ),
        (
            "limit: 60/min",
            "limit: 3600/h",
            "widening: limit of a: 60/min -> 3600/h",
            "breaking: limit of a: 3600/h -> 60/min",
        ),
        (
            "limit: {rates: [60/min, 100/h]}",
            "limit: 60/min",
            "widening: limit of a: 100/h -> none",
            "breaking: limit of a: none -> 100/h",
        ),
        (
            "limit: {plan: true}",
            "limit: 60/min",
            "widening: limit of a: 60/min of its own, which takes nothing from the plan",
            "widening: limit of a: the caller's plan in place of 60/min, which is more for pro",
        ),
        (
            "limit: {plan: true, by: tenant}",
            "limit: {plan: true, by: user}",
            "widening: limit of a counts by user in place of tenant",
            "breaking: limit of a counts by tenant in place of user",
        ),
        (
            "limit: {plan: true, by: tenant}",
            "limit: {plan: true, by: ip}",
            "widening: limit of a counts by ip in place of tenant",
            "widening: limit of a counts by tenant in place of ip",
        ),
        (
            "limit: {plan: true, on_store_down: closed}",
            "limit: {plan: true, on_store_down: open}",
            "widening: limit of a without its store: closed -> open",
            "breaking: limit of a without its store: open -> closed",
        ),
        (
            "limit: {plan: true, cost: 2}",
            "limit: {plan: true}",
            "widening: a request of a costs 1 in place of 2",
            "breaking: a request of a costs 2 in place of 1",
        ),
        (
            "limit: {plan: true}",
            "limit: {plan: true, mode: shadow}",
            "widening: limit of a only counts, and refuses nothing",
            "breaking: limit of a refuses from now on",
        ),
        (
            "limit: {concurrent: 5}",
            "limit: {concurrent: 6}",
            "widening: limit of a: at once 5 -> 6",
            "breaking: limit of a: at once 6 -> 5",
        ),
        (
            "limit: {rate: 1/s, concurrent: 5}",
            "limit: 1/s",
            "widening: limit of a: at once 5 -> any number",
            "breaking: limit of a: at once any number -> 5",
        ),
        (
            "cache: {ttl: 3m, scope: tenant}",
            "cache: {ttl: 3m, scope: public}",
            "widening: cache of a becomes public",
            "neutral: cache of a becomes shared by each tenant",
        ),
        (
            "cache: {ttl: 3m, scope: user}",
            "cache: {ttl: 3m, scope: tenant}",
            "widening: cache of a becomes shared by each tenant",
            "neutral: cache of a becomes each user's own",
        ),
        (
            "",
            "cache: {ttl: 3m, scope: public}",
            "widening: cache of a becomes public",
            "neutral: a keeps no replies any more",
        ),
        (
            "auth: none",
            "auth: none, cache: 3m",
            "neutral: a keeps replies, public",
            "neutral: a keeps no replies any more",
        ),
        (
            "cache: {ttl: 3m, scope: user, vary: [x-a, x-b]}",
            "cache: {ttl: 3m, scope: user, vary: [x-a]}",
            "widening: cache of a no longer tells replies apart by x-b",
            "neutral: cache of a tells replies apart by x-b",
        ),
        (
            "cache: {ttl: 3m, scope: user}",
            "cache: {ttl: 3m, scope: user, override: true}",
            "widening: cache of a keeps what its upstream says not to",
            "neutral: cache of a obeys its upstream",
        ),
        (
            "cache: {ttl: 3m, scope: user}",
            "cache: {ttl: 4m, scope: user, stale: 1s}",
            "neutral: cache of a changes: stale, ttl",
            "neutral: cache of a changes: stale, ttl",
        ),
        (
            "",
            "cors: ['https://b.example']",
            "widening: a can be read by pages of https://b.example",
            "breaking: a can be read by no page any more",
        ),
        (
            "cors: ['https://b.example']",
            "cors: ['https://*.example', 'https://b.example']",
            "widening: a can be read by pages of https://*.example",
            "breaking: a can no longer be read by pages of https://*.example",
        ),
        (
            "cors: ['https://*.example']",
            "cors: ['*']",
            "widening: a can be read by pages of *",
            "breaking: a can no longer be read by pages of *",
        ),
        (
            "cors: {origins: ['https://b.example']}",
            "cors: {origins: ['https://b.example'], credentials: true}",
            "widening: pages use a with credentials",
            "breaking: pages use a without credentials",
        ),
        (
            "cors: {origins: ['https://b.example'], headers: [X-A]}",
            "cors: {origins: ['https://b.example'], headers: [x-a, X-B]}",
            "widening: pages may use headers x-b with a",
            "breaking: pages may no longer use headers x-b with a",
        ),
        (
            "cors: {origins: ['https://b.example'], max_age: 1m}",
            "cors: {origins: ['https://b.example'], max_age: 2m}",
            "neutral: cors of a: max_age 60s -> 120s",
            "neutral: cors of a: max_age 120s -> 60s",
        ),
    ],
)
def test_each_change_and_its_way_back(old: str, new: str, there: str, back: str) -> None:
    assert change(old, new) == [there]
    assert change(new, old) == [back]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("limit: 60/min", "limit: {rates: [60/min]}"),
        ("limit: {rates: [60/min, 100/h]}", "limit: {rates: [100/h, 60/min], by: tenant, cost: 1}"),
        ("allow: [x, y]", "allow: {scopes: [y, x]}"),
        ("allow: {addresses: [10.0.0.0/8, 10.1.0.0/16]}", "allow: {addresses: [10.0.0.0/8]}"),
        ("cors: ['https://*.b.example', 'https://a.b.example']", "cors: ['https://*.b.example']"),
        ("cors: {origins: ['*']}", "cors: {origins: ['*'], methods: [GET]}"),
        ("cache: {ttl: 60s, scope: user}", "cache: {ttl: 1m, scope: user, layers: [l1, l2]}"),
        ("limit: 60/min", "limit: {rates: [60/min, 100/min]}"),
    ],
)
def test_another_form_of_the_same_is_no_widening(old: str, new: str) -> None:
    for one, other in ((old, new), (new, old)):
        assert [line for line in change(one, other) if not line.startswith("neutral: limit of a: ")] == []


@pytest.mark.parametrize(
    ("old", "new", "there", "back"),
    [
        ("pro: {limits: [500/min]}", "pro: {limits: [600/min]}", "widening: plan pro: 500/min -> 600/min", "breaking"),
        ("pro: {limits: [500/min]}", "pro: {limits: [500/min, 9/s]}", "breaking: plan pro: none -> 9/s", "widening"),
        (
            "pro: {limits: [500/min]}",
            "pro: {limits: [500/min], concurrent: 2}",
            "breaking: plan pro: at once any number -> 2",
            "widening",
        ),
        ("leeway: 30s", "leeway: 60s", "widening: auth profile weak has a leeway of 60s in place of 30s", "breaking"),
        ("algorithms: [HS256, HS384]", "algorithms: [HS256]", "breaking: auth profile weak refuses HS384", "widening"),
        ("weak: {jwt", "weal: {jwt", "neutral: auth profile weak is gone", "neutral"),
        (
            "ci: {sha256: DIGEST, scopes: [a]}",
            "ci: {sha256: DIGEST, scopes: [a, b]}",
            "widening: auth profile keys changes whose the key ci is or what it may",
            "breaking",
        ),
        (
            "scopes: [a]}}",
            "scopes: [a]}, it: {sha256: " + "1" * 64 + "}}",
            "widening: auth profile keys accepts the key it",
            "breaking",
        ),
    ],
)
def test_a_change_of_a_section_is_told_once_whatever_the_number_of_routes(
    old: str, new: str, there: str, back: str
) -> None:
    old, new = old.replace("DIGEST", "0" * 64), new.replace("DIGEST", "0" * 64)
    before = HEAD + "".join(
        ROUTE.replace("id: a", f"id: {name}").replace("/a", f"/{name}").replace("POLICIES", "auth: main, limit: 1/s")
        for name in "abc"
    )
    after = before.replace(old, new)
    assert after != before
    assert there in said(before, after)
    assert {line.partition(":")[0] for line in said(after, before)} <= {back, "neutral"}
    assert said(before, after)[0].partition(":")[0] == there.partition(":")[0]


def test_callers_of_a_plan_that_is_gone_get_the_default_plan() -> None:
    table = HEAD + ROUTE.replace("POLICIES", "auth: main, limit: {plan: true}")
    gone = table.replace("  pro: {limits: [500/min]}\n", "")
    assert said(table, gone) == ["breaking: plan pro is gone, its callers have free: 500/min -> 60/min, 1000/h"]
    assert said(gone, table) == ["neutral: plan pro is new: 500/min"]
    moved = f"{table}identity: {{default_plan: pro}}\n"
    assert said(table, moved) == [
        "widening: callers without a known plan have pro in place of free: 60/min, 1000/h -> 500/min"
    ]


def test_a_policy_of_a_plugin_that_does_not_say_what_a_change_means_is_judged_by_its_stage() -> None:
    assert change("", "compress: [br]") == ["neutral: a gets compress"]
    assert change("compress: [br]", "compress: [gzip]") == ["neutral: compress of a changes"]
    assert change("headers: {reply: {remove: [Server]}}", "") == ["breaking: a loses headers"]
    assert change("", "headers: {reply: {remove: [Server]}}") == ["neutral: a gets headers"]
    writes = HEAD + ROUTE.replace("GET", "POST").replace("POLICIES", "auth: main, idempotency: optional")
    assert said(writes, writes.replace("optional", "required")) == ["breaking: idempotency of a changes"]
