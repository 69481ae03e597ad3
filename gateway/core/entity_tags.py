"""Entity tags and how they are compared (RFC 9110 section 8.8.3). Pure."""

import re
from typing import Final

_TAG: Final = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ONE: Final = re.compile(_TAG)
_NEXT: Final = re.compile(rb"[ \t,]*(%b)[ \t]*(?:,|$)" % _TAG)


def is_entity_tag(value: bytes) -> bool:
    """Whether the bytes are one entity tag, strong or weak."""
    return _ONE.fullmatch(value) is not None


def is_strong(tag: bytes) -> bool:
    """Whether an entity tag is a strong validator."""
    return tag[:2] != b"W/"


def opaque(tag: bytes) -> bytes:
    """The part that weak comparison looks at: the tag without its W/."""
    return tag[2:] if tag[:2] == b"W/" else tag


def parse_tags(value: bytes) -> list[bytes]:
    """The tags of an If-None-Match or If-Match, up to the first thing that is none."""
    tags = []
    position = 0
    while (match := _NEXT.match(value, position)) is not None:
        tags.append(match[1])
        position = match.end()
    return tags


def is_matched(condition: bytes, tag: bytes | None) -> bool:
    """Whether an If-None-Match names the tag, by weak comparison (RFC 9110 section 13.1.2); `*` names all there is.

    condition: all lines of the field as one value. tag: of the selected representation, None where it has none.
    """
    if condition.strip(b" \t") == b"*":
        return True
    if tag is None or not is_entity_tag(tag):
        return False
    wanted = opaque(tag)
    return any(opaque(listed) == wanted for listed in parse_tags(condition))
