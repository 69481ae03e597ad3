"""Hazard: an editor that marks what the gateway takes, or stays silent at what it refuses.

Random changes are made to a table that is good, and both judge the result. What the schema takes, the loader takes, but
for what no schema can know (`schema.BEYOND`). What the schema refuses, the loader refuses, but for spellings where the
loader is more patient: numbers and booleans in quotes (`"5"`, `yes`), 5.0 for 5.
"""

import os
from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.compile import compile_loaded
from gateway.config.discover import find_plugins
from gateway.config.load import read_table
from gateway.config.problems import TableInvalid
from gateway.config.schema import BEYOND, table_schema
from gateway.config.source import from_memory
from tests.config.whole_table import ENVIRON, WHOLE

PLUGINS = find_plugins()
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
SCALARS = [
    *(None, True, False, 0, 1, -1, 5, 200, 204, 503, 600, 1.5, 5.0, "", "x", "X Y", "none", "off", "yes", "5"),
    *("crm", "CRM", "30s", "0s", "30", "30 s", "5m", "60/min", "60/minute", "0/s", "10MiB", "0B", "10MB", "20%"),
    *("0.2", "100%", "101%", "claim:sub", "/", "/a", "/a/", "/a/{id}", "/a/{id", "/a/{id:int}/*", "/a/{id:str}"),
    *("/a/*", "/*", "/a*", "//", "/a/..", "/a%2Fb", "/a%20b", "/ä", "a/b", "GET", "get", "*", "*.example.com"),
    *("api.example.com", "host:80", "http://h:1", "http://h:1/", "http://h:1/x", "https://h", "ftp://h"),
    *("https://app.example:443", "10.0.0.0/8", "::1", "all", "tenant", "ip", "header:x-a", "header:", "public"),
    *("local", "HS256", "hs256", "connect", "X-A", "x a", "host", "limits", "memory://", "redis://h", "memory"),
    *("text/html", "text", "l1", "gzip", "optional", "2KiB/10s", "0B/1s", "main"),
]
LISTS = [[], ["x"], ["30s", "30s"], ["GET"], [1], [None], ["l1", "l1"], ["gzip", "gzip"]]
VALUES = [*SCALARS, *LISTS, {}, {"x": 1}, {"path": "/a"}]
KEYS = [
    *("x", "", "path", "to", "id", "json", "text", "status", "limits", "rate", "plan", "concurrent", "respond"),
    *("batch", "secret", "jwks", "jwt", "api_key", "strip", "prefix", "ttl", "override", "get", "put", "expect"),
    *("tags", "weight", "split", "mirror", "percent"),
]
EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "120"))
TEXTS = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="$"), max_size=5)
# What pydantic reads as a boolean or as a whole number, where a schema wants the thing itself.
WORDS = r"(?i)^(?:true|false|yes|no|on|off|t|f|y|n|1|0)$"
DIGITS = r"^\s*[+-]?\d[\d_]*(?:\.0*)?\s*$"


@cache
def strict() -> Any:
    return jsonschema.Draft202012Validator(table_schema(PLUGINS))


@cache
def patient() -> Any:
    """The schema as a loader reads that takes `"5"`, 5.0 and true for numbers, and `yes` and 1 for booleans."""
    schema = table_schema(PLUGINS)
    _be_patient(schema)
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) or (isinstance(value, float) and value.is_integer()),
            "boolean": lambda _, value: isinstance(value, bool) or value in (0, 1),
        }
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)(schema)


def _be_patient(schema: Any) -> None:
    if isinstance(schema, list):
        for item in schema:
            _be_patient(item)
    if isinstance(schema, dict):
        if schema.get("const") == 1 and schema["const"] is not True:
            schema["enum"] = [schema.pop("const"), True]
        for kind, words in (("boolean", WORDS), ("integer", DIGITS)):
            if schema.get("type") == [kind, "string"]:
                schema["pattern"] = f"{words}|{schema['pattern']}"
        for item in schema.values():
            _be_patient(item)


def refusals(table: Any) -> set[str]:
    """The codes of the loader and the compiler; empty where the table is good."""
    text = yaml.dump(table, Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    read_file, find_files = from_memory({"routes.yaml": text})
    loaded = read_table("routes.yaml", PLUGINS, environ=ENVIRON, read_file=read_file, find_files=find_files)
    try:
        compile_loaded(loaded)
    except TableInvalid as invalid:
        return {problem.code for problem in invalid.problems}
    return set()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in entries:
        found += places(child, (*path, key))
    return found


def at(table: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        table = table[step]
    return table


@st.composite
def changed_tables(draw: st.DrawFn) -> Any:
    table = deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(table)))
        parent, key = at(table, path[:-1]), path[-1]
        change = draw(st.sampled_from(["value", "value", "other", "drop", "add", "rename", "wrap", "twice", "text"]))
        if change == "value":
            parent[key] = deepcopy(draw(st.sampled_from(VALUES)))
        elif change == "other":
            parent[key] = deepcopy(at(table, draw(st.sampled_from(places(table)))))
        elif change == "drop":
            del parent[key]
        elif change == "add" and isinstance(parent, dict):
            parent[draw(st.sampled_from(KEYS))] = deepcopy(draw(st.sampled_from(VALUES)))
        elif change == "rename" and isinstance(parent, dict):
            parent[draw(st.sampled_from(KEYS))] = parent.pop(key)
        elif change == "wrap":
            parent[key] = [parent[key]]
        elif change == "twice" and isinstance(parent, list):
            parent.append(deepcopy(parent[key]))
        elif change == "text":
            parent[key] = draw(
                st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="$"), max_size=5)
            )
        if not places(table):
            break
    return table


def test_the_whole_table_is_good_to_both() -> None:
    assert refusals(WHOLE) == set()
    assert [error.message for error in strict().iter_errors(WHOLE)] == []


@settings(max_examples=EXAMPLES)
@given(changed_tables())
def test_the_loader_takes_what_the_schema_takes(table: Any) -> None:
    codes = refusals(table)
    if strict().is_valid(table):
        assert codes <= BEYOND, codes


@settings(max_examples=EXAMPLES)
@given(changed_tables())
def test_the_loader_refuses_what_the_schema_refuses(table: Any) -> None:
    errors = [f"{error.json_path}: {error.message}"[:300] for error in patient().iter_errors(table)]
    if errors:
        assert refusals(table) - BEYOND, errors
