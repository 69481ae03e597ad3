"""One normal form of a request path, and the patterns that routes match it with.

Routing decides on the normal form while the upstream gets the raw target, so the two must not be readable as different
resources. Characters that may stand plainly in a segment (`pchar`, RFC 3986 section 3.3) are decoded, all others are
encoded with upper-case hex. What servers are known to read differently is refused: that is the gap through which a
request reaches a resource past the policies of its route.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.core.memo import Memo

# pchar without `;`, which some servers cut off with all that follows (RFC 3986 section 3.3, path parameters).
_PLAIN_CHARS = r"A-Za-z0-9._~!$&'()*+,=:@\-"
_PLAIN: Final = re.compile(f"/[{_PLAIN_CHARS}/]*")
_FORBIDDEN: Final = re.compile(r"[^\x21-\x7e]|[\\;#?]")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_OR_ODD: Final = re.compile(rf"%[0-9A-Fa-f]{{2}}|[^{_PLAIN_CHARS}/%]")
_ENCODED_HIGH: Final = re.compile(r"%[89A-F]")
_PARAM = re.compile(r"\{([a-z_][a-z0-9_]*)(?::([a-z]+))?\}")

_FORBIDDEN_REASONS = {
    "\\": "a backslash, which some servers read as a slash",
    ";": "a path parameter (;), which some servers cut off",
    "#": "a fragment (#), which belongs to the client",
    "?": "a question mark inside the path",
}


class PathNotCanonical(ValueError):  # noqa: N818 - names the state of the path
    """The path could be read in more than one way. reason: what is wrong, to follow the words `the path has`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the path has {reason}")
        self.reason = reason


def normal_form(raw_path: str) -> str:
    """The one form of a path that patterns are matched with; a trailing slash stays, and does not matter to them.

    raw_path: the path of the request target as sent, without the query. Raises PathNotCanonical.
    """
    return _NORMAL_FORMS[raw_path]


def _make_normal_form(raw_path: str) -> str:
    if _PLAIN.fullmatch(raw_path) and "//" not in raw_path and "/." not in raw_path:
        return raw_path
    if not raw_path.startswith("/"):
        raise PathNotCanonical("no leading slash")
    if found := _FORBIDDEN.search(raw_path):
        raise PathNotCanonical(_FORBIDDEN_REASONS.get(found[0], "a control or non-ASCII character that is not encoded"))
    if _BAD_PERCENT.search(raw_path):
        raise PathNotCanonical("a % without two hex digits")
    path = _ENCODED_OR_ODD.sub(_normal_character, raw_path)
    if _ENCODED_HIGH.search(path):
        _check_utf8(path)
    segments = path.split("/")[1:]
    if "" in segments[:-1]:
        raise PathNotCanonical("an empty segment (//)")
    if "." in segments or ".." in segments:
        raise PathNotCanonical("a dot segment (. or ..)")
    return path


# What is asked for again and again, a kept reply say, is asked for by the same path.
_NORMAL_FORMS: Final[Memo[str, str]] = Memo(_make_normal_form)


def _normal_character(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) == 1:
        return f"%{ord(text):02X}"
    char = chr(int(text[1:], 16))
    if char in "/\\":
        raise PathNotCanonical(f"an encoded {'slash' if char == '/' else 'backslash'} ({text})")
    if char < " " or char == "\x7f":
        raise PathNotCanonical(f"an encoded control character ({text})")
    return char if char != "/" and _PLAIN.fullmatch("/" + char) else text.upper()


def _check_utf8(path: str) -> None:
    # Overlong forms such as %C0%AF are a slash to a careless decoder.
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise PathNotCanonical("encoded bytes that are not UTF-8") from None


@dataclass(frozen=True)
class Param:
    """A `{name}` or `{name:int}` segment; an int is one or more ASCII digits."""

    name: str
    is_int: bool


@dataclass(frozen=True)
class Pattern:
    """A parsed route path. segments: literal text or Param each; is_prefix: whether it ends in `/*`."""

    text: str
    segments: tuple[str | Param, ...]
    is_prefix: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parameters, in order."""
        return tuple(segment.name for segment in self.segments if isinstance(segment, Param))


def parse_pattern(text: str) -> Pattern:
    """Read `/a/{id}`, `/a/{id:int}/b`, `/a/*`. Raises ValueError with a message for the operator."""
    if not text.startswith("/"):
        raise ValueError(f'"{text}" must start with /')
    parts = text[1:].split("/")
    is_prefix = parts[-1] == "*"
    if is_prefix or parts == [""]:
        parts.pop()
    elif parts[-1] == "":
        raise ValueError(f'"{text}": leave out the slash at the end; requests match with and without it')
    segments = tuple(_parse_segment(text, part) for part in parts)
    pattern = Pattern(text, segments, is_prefix)
    for name in pattern.names:
        if pattern.names.count(name) > 1:
            raise ValueError(f'"{text}": the name {{{name}}} stands twice')
    return pattern


def _parse_segment(text: str, part: str) -> str | Param:
    if param := _PARAM.fullmatch(part):
        name, kind = param.groups()
        if kind not in (None, "int"):
            raise ValueError(f'"{text}": {part} is of unknown kind; write {{{name}}} or {{{name}:int}}')
        return Param(name, kind == "int")
    if "{" in part or "}" in part:
        raise ValueError(
            f'"{text}": {part} is no parameter; a parameter is a whole segment such as {{id}} or {{id:int}}, '
            "named with a-z, 0-9 and _"
        )
    if "*" in part:
        raise ValueError(f'"{text}": * may stand only alone at the end, as in /a/*')
    try:
        normal = normal_form("/" + part)[1:]
    except PathNotCanonical as error:
        raise ValueError(f'"{text}" can never match: it has {error.reason}') from None
    if not part or normal != part:
        shown = f"write {normal} instead of {part}" if part else "it has an empty segment (//)"
        raise ValueError(f'"{text}" can never match: {shown}')
    return part
