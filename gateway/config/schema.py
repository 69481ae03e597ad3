"""`gateway schema`: the JSON Schema (2020-12) of routes.yaml, from the very types that load it, for editors.

It says what a schema can say: keys, kinds, units, forms, short and long, and what belongs together inside of one
mapping. What needs more than the text at one place is in BEYOND, and `gateway check` tells it. A `${...}` may stand in
place of any value. Where the loader is more patient than the schema (numbers in quotes, `yes` for true), the schema
asks for what is clearer.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

from pydantic import TypeAdapter

from gateway.config.model import Defaults, Route, Table
from gateway.plugin_api import Plugin

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BEYOND: Final = frozenset(
    {
        # The text as YAML, and what stands in other files or the environment.
        *(
            "not_yaml",
            "unknown_tag",
            "duplicate_key",
            "missing_file",
            "missing_env",
            "bad_reference",
            "bad_certificate",
        ),
        *("invalid_include", "duplicate_include", "plugin_invalid"),
        # What one place says of another.
        *(
            "duplicate_id",
            "duplicate_endpoint",
            "invalid_split",
            "mirror_to_itself",
            "missing_policy",
            "unknown_upstream",
            "unknown_route",
            "unknown_profile",
        ),
        *("unknown_plan", "rewrite_mismatch", "route_tie", "scope_needed", "key_refused", "invalid_tls", "invalid"),
    }
)
"""Codes of `gateway check` that no schema can tell."""

_REFERENCE: Final = r"\$\{"
_MAX_DEPTH: Final = 8
_SECONDS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_BYTES: Final = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
Schema = dict[str, Any]


_seen: dict[int, tuple[Any, Schema]] = {}


def table_schema(plugins: Iterable[type[Plugin]], *, is_included: bool = False) -> Schema:
    """The schema of a table with these plugins. is_included: of a file that another one includes."""
    plugins = tuple(plugins)
    types: list[tuple[str, Any]] = [("table", Table), ("route", Route), ("defaults", Defaults)]
    types += [(f"policy {plugin.name}", plugin.Policy) for plugin in plugins]
    types += [(f"section {plugin.section_name}", plugin.Section) for plugin in plugins if plugin.Section is not None]
    parts, shared = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(model)) for name, model in types], ref_template="#/$defs/{model}"
    )
    # Copies, since what hints share between types is finished at each of its places.
    definitions: dict[str, Schema] = {name: deepcopy(schema) for name, schema in shared["$defs"].items()}
    schemas = {name: deepcopy(schema) for (name, _), schema in parts.items()}
    table, route, defaults = (definitions.pop(name) if name == "Table" else definitions[name] for name in _OWN)
    for plugin in plugins:
        policy = {"description": _first_line(plugin), **schemas[f"policy {plugin.name}"]}
        if plugin.is_answering:
            route["properties"][plugin.name] = policy
        else:
            for owner in (route, defaults):
                owner["properties"][plugin.name] = deepcopy(_or_none(policy))
        if plugin.Section is not None:
            section = schemas[f"section {plugin.section_name}"]
            about = f"What the policy `{plugin.name}` refers to, by name."
            table["properties"][plugin.section_name] = {"description": about, **section}
    actions = ["to", "split", *(plugin.name for plugin in plugins if plugin.is_answering)]
    route["oneOf"] = [{"required": [action]} for action in actions]
    for name in ("to", "split"):
        kinds = [kind for kind in route["properties"][name]["anyOf"] if kind.get("type") != "null"]
        route["properties"][name] = {**route["properties"][name], "anyOf": kinds}
    if is_included:
        table["required"] = []
        del table["properties"]["include"]
    whole = {"$schema": DIALECT, "title": "routes.yaml", **table, "$defs": dict(sorted(definitions.items()))}
    _Finisher(whole).finish()
    return whole


_OWN: Final = ("Table", "Route", "Defaults")


def example_at(model: Any, path: Sequence[str | int] = ()) -> Any:
    """A value that a type takes, at a path below it; None where none is known."""
    # By identity, because a type may be annotated with what has no hash; it is kept, so that nothing else has its own.
    if id(model) not in _seen:
        _seen[id(model)] = model, TypeAdapter(model).json_schema()
    schema = _seen[id(model)][1]
    finisher = _Finisher(schema)
    return finisher.example(inner) if (inner := finisher.below(schema, path)) is not None else None


def _first_line(plugin: type[Plugin]) -> str:
    return (plugin.__doc__ or plugin.name).strip().splitlines()[0]


def _or_none(policy: Schema) -> Schema:
    """A policy, or `none` to switch its default off."""
    about = {"description": policy["description"]}
    inner = {key: value for key, value in policy.items() if key != "description"}
    choices = inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    return {**about, "anyOf": [*choices, {"const": "none", "description": "Switches the default off."}]}


class _Finisher:
    """Goes through a whole schema once: references allowed, defaults as they are written, examples on every key."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._definitions: Mapping[str, Schema] = root.get("$defs", {})

    def finish(self) -> None:
        self._examples(self._root)
        for definition in self._definitions.values():
            self._examples(definition)
        for schema in (self._root, *self._definitions.values()):
            self._visit(schema, is_whole=True)

    def below(self, schema: Schema, path: Sequence[str | int]) -> Schema | None:
        """The schema of what stands at a path; None where there is none."""
        if not path:
            return schema
        if "$ref" in schema:
            return self.below(self._definitions[schema["$ref"].rpartition("/")[2]], path)
        step, rest = path[0], path[1:]
        found = schema.get("items") if isinstance(step, int) else schema.get("properties", {}).get(step)
        others = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
        for inner in (found, *(others if isinstance(step, str) and found is None else ())):
            if isinstance(inner, dict):
                return self.below(inner, rest)
        choices = (self.below(choice, path) for choice in schema.get("anyOf", ()) if not _is_rule(choice))
        return next((choice for choice in choices if choice is not None), None)

    def example(self, schema: Schema, depth: int = 0) -> Any:
        """The first example, or one made of what the schema says; None where nothing is known."""
        if schema.get("type") == "string" and isinstance(schema.get("default"), int | float) and schema["default"]:
            return _written_default(schema)
        if schema.get("examples"):
            return schema["examples"][0]
        if "$ref" in schema and depth < _MAX_DEPTH:
            return self.example(self._definitions[schema["$ref"].rpartition("/")[2]], depth + 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        default = _written_default(schema)
        if default not in (None, [], {}, ""):
            return default
        for choice in schema.get("anyOf", ()):
            if (found := self.example(choice, depth + 1)) is not None:
                return found
        return self._made(schema, depth)

    def _made(self, schema: Schema, depth: int) -> Any:
        kind = schema.get("type")
        if kind == "boolean":
            return True
        if kind == "integer":
            return schema.get("minimum", 1)
        if kind == "array" and "items" in schema:
            item = self.example(schema["items"], depth + 1)
            return None if item is None else [item]
        if kind == "object":
            properties = schema.get("properties", {})
            names = [*schema.get("required", ()), *_first_choice(schema)] or list(properties)[:1]
            return {name: self.example(properties[name], depth + 1) for name in names} or self._named(schema, depth)
        return None

    def _named(self, schema: Schema, depth: int) -> Any:
        for inner in (*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")):
            if isinstance(inner, dict) and (value := self.example(inner, depth + 1)) is not None:
                return {"main": value}
        return None

    def _examples(self, schema: Schema) -> None:
        for inner in schema.get("properties", {}).values():
            found = self.example(inner)
            if found is not None and "examples" not in inner:
                inner["examples"] = [found]

    def _visit(self, schema: Schema, *, is_whole: bool = False) -> None:
        """is_whole: it stands for a mapping as such, to which its users add the reference."""
        schema.pop("title", None) if not is_whole or "$schema" not in schema else None
        default = _written_default(schema)
        schema.pop("default", None)
        if default not in (None, "", {}):
            schema["default"] = default
        if "exclusiveMinimum" in schema and schema.get("type") == "string":
            del schema["exclusiveMinimum"]
            schema["pattern"] = schema["pattern"].replace(r"^(\d+)", r"^(0*[1-9]\d*)")
        if schema.pop("writeOnly", False):
            schema.pop("format", None)
        for inner in (
            *schema.get("properties", {}).values(),
            *schema.get("patternProperties", {}).values(),
            *(schema[key] for key in ("additionalProperties", "items") if isinstance(schema.get(key), dict)),
            *schema.get("anyOf", ()),
        ):
            if isinstance(inner, dict) and not _is_rule(inner):
                self._visit(inner)
        if "patternProperties" in schema:
            schema["additionalProperties"] = False
        if not is_whole:
            _allow_reference(schema)


def _first_choice(schema: Schema) -> list[str]:
    """Of keys of which one has to be there: the first."""
    for rule in ("oneOf", "anyOf"):
        if schema.get(rule):
            return list(schema[rule][0].get("required", ()))
    return []


def _is_rule(schema: Schema) -> bool:
    """Whether it only says what belongs together, of keys that are described elsewhere."""
    return (
        bool(schema)
        and set(schema) <= {"required", "properties", "not", "allOf", "anyOf", "oneOf", "minItems"}
        and ("type" not in schema and "$ref" not in schema and ("required" in schema or "not" in schema))
    )


def _allow_reference(schema: Schema) -> None:
    kind = schema.get("type")
    if kind == "string":
        if "pattern" in schema:
            schema["pattern"] = f"{schema['pattern']}|{_REFERENCE}"
        if "enum" in schema or "const" in schema:
            _become_choice(schema)
        schema.pop("maxLength", None)
    elif kind in ("array", "boolean", "integer", "number", "object") and "enum" not in schema and "const" not in schema:
        schema["type"] = [kind, "string"]
        schema["pattern"] = _REFERENCE
        if kind == "object" and any(key in schema for key in ("oneOf", "anyOf", "not", "if")):
            raise AssertionError("rules of a mapping apply to references as well: give the type a name")
    elif "anyOf" in schema:
        if not any(_takes_references(choice) for choice in schema["anyOf"]):
            schema["anyOf"] = [*schema["anyOf"], {"type": "string", "pattern": _REFERENCE}]
    elif "$ref" in schema or "enum" in schema or "const" in schema:
        _become_choice(schema)


def _become_choice(schema: Schema) -> None:
    moved = {key: schema.pop(key) for key in ("$ref", "type", "enum", "const", "pattern") if key in schema}
    schema["anyOf"] = [moved, {"type": "string", "pattern": _REFERENCE}]


def _takes_references(schema: Schema) -> bool:
    kinds: Sequence[str] = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type", "")]
    is_free = "string" in kinds and not {"enum", "const", "pattern"} & set(schema)
    return is_free or _REFERENCE in schema.get("pattern", "")


def _written_default(schema: Schema) -> Any:
    """The default as an operator writes it; None where there is none, or none that can be written."""
    value = schema.get("default")
    pattern = schema.get("pattern", "")
    if schema.get("type") != "string":
        fits = {"boolean": bool, "integer": int, "array": list}.get(schema.get("type", ""))
        return value if fits is not None and isinstance(value, fits) else None
    if isinstance(value, str):
        is_claim = "claim:" in pattern and not value.startswith("claim:")
        return f"claim:{value}" if is_claim else value
    if isinstance(value, list) and len(value) == 2:
        return f"{_with_unit(value[0], _BYTES)}/{_with_unit(value[1], _SECONDS)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if "%" in pattern:
            return f"{round(value * 100)}%"
        if "KiB" in pattern:
            return _with_unit(value, _BYTES)
        if "ms" in pattern:
            return _with_unit(value, _SECONDS)
    return None


def _with_unit(value: float, units: Sequence[tuple[int, str]]) -> str:
    if value == 0:
        return f"0{units[-1][1]}"
    for size, unit in units:
        if math.isclose(value % size, 0.0):
            return f"{int(value // size)}{unit}"
    return f"{round(value * 1000)}ms"
