"""What Cache-Control says, in a reply and in a request (RFC 9111 section 5.2, RFC 5861, RFC 9213). Pure.

Where a field contradicts itself, repeats itself or cannot be read, the more restrictive reading counts (section 4.2.1).
"""

from typing import Final

from gateway.core.headers import Headers, is_token
from gateway.core.structured_fields import parse_dictionary

# RFC 9111 section 1.2.2: a greater number of seconds counts as this one.
DELTA_MAX: Final = 1 << 31

# Their arguments are Integers in a targeted field, never Strings.
_OF_SECONDS: Final = frozenset({b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"})
_NOTHING: Final[frozenset[bytes]] = frozenset()


class ReplyDirectives:
    """What an upstream says about its reply.

    Seconds are None where the directive is absent and 0 where its argument cannot be read, which is: stale.
    no_cache_fields, private_fields: the header fields of the qualified forms, lower case. is_targeted: the directives
    come from CDN-Cache-Control, so Expires does not count.
    """

    __slots__ = (
        "is_targeted",
        "max_age_s",
        "must_revalidate",
        "must_understand",
        "no_cache",
        "no_cache_fields",
        "no_store",
        "private",
        "private_fields",
        "proxy_revalidate",
        "public",
        "s_maxage_s",
        "stale_if_error_s",
        "stale_while_revalidate_s",
    )

    def __init__(self) -> None:
        self.is_targeted: bool = False
        self.max_age_s: int | None = None
        self.s_maxage_s: int | None = None
        self.stale_while_revalidate_s: int | None = None
        self.stale_if_error_s: int | None = None
        self.no_store: bool = False
        self.no_cache: bool = False
        self.private: bool = False
        self.public: bool = False
        self.must_revalidate: bool = False
        self.proxy_revalidate: bool = False
        self.must_understand: bool = False
        self.no_cache_fields: frozenset[bytes] = _NOTHING
        self.private_fields: frozenset[bytes] = _NOTHING

    @property
    def forbids_stale(self) -> bool:
        """Whether a shared cache may never use the reply when stale, whatever happens (section 4.2.4); s-maxage implies
        it (section 5.2.2.10).
        """
        return self.must_revalidate or self.proxy_revalidate or self.s_maxage_s is not None


class RequestDirectives:
    """What a client wishes (section 5.2.1). max_stale_s: `DELTA_MAX` where any staleness will do."""

    __slots__ = (
        "max_age_s",
        "max_stale_s",
        "min_fresh_s",
        "no_cache",
        "no_store",
        "only_if_cached",
        "stale_if_error_s",
    )

    def __init__(self) -> None:
        self.no_store: bool = False
        self.no_cache: bool = False
        self.only_if_cached: bool = False
        self.max_age_s: int | None = None
        self.max_stale_s: int | None = None
        self.min_fresh_s: int | None = None
        self.stale_if_error_s: int | None = None


NO_WISHES: Final = RequestDirectives()
"""Of a request that says nothing; never changed."""


def read_reply(headers: Headers) -> ReplyDirectives:
    """The directives that count for this cache: those of CDN-Cache-Control where that is a Dictionary with members
    (RFC 9213 section 2.2), else those of Cache-Control.
    """
    targeted = headers.get_list(b"cdn-cache-control")
    if targeted is not None:
        directives = _read_targeted(targeted)
        if directives is not None:
            return directives
    directives = ReplyDirectives()
    value = headers.get_list(b"cache-control")
    if value is not None:
        for name, argument, is_wellformed in _members(value):
            _apply_to_reply(directives, name, argument, is_wellformed)
    return directives


def read_request(headers: Headers) -> RequestDirectives:
    """The client's wishes; Pragma: no-cache only counts where there is no Cache-Control (RFC 9111 section 5.4)."""
    value = headers.get_list(b"cache-control")
    if value is None:
        pragma = headers.get_list(b"pragma")
        if pragma is None:
            return NO_WISHES
        value = b"no-cache" if b"no-cache" in split_list(pragma.lower()) else b""
    wishes = RequestDirectives()
    for name, argument, is_wellformed in _members(value):
        if name == b"no-store":
            wishes.no_store = True
        elif name == b"no-cache":
            wishes.no_cache = True
        elif name == b"only-if-cached":
            wishes.only_if_cached = True
        elif name == b"max-age":
            wishes.max_age_s = _least(wishes.max_age_s, _delta(argument, is_wellformed))
        elif name == b"max-stale":
            allowed = DELTA_MAX if argument is None and is_wellformed else _delta(argument, is_wellformed)
            wishes.max_stale_s = _least(wishes.max_stale_s, allowed)
        elif name == b"min-fresh":
            needed = _delta(argument, is_wellformed)
            wishes.min_fresh_s = needed if wishes.min_fresh_s is None else max(needed, wishes.min_fresh_s)
        elif name == b"stale-if-error":
            wishes.stale_if_error_s = _least(wishes.stale_if_error_s, _delta(argument, is_wellformed))
    return wishes


def parse_delta(value: bytes) -> int | None:
    """Seconds of the form 1*DIGIT, at most `DELTA_MAX`; None for anything else (RFC 9111 section 1.2.2)."""
    if not value.isdigit():
        return None
    digits = value.lstrip(b"0")
    # Longer than any number that counts, and maybe longer than int() takes.
    if len(digits) > 10:
        return DELTA_MAX
    return min(int(digits or b"0"), DELTA_MAX)


def split_list(value: bytes) -> list[bytes]:
    """The members of a list field (RFC 9110 section 5.6.1), none empty; commas within quoted strings part nothing.

    A quote that is never closed is an ordinary byte, so that it hides no directive behind it.
    """
    if b'"' not in value:
        return [member for part in value.split(b",") if (member := part.strip(b" \t"))]
    members = []
    start = position = 0
    is_quotable = True
    while position < len(value):
        byte = value[position]
        if byte == _COMMA:
            members.append(value[start:position].strip(b" \t"))
            start = position + 1
        elif byte == _QUOTE and is_quotable:
            closing = _closing_quote(value, position + 1)
            if closing < 0:
                is_quotable = False
            else:
                position = closing
        position += 1
    members.append(value[start:].strip(b" \t"))
    return [member for member in members if member]


_COMMA: Final = ord(",")
_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")


def _closing_quote(value: bytes, position: int) -> int:
    while position < len(value):
        byte = value[position]
        if byte == _QUOTE:
            return position
        position += 2 if byte == _BACKSLASH else 1
    return -1


def _members(value: bytes) -> list[tuple[bytes, bytes | None, bool]]:
    """Name in lower case, argument without its quotes, and whether it is written as section 5.2 says."""
    found: list[tuple[bytes, bytes | None, bool]] = []
    for member in split_list(value):
        name, equals, argument = member.partition(b"=")
        trimmed = name.rstrip(b" \t")
        lowered = trimmed.lower()
        if not equals:
            found.append((lowered, None, True))
            continue
        is_wellformed = trimmed == name
        if len(argument) >= 2 and argument[:1] == b'"' and argument[-1:] == b'"':
            found.append((lowered, _unquote(argument), is_wellformed))
        else:
            found.append((lowered, argument, is_wellformed and is_token(argument)))
    return found


def _unquote(quoted: bytes) -> bytes:
    inner = quoted[1:-1]
    if b"\\" not in inner:
        return inner
    plain = bytearray()
    is_escaped = False
    for byte in inner:
        if byte == _BACKSLASH and not is_escaped:
            is_escaped = True
        else:
            plain.append(byte)
            is_escaped = False
    return bytes(plain)


def _delta(argument: bytes | None, is_wellformed: bool) -> int:
    seconds = parse_delta(argument) if argument is not None and is_wellformed else None
    return 0 if seconds is None else seconds


def _least(known: int | None, further: int) -> int:
    """The more restrictive one; beside a longer first occurrence the rest of its time counts as stale, which is one of
    the two readings that section 4.2.1 leaves.
    """
    return further if known is None else min(known, further)


def _field_names(argument: bytes | None, is_wellformed: bool) -> frozenset[bytes] | None:
    """The fields of a qualified form, or None: it names none, or cannot be read, and counts as the unqualified one."""
    if argument is None or not is_wellformed:
        return None
    names = split_list(argument.lower())
    return frozenset(names) if names and all(is_token(name) for name in names) else None


def _apply_to_reply(directives: ReplyDirectives, name: bytes, argument: bytes | None, is_wellformed: bool) -> None:
    if name == b"max-age":
        directives.max_age_s = _least(directives.max_age_s, _delta(argument, is_wellformed))
    elif name == b"s-maxage":
        directives.s_maxage_s = _least(directives.s_maxage_s, _delta(argument, is_wellformed))
    elif name == b"no-store":
        directives.no_store = True
    elif name == b"no-cache":
        fields = _field_names(argument, is_wellformed)
        if fields is None:
            directives.no_cache = True
        else:
            directives.no_cache_fields |= fields
    elif name == b"private":
        fields = _field_names(argument, is_wellformed)
        if fields is None:
            directives.private = True
        else:
            directives.private_fields |= fields
    elif name == b"must-revalidate":
        directives.must_revalidate = True
    elif name == b"proxy-revalidate":
        directives.proxy_revalidate = True
    elif name == b"public":
        # What permits has to be written right; what forbids counts in any form.
        directives.public = directives.public or argument is None
    elif name == b"must-understand":
        directives.must_understand = directives.must_understand or argument is None
    elif name == b"stale-while-revalidate":
        allowed = _delta(argument, is_wellformed)
        directives.stale_while_revalidate_s = _least(directives.stale_while_revalidate_s, allowed)
    elif name == b"stale-if-error":
        directives.stale_if_error_s = _least(directives.stale_if_error_s, _delta(argument, is_wellformed))


def _read_targeted(value: bytes) -> ReplyDirectives | None:
    """RFC 9213 section 2.1; None where the field is empty or no Dictionary, and thus counts as absent."""
    members = parse_dictionary(value)
    if not members:
        return None
    directives = ReplyDirectives()
    directives.is_targeted = True
    for name, item in members.items():
        if item is True:
            _apply_to_reply(directives, name, None, True)
        elif item is False:
            continue
        elif isinstance(item, int):
            _apply_to_reply(directives, name, b"%d" % item, item >= 0)
        elif isinstance(item, bytes):
            _apply_to_reply(directives, name, item, name not in _OF_SECONDS)
        else:
            _apply_to_reply(directives, name, b"", False)
    return directives
