"""Which stored reply a request selects: Vary and the secondary key (RFC 9111 section 4.1). Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.core.cache_control import split_list
from gateway.core.headers import Headers, is_token

Normaliser = Callable[[bytes | None], bytes]
"""All lines of a request field as one value, or None where it is absent -> what stands for it in the key."""


def vary_names(reply: Headers) -> tuple[bytes, ...] | None:
    """The request fields that the reply was chosen by: sorted, lower case, each once.

    None where nothing else than asking tells whom the reply is for: Vary has the member `*` (RFC 9110 section 12.5.5),
    or one that is no field name.
    """
    value = reply.get_list(b"vary")
    if value is None:
        return ()
    names = set()
    for name in value.lower().split(b","):
        name = name.strip(b" \t")
        if not name:
            continue
        if name == b"*" or not is_token(name):
            return None
        names.add(name)
    return tuple(sorted(names))


def secondary_key(vary: tuple[bytes, ...], request: Headers, normalise: Mapping[bytes, Normaliser]) -> bytes:
    """What tells the variants of one target apart; equal for requests whose selecting fields match.

    normalise: by field name, before `NORMALISERS`. Lengths stand before the values, so that no value can pass for two.
    """
    if not vary:
        return b""
    parts = []
    for name in vary:
        value = request.get_list(name)
        normaliser = normalise.get(name) or NORMALISERS.get(name)
        if normaliser is not None:
            text = normaliser(value)
        elif value is None:
            # An absent field only matches an absent one.
            parts.append(b"%b=-;" % name)
            continue
        else:
            text = squeeze(value)
        parts.append(b"%b=%d:%b;" % (name, len(text), text))
    return b"".join(parts)


def squeeze(value: bytes) -> bytes:
    """The value without the whitespace around the members of a list; what is in quotes stays as it is."""
    return b",".join(split_list(value))


def normalise_languages(value: bytes | None) -> bytes:
    """Accept-Language: tags in lower case, sorted by weight; those of one weight stay in order, as it may tell a
    preference (RFC 9110 section 12.5.4). What cannot be read stays as it is.
    """
    if value is None:
        return b"-"
    ranges: list[tuple[float, bytes]] = []
    for member in value.lower().split(b","):
        tag, semicolon, parameter = member.strip(b" \t").partition(b";")
        name, _, number = parameter.strip(b" \t").partition(b"=")
        weight = 1.0
        if semicolon:
            read = _WEIGHTS.get(number)
            if name != b"q" or read is None:
                return squeeze(value)
            weight = read
        if tag:
            ranges.append((weight, tag.strip(b" \t")))
    ranges.sort(key=_by_weight)
    return b",".join([b"%b;%d" % (tag, round(weight * 1000)) for weight, tag in ranges])


def _by_weight(item: tuple[float, bytes]) -> float:
    return -item[0]


def _all_weights() -> dict[bytes, float]:
    weights = {}
    for thousandths in range(1001):
        text = b"%d.%03d" % (thousandths // 1000, thousandths % 1000)
        for length in (5, 4, 3, 2, 1):
            weights[text[:length]] = thousandths / 1000
            if text[length - 1 : length] not in (b"0", b"."):
                break
    return weights


_WEIGHTS: Final = _all_weights()

NORMALISERS: Final[Mapping[bytes, Normaliser]] = {b"accept-language": normalise_languages}
"""What the specification of a field says about values that mean the same."""
