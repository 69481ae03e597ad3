"""Hazard: a new operator, at three in the morning, and a message that does not say what to do.

Each is a small edit of `operators_table.yaml`, a table such as the project ships, judged by the command itself; what it
says stands here whole.
"""

from pathlib import Path

import pytest

from gateway.cli import main

TABLE = (Path(__file__).parent / "operators_table.yaml").read_text()
SECRET = "0123456789abcdef0123456789abcdef"

# What -> (what stands there, what is written instead), ..., and the lines that `check` writes of it.
MISTAKES: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "a tab": (
        [
            ("  retry: {attempts", "\tretry: {attempts"),
        ],
        [
            "57:1: not_yaml: a tab indents this line; YAML takes spaces only, two a level",
        ],
    ),
    "a colon forgotten": (
        [
            ("  to: crm\n  allow", "  to crm\n  allow"),
        ],
        [
            '104:3: not_yaml: "to" lacks its colon; write to: and then the value',
        ],
    ),
    "a policy indented too little": (
        [
            ("  allow: {scopes: [crm.read], modules: [crm]}\n", "allow: {scopes: [crm.read], modules: [crm]}\n"),
        ],
        [
            "105:1: not_yaml: this line is indented by 0, and the one after it by 2; line them up",
        ],
    ),
    "a policy indented too much": (
        [
            ("  allow: {scopes: [crm.read], modules: [crm]}\n", "    allow: {scopes: [crm.read], modules: [crm]}\n"),
        ],
        [
            "105:5: not_yaml: this line is indented by 4, and the key above it, in line 104, by 2; line them up",
        ],
    ),
    "a brace not closed": (
        [
            (
                "allow: {scopes: [crm.read], modules: [crm]}\n  cache",
                "allow: {scopes: [crm.read], modules: [crm]\n  cache",
            ),
        ],
        [
            "105:10: not_yaml: this { is not closed; add the }",
        ],
    ),
    "a parameter in braces without quotes": (
        [
            ('path: "/api/v1/crm/{collection}/{id}"', "path: /api/v1/crm/{collection}/{id}"),
        ],
        [
            '108:29: not_yaml: inside of braces, a path with a parameter needs quotes, as in {path: "/a/{id}"}',
        ],
    ),
    "a star without quotes": (
        [
            ('origins: ["${env:APP_ORIGIN:-http://localhost:3000}"]', "origins: [*]"),
        ],
        [
            '60:15: not_yaml: * begins a reference inside of YAML; to mean text, put it in quotes: "*"',
        ],
    ),
    "a tag without quotes": (
        [
            ('invalidates: ["crm:{tenant}", "finance:{tenant}"]', "invalidates: [crm:{tenant}, finance:{tenant}]"),
        ],
        [
            '117:20: not_yaml: text with a colon needs quotes inside of brackets and braces, like "crm:{tenant}"',
        ],
    ),
    "a parameter not closed": (
        [
            ('"/api/v1/crm/{collection}/{id}"', '"/api/v1/crm/{collection}/{id"'),
        ],
        [
            (
                '108:17: bad_path: "/api/v1/crm/{collection}/{id": {id is no parameter; a parameter is a whole '
                "segment such as {id} or {id:int}, named with a-z, 0-9 and _"
            ),
        ],
    ),
    "a regular expression": (
        [
            ("match: {path: /api/v1/crm/*, methods: [GET]}", "match: ^/api/v1/crm/.*$"),
        ],
        [
            (
                '103:10: bad_path: "^/api/v1/crm/.*$" must start with /; a path is no regular expression: write '
                "{id}, {id:int}, or /* at the end"
            ),
        ],
    ),
    "a key twice": (
        [
            ("  to: crm\n", "  to: crm\n  to: finance\n"),
        ],
        [
            '105:3: duplicate_key: "to" stands here already, in line 104; keep one',
        ],
    ),
    "the dash of a route forgotten": (
        [
            ("- id: crm-records", "  id: crm-records"),
        ],
        [
            (
                '107:3: duplicate_key: "id" stands here already, in line 102; keep one, or begin the next entry with '
                "- id:"
            ),
            '210:113: unknown_route: there is no route "crm-records"; did you mean "hr-records"?',
        ],
    ),
    "a number without unit": (
        [
            ("total: 30s}\n  retry", "total: 30}\n  retry"),
        ],
        [
            "56:33: bad_duration: 30 is not a duration: write it like 30s, 250ms, 5m, 24h or 7d",
        ],
    ),
    "a unit in another spelling": (
        [
            ("header_timeout: 10s", "header_timeout: 10sec"),
        ],
        [
            (
                "17:21: bad_duration: '10sec' is not a duration: write it like 30s, 250ms, 5m, 24h or 7d; did you "
                "mean 10s?"
            ),
        ],
    ),
    "a rate in another spelling": (
        [
            ("[60/min, 1000/h]", "[60/minute, 1000/h]"),
        ],
        [
            (
                "44:25: bad_rate: '60/minute' is not a rate: write it like 60/min, 10/s, 1000/h or 5/d; did you mean "
                "60/min?"
            ),
        ],
    ),
    "a size in another spelling": (
        [
            ("body_max: 1MiB", "body_max: 1MB"),
        ],
        [
            "189:13: bad_size: '1MB' is not a size: write it like 10MiB, 32KiB or 512B; did you mean 1MiB?",
        ],
    ),
    "a key misspelt": (
        [
            ("  allow: {scopes: [crm.read]", "  alow: {scopes: [crm.read]"),
        ],
        [
            '105:3: unknown_key: "alow" is not a key here; did you mean "allow"?',
        ],
    ),
    "a list where a mapping belongs": (
        [
            ("  timeout: {connect: 1s, total: 30s}", "  timeout: [1s, 30s]"),
        ],
        [
            (
                "56:12: wrong_type: a mapping of keys and values is wanted here, not a list; write it like timeout: "
                "{connect: 1s}"
            ),
        ],
    ),
    "a section as a list": (
        [
            ("upstreams:\n  crm:\n", "upstreams:\n- crm:\n"),
        ],
        [
            (
                "70:1: wrong_type: a mapping of keys and values is wanted here, not a list; write it like upstreams: "
                "{crm: {endpoints: ['${env:CRM_URL:-http://127.0.0.1:8101}']}}"
            ),
        ],
    ),
    "text where a list belongs": (
        [
            ("allow: {scopes: [crm.read]", "allow: {scopes: crm.read"),
        ],
        [
            "105:19: wrong_type: a list is wanted here, not text; write it like scopes: [crm.read]",
        ],
    ),
    "values without brackets": (
        [
            ("methods: [GET]}\n  to: crm\n", "methods: GET, HEAD}\n  to: crm\n"),
        ],
        [
            (
                '103:46: unknown_key: "HEAD" is not a key here; known: headers, host, methods, path, query; if it is '
                "a value, put all values into brackets: [a, b]"
            ),
        ],
    ),
    "a switch that is none": (
        [
            ("  compress: none", "  compress: off"),
        ],
        [
            "123:13: wrong_type: this switches nothing off; write compress: none",
        ],
    ),
    "a policy switched off as a boolean": (
        [
            ("  auth: none\n  limit: none\n- id: old", "  auth: false\n  limit: none\n- id: old"),
        ],
        [
            "197:9: wrong_type: this switches nothing off; write auth: none",
        ],
    ),
    "an upstream that is not defined": (
        [
            ("  to: crm\n", "  to: crn\n"),
        ],
        [
            '104:7: unknown_upstream: there is no upstream "crn"; did you mean "crm"?',
        ],
    ),
    "an id twice": (
        [
            ("- id: hr-lists", "- id: hr-records"),
        ],
        [
            (
                '155:7: duplicate_id: the route "hr-records" stands already at routes.yaml:150:7; give one of them '
                "another id"
            ),
        ],
    ),
    "a route to nothing": (
        [
            ("  to: crm\n", ""),
        ],
        [
            (
                '102:3: missing_action: the route does nothing; write "to" with an upstream, or batch, redirect or '
                "respond"
            ),
        ],
    ),
    "a target without a name": (
        [
            ("  to: crm\n", "  to:\n"),
        ],
        [
            '104:3: wrong_type: "to" says nothing; write the name of an upstream, like to: crm',
        ],
    ),
    "a secret that is not in the environment": (
        [],
        [
            (
                "38:15: missing_env: ${env:JWT_SECRET}: the environment variable JWT_SECRET is not set; set it, or "
                "give what is no secret a default: ${env:JWT_SECRET:-default}"
            ),
        ],
    ),
    "a reference as in a shell": (
        [
            ("${env:JWT_SECRET}", "${JWT_SECRET}"),
        ],
        [
            ('38:15: bad_reference: "${JWT_SECRET}" is none; write ${env:NAME}, ${env:NAME:-default} or ${file:path}'),
        ],
    ),
    "an endpoint with a path": (
        [
            ("${env:CRM_URL:-http://127.0.0.1:8101}", "http://127.0.0.1:8101/api"),
        ],
        [
            (
                "71:17: invalid_value: an endpoint is http://host:port or https://host:port, with no path, query or "
                "password; for a path in front of every request, write rewrite: {prefix: /path} on its routes"
            ),
        ],
    ),
    "an algorithm that does not go with the secret": (
        [
            ("algorithms: [HS256]", "algorithms: [RS256]"),
        ],
        [
            (
                "38:15: key_refused: RS256 needs a public key: a secret is for HS256, HS384 and HS512 only; write "
                "public_key or jwks, or algorithms: [HS256]"
            ),
        ],
    ),
    "a prefix that the path does not have": (
        [
            (
                "match: /api/contacts/*\n  redirect: {to: /api/v1/crm/contacts/, status: 308}",
                "match: /contacts/*\n  to: crm",
            ),
        ],
        [
            (
                '200:10: rewrite_mismatch: "/api/v1" is not what "/contacts/*" begins with; write what it begins '
                "with, or rewrite: none"
            ),
        ],
    ),
    "kept replies without a scope": (
        [
            ("{ttl: 3m, scope: tenant, layers", "{ttl: 3m, layers"),
        ],
        [
            "106:10: scope_needed: say who may share a kept reply: scope: tenant, user or public",
        ],
    ),
    "a route that another one hides": (
        [
            (
                "- id: crm-events ",
                (
                    "- id: crm-top\n  match: {path: /api/v1/crm, methods: [GET]}\n  to: crm\n- id: crm-below\n  match: "
                    '{path: "/api/v1/crm/{area}/*", methods: [GET]}\n  to: crm\n- id: crm-events '
                ),
            ),
        ],
        [
            (
                '103:10: shadowed_route: "crm-lists" never serves a request: "crm-below" (routes.yaml:121:3) and '
                '"crm-top" (routes.yaml:118:3) and "crm-records" (routes.yaml:107:3) take all that it matches; GET '
                '/api/v1/crm/x goes to "crm-below"; take this route out, or narrow the others by methods, headers or '
                "query"
            ),
            (
                '118:7: untested_route: no test of the table comes to "crm-top"; add to tests: - {get: /api/v1/crm, '
                "expect: {route: crm-top}}"
            ),
        ],
    ),
    "a secret in the file": (
        [
            ("${env:JWT_SECRET}", "correct-horse-battery-staple-and-more"),
        ],
        [
            (
                '38:15: secret_in_clear: "secret" is a secret, and stands in the file for all who can read it; put '
                "it into the environment or a file, write ${env:NAME} or ${file:path} here, and change the secret"
            ),
        ],
    ),
}


@pytest.mark.parametrize(("edits", "lines"), MISTAKES.values(), ids=MISTAKES)
def test_check_finds_it_says_where_and_what_to_do(
    edits: list[tuple[str, str]],
    lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = TABLE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    if edits:
        monkeypatch.setenv("JWT_SECRET", SECRET)
    else:
        monkeypatch.delenv("JWT_SECRET", raising=False)

    code = main(["check", "--strict", str(path)])

    told = [line.replace(f"{path}:", "routes.yaml:") for line in "".join(capsys.readouterr()).splitlines()]
    places = [
        line.removeprefix("routes.yaml:") for line in told if line.startswith("routes.yaml:") and line[12].isdigit()
    ]
    assert code == 1
    # The table's own tests find out as well; here the remark stands for itself.
    assert [line for line in places if ": test_failed: " not in line] == lines


def test_there_are_twenty_of_them_at_least() -> None:
    assert len(MISTAKES) >= 20
