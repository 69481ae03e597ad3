"""Which content coding a client gets, and which content is worth one. Pure; values seen before are remembered."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

# A longer value is worked out each time: what is remembered must stay bounded in bytes, not only in number.
_REMEMBERED_MAX = 256

# RFC 9110 section 12.4.2
_WEIGHT = re.compile(rb"[ \t]*[qQ][ \t]*=[ \t]*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*")
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+")

COMPRESSIBLE_TYPES = (
    "text/*",
    "application/json",
    "application/*+json",
    "application/ndjson",
    "application/x-ndjson",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/x-javascript",
    "application/yaml",
    "application/wasm",
    "image/svg+xml",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "font/otf",
    "font/ttf",
)


def choose_coding(accept_encoding: bytes | None, offered: tuple[str, ...]) -> str | None:
    """The coding that the client likes best (RFC 9110 section 12.5.3); among equals the first that is offered.

    accept_encoding: all lines of the field as one value, None where there is none: that is "anything goes", but clients
    that decode nothing send none, so it is answered as they are: plainly. offered: codings in the server's order, lower
    case, without "identity". A member that cannot be read is passed over. Returns "identity" where plain is best, and
    None where nothing is acceptable, identity included.
    """
    if accept_encoding is None:
        return "identity"
    if len(accept_encoding) > _REMEMBERED_MAX:
        return _choose(accept_encoding, offered)
    return _choose_remembered(accept_encoding, offered)


def _choose(accept_encoding: bytes, offered: tuple[str, ...]) -> str | None:
    weights = _parse(accept_encoding)
    others = weights.get("*", 0)
    best = max(offered, key=lambda coding: weights.get(coding, others), default="identity")
    weight = weights.get(best, others)
    # Identity needs no mention to be acceptable, but is then the last choice.
    identity = weights.get("identity", weights.get("*"))
    if weight > 0 and (identity is None or weight >= identity):
        return best
    return None if identity == 0 else "identity"


_choose_remembered = lru_cache(maxsize=1024)(_choose)


def _parse(accept_encoding: bytes) -> dict[str, int]:
    """Coding -> weight in thousandths."""
    weights = {}
    for member in accept_encoding.split(b","):
        coding, semicolon, parameter = member.partition(b";")
        name = coding.strip(b" \t").lower().decode("latin-1")
        weight = _WEIGHT.fullmatch(parameter) if semicolon else None
        if not name or (semicolon and weight is None):
            continue
        weights[_ALIASES.get(name, name)] = round(float(weight[1]) * 1000) if weight else 1000
    return weights


def compile_media_types(types: Iterable[str]) -> Callable[[bytes], bool]:
    """A test of Content-Type values, parameters ignored.

    types: media types in lower case; `*` stands for anything within a part: `text/*`, `application/*+json`. Raises
    ValueError for what is no media type.
    """
    expressions = []
    for media_type in types:
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise ValueError(
                f'"{media_type}" is not a media type: write it like text/html, text/* or application/*+json'
            )
        expressions.append(re.escape(media_type).replace(r"\*", "[^/]*"))
    expression = re.compile("|".join(expressions).encode())

    @lru_cache(maxsize=256)
    def matches_short(content_type: bytes) -> bool:
        return expression.fullmatch(content_type.partition(b";")[0].strip(b" \t").lower()) is not None

    def matches(content_type: bytes) -> bool:
        return len(content_type) <= _REMEMBERED_MAX and matches_short(content_type)

    return matches
