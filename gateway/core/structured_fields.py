"""Dictionaries of structured fields (RFC 9651): what a targeted Cache-Control is written in. Pure.

Parsing is strict, as the RFC wants it: one wrong byte, and the whole field counts as absent.
"""

import re
from typing import Final

SfItem = int | bool | bytes | None
"""An Integer, a Boolean, the text of a String; None for a value of any other type, whose syntax alone is checked."""

_KEY: Final = re.compile(rb"[a-z*][a-z0-9_\-.*]*")
_NUMBER: Final = re.compile(rb"-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})(?![0-9.])")
_STRING: Final = re.compile(rb'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPED: Final = re.compile(rb'\\(["\\])')
_BOOLEAN: Final = re.compile(rb"\?([01])")
# Token, Byte Sequence, Date, Display String: no cache directive takes them.
_OTHER: Final = re.compile(
    rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"
    rb"|:[A-Za-z0-9+/=]*:"
    rb"|@-?[0-9]{1,15}(?![0-9.])"
    rb'|%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"'
)
_SPACES: Final = re.compile(rb" *")
_COMMA: Final = re.compile(rb"[ \t]*,[ \t]*")


def parse_dictionary(value: bytes) -> dict[bytes, SfItem] | None:
    """The members, the last one of each key; parameters are left out. None where the bytes are no Dictionary.

    value: all lines of the field, joined by commas (section 4.2).
    """
    text = value.strip(b" ")
    members: dict[bytes, SfItem] = {}
    position = 0
    while position < len(text):
        key = _KEY.match(text, position)
        if key is None:
            return None
        position = key.end()
        item: SfItem = True
        if text[position : position + 1] == b"=":
            try:
                item, position = _parse_member(text, position + 1)
            except ValueError:
                return None
        try:
            position = _skip_parameters(text, position)
        except ValueError:
            return None
        members[key[0]] = item
        if position == len(text):
            return members
        comma = _COMMA.match(text, position)
        # A comma at the end is as wrong as none between members.
        if comma is None or comma.end() == len(text):
            return None
        position = comma.end()
    return members


def _parse_member(text: bytes, position: int) -> tuple[SfItem, int]:
    if text[position : position + 1] == b"(":
        return None, _skip_inner_list(text, position + 1)
    return _parse_bare_item(text, position)


def _parse_bare_item(text: bytes, position: int) -> tuple[SfItem, int]:
    """The item and where it ends. Raises ValueError where there is none."""
    match = _NUMBER.match(text, position)
    if match is not None:
        return (None if b"." in match[0] else int(match[0])), match.end()
    match = _STRING.match(text, position)
    if match is not None:
        return _ESCAPED.sub(rb"\1", match[1]), match.end()
    match = _BOOLEAN.match(text, position)
    if match is not None:
        return match[1] == b"1", match.end()
    match = _OTHER.match(text, position)
    if match is not None:
        return None, match.end()
    raise ValueError("no item of a structured field")


def _skip_inner_list(text: bytes, position: int) -> int:
    while True:
        spaces = _SPACES.match(text, position)
        assert spaces is not None
        position = spaces.end()
        if text[position : position + 1] == b")":
            return position + 1
        _, position = _parse_bare_item(text, position)
        position = _skip_parameters(text, position)
        if text[position : position + 1] not in (b" ", b")"):
            raise ValueError("no inner list of a structured field")


def _skip_parameters(text: bytes, position: int) -> int:
    while text[position : position + 1] == b";":
        spaces = _SPACES.match(text, position + 1)
        assert spaces is not None
        key = _KEY.match(text, spaces.end())
        if key is None:
            raise ValueError("no parameter of a structured field")
        position = key.end()
        if text[position : position + 1] == b"=":
            _, position = _parse_bare_item(text, position + 1)
    return position
