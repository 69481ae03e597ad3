"""Values from references are used and never shown: not in problems, nor reprs, nor the described configuration."""

import json

import pytest

from gateway.config.describe import describe_routes
from tests.config.sample_plugins import ENVIRON, GOOD, compile_text, problems_of

SECRET = "s3cr3t-key-of-the-test"


def test_a_reference_is_resolved() -> None:
    snapshot = compile_text(GOOD)

    guard = snapshot.routes[0].plugins[0]
    assert guard.policy == "main"  # type: ignore[attr-defined]


@pytest.mark.parametrize("secret", ["abc", SECRET, "x'y\"z", "a\nb", "12", "a: [b"])
@pytest.mark.parametrize(
    "line",
    [
        "  body_max: ${env:KEY}",
        "  timeout: {total: '${env:KEY}'}",
        "  retry: {on: ['${env:KEY}']}",
        "  retry: {attempts: '${env:KEY}00000'}",
        "  mark: {words: [a], level: '${env:KEY}'}",
        "  mark: {words: [a], either: '${env:KEY}'}",
        "  auth: ${env:KEY}",
        "  auth: x${env:KEY}y",
        "  keep: ${env:KEY}",
    ],
)
def test_a_wrong_value_is_shown_as_its_reference(line: str, secret: str) -> None:
    problems = problems_of(GOOD.replace('"${env:KEY}"', "plain-secret") + line, environ={"KEY": secret})

    assert len(problems) == 1
    assert problems[0].startswith("routes.yaml:13:")
    if len(secret) > 2:
        assert secret not in problems[0]


def test_a_plugin_that_quotes_a_secret_is_scrubbed() -> None:
    assert problems_of(GOOD, environ={"KEY": "abc"}) == ['routes.yaml:3:18: weak_secret: "${env:KEY}" is too short']


def test_a_long_secret_is_scrubbed_wherever_it_turns_up() -> None:
    text = GOOD + f"  auth: {SECRET}\n"

    assert problems_of(text) == ['routes.yaml:13:9: unknown_profile: there is no profile "${env:KEY}"']


def test_a_file_with_keys_is_not_quoted() -> None:
    text = GOOD.replace('{secret: "${env:KEY}"}', "${file:keys.yaml}")

    unknown = problems_of(text, files={"keys.yaml": "secret: long-enough\nhunter2: x\n"})
    unreadable = problems_of(text, files={"keys.yaml": "secret: [hunter2\n"})
    alias = problems_of(text, files={"keys.yaml": "secret: *hunter2\n"})

    assert [line.split(": ")[:2] for line in unknown] == [["keys.yaml:2:1", "unknown_key"]]
    assert unreadable == [
        "keys.yaml:1:9: not_yaml: not valid YAML here (read for ${file:keys.yaml} at routes.yaml:3:9)"
    ]
    assert "hunter2" not in "".join(unknown + unreadable + alias)


def test_default_values_and_empty_variables() -> None:
    text = GOOD.replace("http://127.0.0.1:8101", "${env:URL:-http://127.0.0.1:8101}")

    for environ in (ENVIRON, {**ENVIRON, "URL": ""}):
        assert compile_text(text, environ=environ).table.upstreams["crm"].endpoints[0].port == 8101
    other = compile_text(text, environ={**ENVIRON, "URL": "https://crm"})
    assert other.table.upstreams["crm"].endpoints[0].port == 443
    assert "is empty; set it" in problems_of(GOOD, environ={"KEY": ""})[0]


def test_a_text_file_loses_one_line_end() -> None:
    text = GOOD.replace("${env:KEY}", "${file:key.txt}")

    assert problems_of(text, files={"key.txt": "ab\n"}) == [
        'routes.yaml:3:18: weak_secret: "${file:key.txt}" is too short'
    ]
    assert problems_of(text, files={"key.txt": "abcd\n"}) == []


def test_the_described_configuration_shows_references_and_hides_literals() -> None:
    text = GOOD.replace('"${env:KEY}"', "literal-secret, hint: second-secret").replace(
        "defaults:", "gateway: {store: 'redis://user:pw-of-redis@h:6379'}\ndefaults:"
    )
    text += "  mark: ['${env:KEY}', 'http://user:pw-of-url@h/']\n"

    snapshot = compile_text(text)

    shown = json.dumps(snapshot.config)
    assert snapshot.config["auth"] == {"main": {"secret": "***", "hint": "***"}}
    assert snapshot.config["gateway"] == {"store": "***"}
    assert snapshot.config["routes"][0]["mark"] == ["${env:KEY}", "http://***@h/"]
    for secret in ("literal-secret", "second-secret", "pw-of-redis", "pw-of-url", SECRET):
        assert secret not in shown
    for secret in ("literal-secret", "second-secret", "pw-of-redis"):
        assert secret not in repr(snapshot)


def test_rows_of_routes() -> None:
    row = describe_routes(compile_text(GOOD))[0]

    assert row.as_dict() == {
        "id": "crm",
        "methods": "any",
        "host": "any",
        "path": "/api/crm/*",
        "action": "-> crm",
        "plugins": ("auth",),
        "position": "routes.yaml:10:3",
    }
