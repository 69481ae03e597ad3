"""Pydantic's errors in the operator's words: no class names, no jargon, no values from references."""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from gateway.config.codes import CODES
from gateway.config.problems import Place, Problem, either, suggest
from gateway.config.references import References
from gateway.config.schema import example_at
from gateway.config.tree import Located, Node, locate

Path = tuple[str | int, ...]

_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping of keys and values",
    "mapping": "a mapping of keys and values",
    "model": "a mapping of keys and values",
    "model_attributes": "a mapping of keys and values",
    "dataclass": "a mapping of keys and values",
    "none_required": "nothing",
}
_SCALARS = {"duration", "size", "rate", "flow", "percent", "claim", "id"}
_COMPOUND = {"a list", "a mapping of keys and values"}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_LENGTHS = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}


class Translator:
    """Validates parts of one tree and reports what is wrong, each at its place."""

    def __init__(self, root: Node, references: References, report: list[Problem]) -> None:
        self._root = root
        self._references = references
        self._report = report

    def read(
        self, adapter: TypeAdapter[Any], model: Any, path: Path, value: Any, *, more_keys: Iterable[str] = ()
    ) -> tuple[Any, bool]:
        """Validate the value that stands at the path. Returns (result, whether it is good).

        model: the type behind the adapter. more_keys: keys that are also known there, for "did you mean".
        """
        try:
            return adapter.validate_python(value), True
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
        except RecursionError:
            self.add(path, "invalid_value", "nested too deep")
            return None, False
        for located, errors in self._by_place(path, found):
            if not located.node.is_broken:
                code, message = self._sentence(located, errors, model, path, tuple(more_keys))
                is_key = errors[0]["type"] == "extra_forbidden" or "[key]" in errors[0]["loc"]
                self._add_at(located, located.key_place if is_key else located.place, code, message)
        return None, False

    def add(self, path: Path, code: str, message: str, *, at_key: bool = False, severity: str = "error") -> None:
        """Report a problem at a path, or as near to it as the table goes."""
        located = locate(self._root, path)
        if not located.node.is_broken:
            self._add_at(located, located.key_place if at_key else located.place, code, message, severity)

    def _add_at(self, located: Located, place: Place, code: str, message: str, severity: str = "error") -> None:
        message = self._references.scrub(message, located.references)
        self._report.append(Problem.at(place, code, " ".join(message.split()), severity))

    def _by_place(self, path: Path, errors: Sequence[Any]) -> Iterable[tuple[Located, list[Any]]]:
        """Errors of the branches of a union belong together: those that got furthest say most."""
        groups: dict[tuple[Path, Path], list[tuple[Located, Any]]] = {}
        # Entries that are wrong are not counted by pydantic, so it calls their list too short as well.
        short = [error for error in errors if error["type"] == "too_short"]
        empty = [error for error in short if not any(_is_below(other["loc"], error["loc"]) for other in errors)]
        for error in (error for error in errors if error not in short or error in empty):
            located = locate(self._root, (*path, *error["loc"]))
            name = error["loc"][-1:] if error["type"] in ("missing", "extra_forbidden") else ()
            tags = [step for step in located.left if step not in (*name, "[key]")]
            # Where no union is involved each error stands for itself.
            prefix = located.path[: len(path) + error["loc"].index(tags[0])] if tags else located.path
            groups.setdefault((prefix, () if tags else (*name, error["type"])), []).append((located, error))
        for group in groups.values():
            depth = max(len(located.path) for located, _ in group)
            furthest = [(located, error) for located, error in group if len(located.path) == depth]
            kinds = {error["type"] for _, error in furthest}
            if len(furthest) > 1 and not all(kind.endswith("_type") for kind in kinds):
                furthest = [pair for pair in furthest if not pair[1]["type"].endswith("_type")] or furthest
            yield furthest[0][0], [error for _, error in furthest]

    def _sentence(
        self, located: Located, errors: list[Any], model: Any, base: Path, more_keys: tuple[str, ...]
    ) -> tuple[str, str]:
        error = errors[0]
        kind: str = error["type"]
        context: Mapping[str, Any] = error.get("ctx", {})
        name = error["loc"][-1] if error["loc"] else ""
        if kind == "extra_forbidden":
            inner = located.path[len(base) : -1] if located.path else ()
            known = keys_at(model, inner) | set(more_keys if not inner else ())
            hint = suggest(str(name).lstrip("-"), known)
            if str(name).startswith("-"):
                hint = f"write a space after the dash: - {str(name)[1:]}"
            if located.node.value is None and "did you mean" not in hint:
                # `{methods: GET, HEAD}`: inside of braces a comma begins the next key.
                hint += "; if it is a value, put all values into brackets: [a, b]"
            return "unknown_key", f'"{name}" is not a key here; {hint}'
        if kind == "missing":
            shown = _shown_example(model, (*located.path[len(base) :], name))
            return "missing_key", f'"{name}" is missing here' + (f"; write {shown}" if shown else "")
        wanted = dict.fromkeys(_WANTED[word] for item in errors if (word := _type_word(item["type"])) in _WANTED)
        if wanted:
            message = f"{either(list(wanted))} is wanted here, not {_shape(located.node.value, kind)}"
            # A scalar is clear enough; what a list or a mapping looks like here is not.
            is_plain = _COMPOUND.isdisjoint(wanted) or not located.path
            shown = "" if is_plain else _shown_example(model, located.path[len(base) :], str(located.path[-1]))
            return "wrong_type", message + (f"; write it like {shown}" if shown else "")
        if kind in _SCALARS:
            return f"bad_{kind}", error["msg"]
        if kind in ("literal_error", "enum"):
            allowed = " ".join(item["ctx"]["expected"] for item in errors if "expected" in item.get("ctx", {}))
            choices = allowed.replace(" or ", ", ").replace("'", "")
            if "," not in choices:
                return "invalid_value", f"must be {choices}"
            value = located.node.value
            shown = f'"{value}"' if isinstance(value, (str, int, float)) else _shape(value, "")
            near = {choice.lower(): choice for choice in choices.split(", ")}.get(str(value).lower(), "")
            return "invalid_value", f"{shown} is not one of: {choices}" + (f'; did you mean "{near}"?' if near else "")
        if kind in _BOUNDS:
            words, key = _BOUNDS[kind]
            return "invalid_value", f"must be {words} {context[key]}"
        if kind in _LENGTHS:
            words, key = _LENGTHS[kind]
            count = context[key]
            return "invalid_value", f"{words} {count} {'entry is' if count == 1 else 'entries are'} wanted here"
        if kind == "string_too_short":
            return "invalid_value", "must not be empty"
        if kind == "string_pattern_mismatch":
            return "invalid_value", f"must fit the pattern {context['pattern']}"
        if kind in ("value_error", "assertion_error"):
            return "invalid_value", str(context.get("error", error["msg"]))
        if "_" in kind and error["msg"].startswith("Input should be"):
            return "invalid_value", error["msg"].replace("Input should be", "must be")
        # What pydantic or a plugin has kinds of its own for: the codes stay those of the table.
        return kind if kind in CODES else "invalid_value", error["msg"]


def _shown_example(model: Any, path: Path, key: str = "") -> str:
    """What stands at a path below a type, as a line of the table; "" where the types say nothing of it. key: what to
    call it where the path has no name for it.
    """
    name = key if not path or isinstance(path[-1], int) else str(path[-1])
    if name.isdigit():
        return ""
    value = example_at(model, path)
    if value is None:
        return ""
    # One line, as within braces: {a: [b, "c:{d}"]}
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True)
    return f"{name}: {text.removesuffix(chr(10)).removesuffix('...').strip()}"


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _type_word(kind: str) -> str:
    for ending in ("_type", "_parsing", "_from_float"):
        if kind.endswith(ending):
            return kind.removesuffix(ending)
    return kind if kind == "none_required" else ""


def _shape(value: Any, kind: str) -> str:
    if kind.endswith("_from_float"):
        return "a fraction"
    if isinstance(value, bool):
        return "true or false; write it in quotes to mean the word" if kind == "string_type" else str(value).lower()
    if isinstance(value, (int, float)):
        return "a number; write it in quotes to mean text" if kind == "string_type" else "a number"
    shapes = {str: "text", list: "a list", dict: "a mapping", type(None): "nothing"}
    return shapes.get(type(value), "this")


def keys_at(model: Any, path: Sequence[str | int]) -> set[str]:
    """The keys that a type knows at a path below it."""
    return {
        field.alias or name for candidate in _models_at(model, path) for name, field in candidate.model_fields.items()
    }


def is_secret(model: Any, path: Sequence[str | int]) -> bool:
    """Whether a path below a type is, or is inside of, a field that is kept out of `repr` or a SecretStr."""
    for index, step in enumerate(path):
        for candidate in _models_at(model, path[:index]):
            for name, field in candidate.model_fields.items():
                is_hidden = not field.repr or SecretStr in _alternatives(field.annotation)
                if step == (field.alias or name) and is_hidden:
                    return True
    return False


def _models_at(model: Any, path: Sequence[str | int]) -> list[type[BaseModel]]:
    types = _alternatives(model)
    for step in path:
        types = [inner for outer in types for inner in _step(outer, step)]
    return [candidate for candidate in types if isinstance(candidate, type) and issubclass(candidate, BaseModel)]


def _step(outer: Any, step: str | int) -> list[Any]:
    if isinstance(outer, type) and issubclass(outer, BaseModel):
        fields = [field for name, field in outer.model_fields.items() if step == (field.alias or name)]
        return [inner for field in fields for inner in _alternatives(field.annotation)]
    # Of dict[K, V] and tuple[V, ...] alike, what is inside is among the arguments.
    return [inner for argument in get_args(outer) for inner in _alternatives(argument)]


def _alternatives(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [inner for argument in get_args(annotation) for inner in _alternatives(argument)]
    return [annotation]
