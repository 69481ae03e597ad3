"""Typical mistakes of operators, each with all that it says, at the place where the mistake is."""

import pytest

from gateway.config.table_test import Expectation
from tests.config.sample_plugins import GOOD, problems_of


def edit(*pairs: tuple[str, str], add: str = "") -> str:
    text = GOOD
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text + add


def route(text: str) -> str:
    """The good table with one more line on its route, which is line 13."""
    return edit(add=f"  {text}\n")


NETWORK_HINT = "write it like 10.0.0.0/8, 127.0.0.1/32 or ::1/128"
PREFIX_HINT = "for a path in front of every request, write rewrite: {prefix: /path} on its routes"
ENDPOINT_HINT = "an endpoint is http://host:port or https://host:port, with no path, query or password"
DURATION_HINT = "write it like 30s, 250ms, 5m, 24h or 7d"
CAUSE_HINT = "write connect, reset, timeout or a status of 500 to 599"
ID_HINT = "write it like crm-write: a small letter, then small letters, digits and -"
NOPE_HINT = "set it, or give what is no secret a default: ${env:NOPE:-default}"
STORE_HINT = (
    "a store is memory://, redis://host:6379/0, rediss://host:6379/0, "
    "redis+sentinel://host:26379,host:26379/master/0 or redis+cluster://host:6379,host:6379"
)
STRIP_HINT = "write what it begins with, or rewrite: none"
TIE_HINT = "tell them apart by path, host, methods, headers or query"
ROUTE_KEYS = (
    "auth, body_max, hedge, id, keep, mark, match, mirror, priority, respond, retry, rewrite, split, stamp, timeout, to"
)
TABLE_KEYS = "auth, defaults, gateway, identity, include, plugins, routes, tests, upstreams, version"

MISTAKES = {
    "a key of a route misspelt": (
        edit(("  match:", "  mtach:")),
        [
            '10:3: missing_key: "match" is missing here; write match: /api/v1/crm/*',
            '11:3: unknown_key: "mtach" is not a key here; did you mean "match"?',
        ],
    ),
    "a key inside of match misspelt": (
        edit(("match: /api/crm/*", "match: {path: /api/crm/*, methdos: [GET]}")),
        ['11:29: unknown_key: "methdos" is not a key here; did you mean "methods"?'],
    ),
    "a key like no other": (
        route("colour: red"),
        [f'13:3: unknown_key: "colour" is not a key here; known: {ROUTE_KEYS}'],
    ),
    "a section misspelt": (
        edit(("upstreams:", "upstream:")),
        [
            '6:1: unknown_key: "upstream" is not a key here; did you mean "upstreams"?',
            '12:7: unknown_upstream: there is no upstream "crm"; none is defined',
        ],
    ),
    "a section that there is not": (
        edit(add="zebra: 1\n"),
        [f'13:1: unknown_key: "zebra" is not a key here; known: {TABLE_KEYS}'],
    ),
    "an upstream misspelt": (
        edit(("to: crm", "to: cmr")),
        ['12:7: unknown_upstream: there is no upstream "cmr"; did you mean "crm"?'],
    ),
    "no version": (
        edit(("version: 1\n", "")),
        ['1:1: missing_key: "version" is missing here; begin the table with version: 1'],
    ),
    "another version": (edit(("version: 1", "version: 2")), ["1:10: invalid_value: must be 1"]),
    "no id": (
        edit(("- id: crm\n  match", "- match")),
        ['10:3: missing_key: "id" is missing here; write id: crm-write'],
    ),
    "no match": (
        edit(("  match: /api/crm/*\n", "")),
        ['10:3: missing_key: "match" is missing here; write match: /api/v1/crm/*'],
    ),
    "a duration without unit": (
        route("timeout: {total: 30}"),
        [f"13:20: bad_duration: 30 is not a duration: {DURATION_HINT}"],
    ),
    "a duration of nothing": (
        route("timeout: {connect: 0s}"),
        ["13:22: invalid_value: 0 would be over at once; write none where there is to be no limit"],
    ),
    "a size in other units": (
        route("body_max: 10MB"),
        ["13:13: bad_size: '10MB' is not a size: write it like 10MiB, 32KiB or 512B; did you mean 10MiB?"],
    ),
    "a share as a fraction": (
        route("retry: {budget: 0.2}"),
        ["13:19: bad_percent: 0.2 is not a percent: write it like 20%"],
    ),
    "more than all": (route("retry: {budget: 120%}"), ["13:19: bad_percent: 120% is more than 100%"]),
    "causes that are none": (
        route("retry: {on: [conect, 404]}"),
        [
            f'13:16: invalid_value: "conect" is not a cause to retry; {CAUSE_HINT}',
            f'13:24: invalid_value: "404" is not a cause to retry; {CAUSE_HINT}',
        ],
    ),
    "no attempt": (route("retry: {attempts: 0}"), ["13:21: invalid_value: must be at least 1"]),
    "a number in words": (
        route("retry: {attempts: many}"),
        ["13:21: wrong_type: a whole number is wanted here, not text"],
    ),
    "retry as a switch": (
        route("retry: true"),
        [
            (
                "13:10: wrong_type: a mapping of keys and values is wanted here, not true; "
                "write it like retry: {attempts: 2}"
            )
        ],
    ),
    "a variable that is not set": (
        edit(("${env:KEY}", "${env:NOPE}")),
        ["3:18: missing_env: ${env:NOPE}: the environment variable NOPE is not set; " + NOPE_HINT],
    ),
    "a reference of a shell": (
        edit(("${env:KEY}", "${KEY}")),
        ['3:18: bad_reference: "${KEY}" is none; write ${env:NAME}, ${env:NAME:-default} or ${file:path}'],
    ),
    "a reference without end": (
        edit(("${env:KEY}", "${env:KEY")),
        ['3:18: bad_reference: "${env:KEY" has no closing brace'],
    ),
    "a file that is not there": (
        edit(("${env:KEY}", "${file:nope.txt}")),
        ["3:18: missing_file: ${file:nope.txt}: there is no such file"],
    ),
    "a key twice": (
        route("to: crm"),
        ['13:3: duplicate_key: "to" stands here already, in line 12; keep one'],
    ),
    "an id twice": (
        edit(add="- {id: crm, match: /b, to: crm}\n"),
        ['13:8: duplicate_id: the route "crm" stands already at routes.yaml:10:7; give one of them another id'],
    ),
    "two routes for one request": (
        edit(add="- {id: other, match: /api/crm/*, to: crm}\n"),
        ['13:22: route_tie: "other" and "crm" (at routes.yaml:10:3) both serve GET /api/crm/x; ' + TIE_HINT],
    ),
    "two things to do": (
        route("respond: hi"),
        ["13:3: too_many_actions: a route does one thing, and here are to and respond"],
    ),
    "nothing to do": (
        edit(("  to: crm\n", "")),
        ['10:3: missing_action: the route does nothing; write "to" with an upstream, or respond'],
    ),
    "the one thing to do switched off": (
        edit(("to: crm", "respond: none")),
        ['12:12: missing_action: the route does nothing; write "to" with an upstream, or respond'],
    ),
    "auth forgotten": (
        edit(("defaults:\n  auth: main\n", "")),
        ['8:3: missing_policy: neither the route nor defaults say "auth": name a profile or write `auth: none`'],
    ),
    "a profile misspelt": (route("auth: mian"), ['13:9: unknown_profile: there is no profile "mian"']),
    "a policy without value": (
        route("auth:"),
        ['13:8: wrong_type: "auth" says nothing; give it a value, or write auth: none to switch it off'],
    ),
    "an endpoint without scheme": (
        edit(('"http://127.0.0.1:8101"', '"127.0.0.1:8101"')),
        [f"8:17: invalid_value: {ENDPOINT_HINT}"],
    ),
    "an endpoint with a path": (
        edit(('"http://127.0.0.1:8101"', '{url: "http://crm:80/x"}')),
        [f"8:23: invalid_value: {ENDPOINT_HINT}; {PREFIX_HINT}"],
    ),
    "no endpoint": (
        edit(('["http://127.0.0.1:8101"]', "[]")),
        ["8:16: invalid_value: at least 1 entry is wanted here"],
    ),
    "the name of another proxy's balancing": (
        edit(("    endpoints", "    balance: least_conn\n    endpoints")),
        ['8:14: invalid_value: "least_conn" is not one of: round_robin, least_requests, random_two, hash'],
    ),
    "a health check without its path": (
        edit(("    endpoints", "    health: {every: 5s}\n    endpoints")),
        ['8:13: missing_key: "path" is missing here; write path: /api/v1'],
    ),
    "a slow start without unit": (
        edit(("    endpoints", "    slow_start: 30\n    resolve: 0s\n    endpoints")),
        [
            f"8:17: bad_duration: 30 is not a duration: {DURATION_HINT}",
            "9:14: invalid_value: 0 would be over at once; write none where there is to be no limit",
        ],
    ),
    "a part of a request that nothing is hashed on": (
        edit(("    endpoints", "    balance: hash\n    hash_on: path\n    endpoints")),
        ['9:14: invalid_value: "path" is not one of tenant, user, ip, header:NAME, cookie:NAME'],
    ),
    "methods in small letters": (
        edit(("match: /api/crm/*", "match: {path: /api/crm/*, methods: [get, FETCH]}")),
        [
            '11:39: unknown_method: "get" is not a method; write "GET"',
            '11:44: unknown_method: "FETCH" is not a method; known: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
        ],
    ),
    "a parameter inside of braces": (
        edit(("match: /api/crm/*", "match: {path: /a/{id}, methods: [GET]}")),
        [
            '11:20: not_yaml: inside of braces, a path with a parameter needs quotes, as in {path: "/a/{id}"}',
        ],
    ),
    "a path without slash": (
        edit(("match: /api/crm/*", "match: api/crm/*")),
        ['11:10: bad_path: "api/crm/*" must start with /'],
    ),
    "a prefix that the route does not have": (
        route("rewrite: {strip: /api/v2}"),
        ['13:20: rewrite_mismatch: "/api/v2" is not what "/api/crm/*" begins with; ' + STRIP_HINT],
    ),
    "a default prefix that the route does not have": (
        edit(("defaults:\n", "defaults:\n  rewrite: {strip: /api/v2}\n")),
        ['12:10: rewrite_mismatch: "/api/v2" is not what "/api/crm/*" begins with; ' + STRIP_HINT],
    ),
    "a parameter that the match does not have": (
        route("rewrite: {path: '/x/{id}'}"),
        ['13:19: rewrite_mismatch: {id} is not in the match "/api/crm/*", which has no parameters'],
    ),
    "two kinds of rewrite": (
        route("rewrite: {path: /x, strip: /api}"),
        ["13:12: invalid_value: path replaces the whole path, so strip and prefix have nothing to do beside it"],
    ),
    "a route id in capitals": (
        edit(("id: crm", "id: CRM_1")),
        [f"10:7: bad_id: 'CRM_1' is not an id: {ID_HINT}"],
    ),
    "routes by name": (
        edit(("routes:\n- id: crm\n  match: /api/crm/*\n  to: crm\n", "routes:\n  crm: {match: /a, to: crm}\n")),
        [
            (
                "10:3: wrong_type: a list is wanted here, not a mapping; "
                "write it like routes: [{id: crm, match: /api/v1/crm/*, to: crm}]"
            )
        ],
    ),
    "a route that is a word": (
        edit(add="- crm\n"),
        ["13:3: wrong_type: a mapping of keys and values is wanted here, not text"],
    ),
    "a list that is not closed": (
        edit(("/api/crm/*", "[/api/crm/*")),
        ["11:10: not_yaml: this [ is not closed; add the ]"],
    ),
    "a number for a word": (
        edit(("defaults:", "identity: {default_plan: 7}\ndefaults:")),
        ["4:26: wrong_type: text is wanted here, not a number; write it in quotes to mean text"],
    ),
    "a claim without its mark": (
        edit(("defaults:", "identity: {tenant: tenant_id}\ndefaults:")),
        ["4:20: bad_claim: 'tenant_id' is not a claim: write it like claim:tenant_id or claim:account.id"],
    ),
    "a store that is none": (
        edit(("defaults:", "gateway: {store: 'redis:/user:pw@h:6379'}\ndefaults:")),
        [f"4:18: invalid_value: {STORE_HINT}"],
    ),
    "a store whose parts are wrong": (
        edit(("defaults:", "gateway: {store: 'redis+sentinel://:pw@h:26379'}\ndefaults:")),
        [
            (
                "4:18: invalid_value: the store's URL lacks the name of the master that the sentinels watch; "
                "write it like redis+sentinel://host:26379,host:26379/master/0"
            )
        ],
    ),
    "networks that are none": (
        edit(("defaults:", "gateway: {trusted_proxies: [10.0.0.1/8, all]}\ndefaults:")),
        [
            f'4:29: invalid_value: "10.0.0.1/8" is not a network: {NETWORK_HINT}',
            f'4:41: invalid_value: "all" is not a network: {NETWORK_HINT}',
        ],
    ),
    "every key of a plugin wrong": (
        route("mark: {words: [a], level: medium, count: 10, exact: perhaps, sise: 1}"),
        [
            '13:29: invalid_value: "medium" is not one of: low, high',
            "13:44: invalid_value: must be at most 9",
            "13:55: wrong_type: true or false is wanted here, not text",
            '13:64: unknown_key: "sise" is not a key here; did you mean "size"?',
        ],
    ),
    "neither of two forms": (
        route("mark: {words: [a], either: 5}"),
        [
            (
                "13:30: wrong_type: a list or a mapping of keys and values is wanted here, not a number; "
                "write it like either: {main: 1}"
            )
        ],
    ),
    "the second of two forms, with a fault inside": (
        route("mark: {words: [a], either: {a: x}}"),
        ["13:34: wrong_type: a whole number is wanted here, not text"],
    ),
    "what only the plugin knows": (route("mark: [fine, never]"), ['13:16: invalid: "never" is not a word']),
    "what only the plugin knows, in defaults": (
        edit(("  auth: main", "  auth: main\n  mark: [never]")),
        ['6:10: invalid: "never" is not a word'],
    ),
    "a plugin's section": (
        edit(('{secret: "${env:KEY}"}', '{secret: "${env:KEY}", leeway: 30}')),
        [f"3:40: bad_duration: 30 is not a duration: {DURATION_HINT}"],
    ),
    "an answer for every route": (
        edit(("  auth: main", "  auth: main\n  respond: hi")),
        ['6:3: invalid_default: "respond" answers instead of an upstream, so it belongs on a route'],
    ),
    "tests that test nothing": (
        edit(
            add="tests:\n- {get: /x, expect: {stauts: 200}}\n- {get: /x, post: /y, expect: {status: 200}}\n"
            "- {get: /x, expect: {}}\n- {get: /x, expect: {route: crn}}\n"
        ),
        [
            '14:22: unknown_key: "stauts" is not a key here; did you mean "status"?',
            "15:3: invalid_value: a test has one method with its path, like get: /api/v1/crm/contacts",
            f"16:21: invalid_value: expect at least one of {', '.join(Expectation.model_fields)}",
            '17:29: unknown_route: there is no route "crn"; did you mean "crm"?',
        ],
    ),
    "an empty file": ("", ['1:1: missing_key: "version" is missing here; begin the table with version: 1']),
    "a list": ("- a\n", ["1:1: wrong_type: a table is a mapping that begins with version: 1"]),
    "two documents": (GOOD + "---\na: 1\n", ["13:1: not_yaml: one file holds one document; take the --- out"]),
    "a binary file": (
        "a: \x00",
        ["1:4: not_yaml: a character that may not stand in YAML; save the file as UTF-8 text"],
    ),
}


@pytest.mark.parametrize(("text", "lines"), MISTAKES.values(), ids=MISTAKES.keys())
def test_says_what_is_wrong_and_where(text: str, lines: list[str]) -> None:
    assert problems_of(text) == [f"routes.yaml:{line}" for line in lines]


def test_the_table_that_the_mistakes_are_made_in_is_good() -> None:
    assert problems_of(GOOD) == []


def test_all_mistakes_are_told_at_once_from_reading_to_compiling() -> None:
    text = edit(
        ("to: crm", "to: cmr"),
        add="  colour: red\n- {id: x, match: /x, to: crm, mark: [never], timeout: {total: 5}}\n"
        "- {id: y, match: /y, to: crm, mark: [never]}\n- {id: z, match: '/y', to: crm, keep: 5}\n",
    )
    codes = [line.split(": ")[1] for line in problems_of(text)]

    assert codes == ["unknown_upstream", "unknown_key", "bad_duration", "invalid", "route_tie", "bad_duration"]
