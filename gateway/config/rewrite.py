"""The target for the upstream, made from the target that came."""

import re
from collections.abc import Callable
from urllib.parse import quote

from gateway.config.model import Rewrite
from gateway.core.routing import Pattern, parse_pattern
from gateway.plugin_api import Exchange

_PARAM = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_SEGMENT_SAFE = "!$&'()*+,=:@"
"""What may stand plainly in a segment (RFC 3986 section 3.3), less `;`."""


class RewriteInvalid(ValueError):  # noqa: N818 - a state of the setting
    """A rewrite that does not fit its route. key: which of its keys."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def compile_rewrite(rewrite: Rewrite, pattern: Pattern) -> Callable[[Exchange], str]:
    """The function from an exchange to the upstream's target; the query stays as sent. Raises RewriteInvalid."""
    if rewrite.path is not None:
        return _template(rewrite.path, pattern)
    strip, prefix = rewrite.strip or "", rewrite.prefix or ""
    literal = parse_pattern(strip).segments if strip else ()
    if pattern.segments[: len(literal)] != literal:
        raise RewriteInvalid(
            "strip", f'"{strip}" is not what "{pattern.text}" begins with; write what it begins with, or rewrite: none'
        )
    length = len(strip)

    def target_of(exchange: Exchange) -> str:
        path, mark, query = exchange.target.partition("?")
        # Escapes of plain characters (/%61pi for /api) fit the route, but not the text that is taken off.
        rest = (
            path[length:]
            if path.startswith(strip) and path[length : length + 1] in ("", "/")
            else exchange.path[length:]
        )
        return f"{prefix}{rest}{mark}{query}" if prefix or rest else f"/{mark}{query}"

    return target_of


def compile_location(rewrite: Rewrite) -> Callable[[str], str] | None:
    """The way back, for the paths in Location and Content-Location: from the upstream's to the client's.

    None for a `path` template, which cannot be undone. A path that the upstream has outside its prefix stays as it is.
    """
    if rewrite.path is not None:
        return None
    strip, prefix = rewrite.strip or "", rewrite.prefix or ""

    def client_path(path: str) -> str:
        if not path.startswith(prefix) or path[len(prefix) : len(prefix) + 1] not in ("", "/", "?", "#"):
            return path
        return strip + path[len(prefix) :]

    return client_path


def _template(template: str, pattern: Pattern) -> Callable[[Exchange], str]:
    parts = _PARAM.split(template)
    names = parts[1::2]
    for name in names:
        if name not in pattern.names:
            known = ", ".join(f"{{{known}}}" for known in pattern.names) or "no parameters"
            raise RewriteInvalid("path", f'{{{name}}} is not in the match "{pattern.text}", which has {known}')

    def target_of(exchange: Exchange) -> str:
        _, mark, query = exchange.target.partition("?")
        values = list(parts)
        values[1::2] = [quote(exchange.params[name], safe=_SEGMENT_SAFE) for name in names]
        return f"{''.join(values)}{mark}{query}"

    def fixed(exchange: Exchange) -> str:
        _, mark, query = exchange.target.partition("?")
        return f"{template}{mark}{query}"

    return target_of if names else fixed
