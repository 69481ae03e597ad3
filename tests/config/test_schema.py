"""Hazard: an editor that explains nothing, completes what is wrong, or knows another vocabulary than the gateway."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.cli import main
from gateway.config.codes import CODES
from gateway.config.discover import find_plugins
from gateway.config.model import Defaults, Route, Table
from gateway.config.schema import BEYOND, example_at, table_schema
from tests.config.sample_plugins import PLUGINS
from tests.config.whole_table import WHOLE

SCHEMA = table_schema(find_plugins())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def keys(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that a mapping of the table may have, with what the schema says of it; rules that only repeat keys are
    left out.
    """
    for name, inner in schema.get("properties", {}).items():
        yield f"{where}.{name}", inner
        yield from inner_keys(inner, f"{where}.{name}")
    yield from inner_keys(schema, where)


def inner_keys(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for inner in (schema.get("items"), *schema.get("patternProperties", {}).values()):
        if isinstance(inner, dict):
            yield from keys(inner, where)


def all_keys(schema: Any = SCHEMA) -> dict[str, dict[str, Any]]:
    found = dict(keys(schema, "table"))
    for name, definition in schema["$defs"].items():
        found.update(keys(definition, name))
    return found


def test_it_is_a_schema_of_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_key_has_a_description_and_an_example() -> None:
    found = all_keys()
    assert len(found) > 150
    assert [name for name, schema in found.items() if not schema.get("description")] == []
    assert [name for name, schema in found.items() if not schema.get("examples")] == []


def test_every_example_and_every_default_is_valid_where_it_stands() -> None:
    wrong = []
    for name, schema in all_keys().items():
        check = jsonschema.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]})
        given = [*schema["examples"], *([schema["default"]] if "default" in schema else [])]
        wrong += [f"{name}: {value!r}" for value in given if not check.is_valid(value)]
    assert wrong == []


def test_defaults_are_written_as_operators_write_them() -> None:
    found = all_keys()
    shown = {name: found[name].get("default") for name in ("Timeout.connect", "Limits.header_max", "Retry.budget")}
    assert shown == {"Timeout.connect": "1s", "Limits.header_max": "32KiB", "Retry.budget": "20%"}
    assert found["Limits.body_rate_min"]["default"] == "2KiB/10s"
    assert found["IdentitySection.tenant"]["default"] == "claim:tenant_id"
    assert found["Pool.max"]["default"] == 256


def test_the_keys_are_those_that_load() -> None:
    plugins = {plugin.name: plugin for plugin in find_plugins()}
    sections = {plugin.section_name for plugin in plugins.values() if plugin.section_name}
    assert set(SCHEMA["properties"]) == set(Table.model_fields) | sections
    assert set(SCHEMA["$defs"]["Route"]["properties"]) == set(Route.model_fields) | set(plugins)
    in_defaults = {name for name, plugin in plugins.items() if not plugin.is_answering}
    assert set(SCHEMA["$defs"]["Defaults"]["properties"]) == set(Defaults.model_fields) | in_defaults


def test_keys_of_other_plugins_are_in_it() -> None:
    schema = table_schema(PLUGINS)
    assert "mark" in schema["$defs"]["Route"]["properties"]
    assert "auth" in schema["properties"]


def test_a_reference_may_stand_anywhere() -> None:
    text = yaml.safe_dump(WHOLE)
    table = yaml.safe_load(text)
    for section in ("gateway", "auth", "plans", "upstreams", "defaults", "routes", "tests"):
        assert VALIDATOR.is_valid({**table, section: "${file:part.yaml}"}), section
    for change in ({"timeout": "${file:t.yaml}"}, {"limit": "${env:RATE}"}, {"body_max": "${env:SIZE}"}):
        assert VALIDATOR.is_valid({**table, "defaults": {"auth": "${env:PROFILE}", **change}}), change
    route = {"id": "a", "match": "/a/${env:PART}", "to": "${env:UPSTREAM}", "cors": {"credentials": "${env:YES}"}}
    assert not VALIDATOR.is_valid({**table, "routes": [route]})
    route["cors"]["origins"] = "${file:origins.yaml}"
    assert VALIDATOR.is_valid({**table, "routes": [route]})


@pytest.mark.parametrize(
    "route",
    [
        {"limit": "60/minute"},
        {"timeout": {"total": 30}},
        {"body_max": "10MB"},
        {"retry": {"on": [404]}},
        {"cache": {"ttl": "3m", "scop": "user"}},
        {"match": "api/crm"},
        {"respond": {"status": 200}},
        {"auth": "None"},
    ],
)
def test_mistakes_are_marked(route: dict[str, Any]) -> None:
    good = {"id": "a", "match": "/a", "to": "crm"}
    assert VALIDATOR.is_valid({"version": 1, "routes": [good]})
    assert not VALIDATOR.is_valid({"version": 1, "routes": [{**good, **route}]})


def test_an_included_file_needs_no_version_and_includes_no_other() -> None:
    included = jsonschema.Draft202012Validator(table_schema(find_plugins(), is_included=True))
    assert included.is_valid({"routes": []})
    assert not VALIDATOR.is_valid({"routes": []})
    assert not included.is_valid({"include": ["a.yaml"]})


def test_what_is_beyond_it_are_codes_that_there_are() -> None:
    assert set(CODES) >= BEYOND


def test_an_example_of_a_type() -> None:
    assert example_at(Route)["match"] == "/api/v1/crm/*"
    assert example_at(int) == 1
    assert example_at(Route, ("timeout",)) == {"connect": "1s"}
    assert example_at(Route, ("match", "methods", 0)) == "GET"
    assert example_at(Table, ("upstreams", "any", "endpoints", 0)) == "http://127.0.0.1:8101"
    assert example_at(Route, ("nothing", "here")) is None


def test_the_command_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert main(["schema", "--included"]) == 0
    assert "include" not in json.loads(capsys.readouterr().out)["properties"]
    assert main(["schema", "--plugin", "plugins.example"]) == 0
    assert "example" in json.loads(capsys.readouterr().out)["$defs"]["Route"]["properties"]
    assert main(["schema", "--plugin", "no.such"]) == 2
    assert capsys.readouterr().err.startswith('gateway schema: "no.such" cannot be imported: ')
