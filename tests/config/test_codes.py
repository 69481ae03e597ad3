"""Hazard: a code that nothing provokes, or one that operators meet and no table explains."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.codes import CODES
from tests.config.lint.good_table import check, edited, routes

TOP = Path(__file__).parents[2]
SECRET = "a-secret-that-is-long-enough-for-hs256"


def route(text: str) -> str:
    """The good table, whose one route says this as well."""
    return edited(("to: crm}", f"to: crm, {text}}}"))


def profile(text: str) -> str:
    """The good table, whose one profile is this."""
    return edited(('{jwt: {algorithms: [HS256], secret: "${env:KEY}", issuer: us, audience: api}}', text))


CRM = '{endpoints: ["http://127.0.0.1:8101"]}'
HR = ("upstreams:\n", f"upstreams:\n  hr: {CRM}\n")
PROVOKED = {
    "not_yaml": "version: 1\n\troutes: []\n",
    "unknown_tag": edited(("version: 1", "version: !!int 1")),
    "duplicate_key": route("to: crm"),
    "missing_file": edited(("${env:KEY}", "${file:nope}")),
    "missing_env": edited(("${env:KEY}", "${env:NOPE}")),
    "bad_reference": edited(("${env:KEY}", "${KEY}")),
    "invalid_include": edited(("routes:", "include: other.yaml\nroutes:")),
    "duplicate_include": edited(("routes:", "include: [routes.yaml]\nroutes:")),
    "wrong_type": edited(("gateway: {", "identity: []\ngateway: {")),
    "unknown_key": route("lmit: 5/s"),
    "missing_key": edited(("id: crm, ", "")),
    "invalid_value": route("retry: {attempts: 99}"),
    "bad_duration": route("timeout: {total: 30}"),
    "bad_size": route("body_max: 10MB"),
    "bad_rate": route("limit: 60/minute"),
    "bad_flow": edited(("gateway: {", "gateway: {limits: {body_rate_min: 2KiB}, ")),
    "bad_percent": route("retry: {budget: 0.2}"),
    "bad_claim": edited(("gateway: {", "identity: {tenant: tenant_id}\ngateway: {")),
    "bad_id": edited(("id: crm", "id: CRM")),
    "bad_path": edited(("match: /crm/*", "match: crm/*")),
    "unknown_method": edited(("match: /crm/*", "match: {path: /crm/*, methods: [get]}")),
    "bad_certificate": edited((CRM, '{endpoints: ["https://h:1"], tls: {ca: nothing}}')),
    "invalid": route('cors: {origins: ["*"], credentials: true}'),
    "plugin_invalid": edited(("routes:", "plugins: [no.such.plugin]\nroutes:")),
    "missing_policy": edited(("  auth: main\n", "")),
    "invalid_default": edited(("  auth: main\n", "  auth: main\n  respond: {status: 200}\n")),
    "duplicate_id": routes("{id: crm, match: /a, to: crm}", "{id: crm, match: /b, to: crm}"),
    "missing_action": edited((", to: crm", "")),
    "too_many_actions": route("respond: {status: 200}"),
    "invalid_split": edited(("to: crm}", "split: [{to: crm, weight: 0}]}")),
    "mirror_to_itself": route("mirror: {to: crm, percent: 5%}"),
    "unknown_upstream": edited(("to: crm", "to: cmr")),
    "unknown_route": edited(("route: crm", "route: cmr")),
    "unknown_profile": route("auth: mian"),
    "unknown_plan": edited(("free: {limits: [60/min, 1000/h]}, ", "")),
    "duplicate_endpoint": edited((CRM, '{endpoints: ["http://h:1", "http://h:1"]}')),
    "invalid_tls": edited((CRM, '{endpoints: ["http://h:1"], tls: {verify: false}}')),
    "key_refused": edited(("[HS256]", "[RS256]")),
    "scope_needed": route("cache: 3m"),
    "rewrite_mismatch": route("rewrite: {strip: /api}"),
    "test_failed": edited(("expect: {route: crm", "expect: {status: 418, route: crm")),
    "route_tie": routes("{id: a, match: /a, to: crm}", "{id: b, match: /a, to: crm}"),
    "include_empty": edited(("routes:", "include: [no*.yaml]\nroutes:")),
    "not_in_force": edited(
        ("to: crm}", "to: crm, keep: 5m}"), ("routes:", "plugins: [tests.config.sample_plugins.Later]\nroutes:")
    ),
    "without_effect": edited((CRM, f"{CRM[:-1]}, hash_on: ip}}")),
    "empty_value": route("retry: "),
    "unverified": edited((CRM, '{endpoints: ["https://h:1"], tls: {verify: false}}')),
    "shadowed_route": routes(
        "{id: a, match: /a/*, to: crm}", "{id: b, match: /a, to: crm}", '{id: c, match: "/a/{x}/*", to: crm}'
    ),
    "falls_through": routes(
        "{id: a, match: {path: /a, methods: [GET]}, to: crm}", "{id: b, match: /*, to: crm, auth: none, limit: none}"
    ),
    "stripped_header": routes("{id: a, match: {path: /a, headers: {X-User-Id: u}}, to: crm}"),
    "unused_upstream": edited(("upstreams:\n", f"upstreams:\n  hr: {CRM}\n")),
    "unused_profile": edited(("auth:\n", "auth:\n  jobs: {api_key: {keys: {}}}\n")),
    "unused_plans": edited(("  limit: {plan: true}\n", "")),
    "unused_tag": routes(
        "{id: a, match: {path: /a, methods: [GET]}, to: crm, cache: {scope: tenant, tags: [contacts]}}",
        "{id: b, match: {path: /a, methods: [PUT]}, to: crm, invalidates: [contact]}",
    ),
    "public_cache": route("cache: {ttl: 1m, scope: public}"),
    "cache_unused": routes("{id: a, match: {path: /a, methods: [PUT]}, to: crm, cache: {scope: tenant}}"),
    "unsafe_retry": route("retry: {on: [timeout]}"),
    "open_limit": route("auth: none, limit: {rate: 5/min, by: ip, on_store_down: open}"),
    "unlimited_write": routes("{id: a, match: {path: /a, methods: [PUT]}, to: crm, auth: none, limit: none}"),
    "limit_above_plan": route("limit: 501/min"),
    "timeout_order": route("timeout: {connect: 30s}"),
    "fault_left_on": route("fault: {status: 503, percent: 5%}"),
    "secret_in_clear": edited(("${env:KEY}", SECRET)),
    "secret_default": edited(("${env:KEY}", f"${{env:KEY:-{SECRET}}}")),
    "trusts_everybody": edited(("10.0.0.0/8", "0.0.0.0/0")),
    "plain_key_set": profile("{jwt: {algorithms: [RS256], jwks: http://h/jwks}}"),
    "unbound_token": profile("{jwt: {algorithms: [RS256], jwks: https://h/jwks}}"),
    "untested_route": edited(("routes:\n", "routes:\n- {id: b, match: /b, to: crm}\n")),
    "no_tests": edited(("tests:\n- {get: /crm/contacts, expect: {route: crm}}\n", "")),
    "limit_by_address": route("auth: none"),
    "no_share": edited(("to: crm}", "split: [{to: crm, weight: 1}, {to: hr, weight: 0}]}"), HR),
    "mirrored_writes": edited(("to: crm}", "to: crm, mirror: {to: hr, percent: 5%}}"), HR),
    "any_origin": route('cors: ["*"]'),
}
FILES = {"other.yaml": "include: more.yaml\n"}


@pytest.mark.parametrize("code", CODES)
def test_each_code_is_provoked_and_names_its_place(code: str) -> None:
    problems = [problem for problem in check(PROVOKED[code], FILES).problems if problem.code == code]
    assert problems
    for problem in problems:
        assert problem.severity == CODES[code].severity
        assert (problem.file in {"routes.yaml", "other.yaml"}, problem.line > 0, problem.column > 0) == (True,) * 3


def test_no_other_code_comes_out_of_any_of_these() -> None:
    found = {problem.code for text in PROVOKED.values() for problem in check(text, FILES).problems}
    assert found == set(CODES)


def test_every_code_in_the_sources_is_in_the_table() -> None:
    """Those that a call gives as a literal, beside the place or path that it is about. One is of reloads alone."""
    used = {code for path in sources() for code in codes_in(path)} - {"needs_restart"}
    assert used - set(CODES) == set()
    assert len(used) > 50


def sources() -> list[Path]:
    return [*(TOP / "gateway" / "config").rglob("*.py"), *(TOP / "plugins").glob("*.py")]


def codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = node.args[1:2] if name in {"add", "_add", "_fail", "at", "_invalid", "_refused", "_add_at"} else []
            given += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.isidentifier():
                    yield value.value


def test_the_table_reads_as_sentences() -> None:
    for name, code in CODES.items():
        assert name.isidentifier() and name == name.lower()
        assert code.severity in {"error", "warning", "info"}
        assert code.meaning.endswith(".") and not code.fix.endswith("."), name
