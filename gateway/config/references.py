"""`${env:NAME}`, `${env:NAME:-default}` and `${file:path}`: values that come from elsewhere and are never printed."""

import os.path
import re
from collections.abc import Callable, Iterable, Mapping

from gateway.config.problems import Place, Problem
from gateway.config.tree import Node, read_tree

_REFERENCE = re.compile(r"\$\{([^}]*)(\}?)")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?", re.DOTALL)
_YAML_ENDINGS = (".yaml", ".yml", ".json")
_SHORT = 8


class _Unresolved(Exception):  # noqa: N818 - has been reported; ends the reading of one value
    pass


class References:
    """Resolves references, and takes what they stand for out of messages again.

    A file that ends in .yaml, .yml or .json and is the whole value is parsed, where it holds a mapping or a list; any
    other is text, less one line end. Values are text always, also `${env:PORT}` with digits. used_env: the variables
    asked for, with their values (None: not set).
    """

    def __init__(
        self, environ: Mapping[str, str], read: Callable[[str], str], report: Callable[[Problem], None]
    ) -> None:
        self.used_env: dict[str, str | None] = {}
        self._environ = environ
        self._read = read
        self._report = report
        self._long_secrets: dict[str, str] = {}

    def expand(self, text: str, place: Place) -> Node:
        """The value of a text with `${`. Problems are reported, the node is then broken."""
        try:
            if (whole := _REFERENCE.fullmatch(text)) and whole[1].startswith("file:"):
                return self._file_node(text, whole[1].removeprefix("file:"), place)
            return Node(place, _REFERENCE.sub(lambda found: self._resolve(found, place), text), reference=text)
        except _Unresolved:
            return Node(place, text, reference=text, is_broken=True)

    def scrub(self, message: str, nearby: Iterable[Node]) -> str:
        """The message without what references stand for: any long value, and every value of the nodes nearby."""
        secrets = dict(self._long_secrets)
        for node in nearby:
            secrets.update(dict.fromkeys(_texts(node), node.reference))
        patterns = []
        shown: dict[str, str] = {}
        for secret in sorted(filter(str.strip, secrets), key=len, reverse=True):
            for form in dict.fromkeys((secret, repr(secret)[1:-1])):
                shown[form] = secrets[secret]
                patterns.append(re.escape(form) if len(form) > 3 else rf"(?<!\w){re.escape(form)}(?!\w)")
        return re.sub("|".join(patterns), lambda found: shown[found[0]], message) if patterns else message

    def _fail(self, place: Place, code: str, message: str) -> _Unresolved:
        self._report(Problem.at(place, code, message))
        return _Unresolved()

    def _resolve(self, found: re.Match[str], place: Place) -> str:
        if not found[2]:
            raise self._fail(place, "bad_reference", f'"{found[0]}" has no closing brace')
        if found[1].startswith("file:"):
            text = self._file_text(found[1].removeprefix("file:"), place)[1]
            self._keep(text, found[0])
            return text
        env = _ENV.fullmatch(found[1])
        if env is None:
            raise self._fail(
                place,
                "bad_reference",
                f'"{found[0]}" is none; write ${{env:NAME}}, ${{env:NAME:-default}} or ${{file:path}}',
            )
        name, default = env[1], env[3]
        value = self.used_env[name] = self._environ.get(name)
        if not value and env[2] is not None:
            return str(default)
        if not value:
            state = "not set" if value is None else "empty"
            raise self._fail(
                place,
                "missing_env",
                f"{found[0]}: the environment variable {name} is {state}; set it, or give what is "
                f"no secret a default: ${{env:{name}:-default}}",
            )
        self._keep(value, found[0])
        return value

    def _keep(self, value: str, reference: str) -> None:
        if len(value) >= _SHORT:
            self._long_secrets[value] = reference

    def _file_text(self, name: str, place: Place) -> tuple[str, str]:
        if not name:
            raise self._fail(place, "bad_reference", '"${file:}" names no file')
        path = os.path.join(os.path.dirname(place.file), name)
        try:
            text = self._read(path)
        except (OSError, ValueError) as error:
            raise self._fail(place, "missing_file", f"${{file:{name}}}: {reason(error)}") from None
        return path, text.removesuffix("\n").removesuffix("\r")

    def _file_node(self, text: str, name: str, place: Place) -> Node:
        path, content = self._file_text(name, place)
        if name.endswith(_YAML_ENDINGS):
            problems: list[Problem] = []
            node = read_tree(content, path, problems.append, self._refuse_nested)
            for problem in problems:
                # The parser's own words may quote the file, which may be secret.
                message = "not valid YAML here" if problem.code == "not_yaml" else "not usable here"
                at = Place(problem.file, problem.line, problem.column)
                self._report(Problem.at(at, problem.code, f"{message} (read for {text} at {place})"))
            if node is None or problems:
                raise _Unresolved
            if isinstance(node.value, (dict, list)):
                node.reference = text
                return node
        self._keep(content, text)
        return Node(place, content, reference=text)

    def _refuse_nested(self, text: str, place: Place) -> Node:
        raise self._fail(place, "bad_reference", "a file that is itself referred to may hold no ${…}")


def _texts(node: Node) -> list[str]:
    """Every text of a referenced value, keys included."""
    if isinstance(node.value, dict):
        return [*node.value, *(text for child in node.children() for text in _texts(child))]
    if isinstance(node.value, list):
        return [text for child in node.children() for text in _texts(child)]
    return [str(node.value)]


def reason(error: OSError | ValueError) -> str:
    """Why a file could not be read, without what is in it."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return f"the file cannot be read ({error.strerror or error})"
    return "the file is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)
