"""Tags of kept replies, such as `crm:{tenant}`: placeholders are the caller's or the path's. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping

from gateway.core.headers import Headers
from gateway.core.identity import Identity

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PARAM = re.compile(r"\{([A-Za-z_]\w*)(?::\w+)?\}")
_OF_CALLER = frozenset({"tenant", "user"})

# Of one reply. An upstream that sends more gets its reply passed on, not kept: nobody could purge it by the rest.
TAGS_MAX = 64
TAG_MAX_CHARS = 256

_PRINTABLE = re.compile(r"[ -~\x80-\xff]+")

TagsOf = Callable[[Identity | None, Mapping[str, str]], tuple[str, ...]]


def unknown_placeholder(tag: str, pattern: str, *, has_auth: bool) -> str | None:
    """What is wrong with a tag of a route with that path pattern, as a sentence; None where all is well."""
    if not tag:
        return "a tag is not empty"
    known = set(_PARAM.findall(pattern))
    if has_auth:
        known |= _OF_CALLER
    for name in _PLACEHOLDER.findall(tag):
        if name not in known:
            listed = ", ".join(f"{{{one}}}" for one in sorted(known)) or "none"
            return f"the tag {tag} has {{{name}}}, which is not known here; known: {listed}"
    if "{" in (rest := _PLACEHOLDER.sub("", tag)) or "}" in rest:
        return f"the braces of the tag {tag} do not match"
    return None


def compile_tags(templates: Iterable[str]) -> TagsOf:
    """What fills the placeholders of a route's tags: (caller, path parameters) -> tags.

    A tag whose caller has no such part (a token without a user) is left out: nothing could be meant by it.
    """
    fixed = tuple(template for template in templates if not _PLACEHOLDER.search(template))
    split = [_PLACEHOLDER.split(template) for template in templates if template not in fixed]
    if not split:
        return lambda identity, params: fixed

    def fill(identity: Identity | None, params: Mapping[str, str]) -> tuple[str, ...]:
        filled = list(fixed)
        for pieces in split:
            values = [_value(name, identity, params) for name in pieces[1::2]]
            if None not in values:
                texts = [value or "" for value in values]
                filled.append("".join(a + b for a, b in zip(pieces[::2], (*texts, ""), strict=True)))
        return tuple(filled)

    return fill


def _value(name: str, identity: Identity | None, params: Mapping[str, str]) -> str | None:
    if name == "tenant":
        return None if identity is None else identity.tenant
    if name == "user":
        return None if identity is None else identity.user
    return params.get(name)


def take_upstream_tags(headers: Headers) -> tuple[str, ...] | None:
    """The tags that an upstream gave its reply, taken off the head: `Surrogate-Key` (separated by spaces) and
    `Cache-Tag` (by commas). None where they are too many or too long to be kept.
    """
    if b"surrogate-key" not in headers and b"cache-tag" not in headers:
        return ()
    found = b" ".join(headers.get_all(b"surrogate-key")).split()
    found += [tag.strip() for tag in (headers.get_list(b"cache-tag") or b"").split(b",")]
    headers.remove(b"surrogate-key")
    headers.remove(b"cache-tag")
    tags = tuple(dict.fromkeys(tag.decode("latin-1") for tag in found if tag))
    if len(tags) > TAGS_MAX or any(len(tag) > TAG_MAX_CHARS or not _PRINTABLE.fullmatch(tag) for tag in tags):
        return None
    return tags
