"""Templates: text with `{{ places }}`, known when the template is saved, that are filled for one subscriber."""

import re
from collections.abc import Callable, Mapping
from html import escape

_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_ATTRIBUTE = re.compile(r"attributes\.[a-z][a-z0-9_]{0,39}")
_LINK = re.compile(r"link:[A-Za-z0-9]{1,20}")
PLACES = ("name", "first_name", "email", "phone", "unsubscribe_url")


def unknown_places(text: str) -> list[str]:
    """The places of a text that nothing could fill."""
    names = dict.fromkeys(_PLACE.findall(text))
    return [n for n in names if not (n in PLACES or _ATTRIBUTE.fullmatch(n) or _LINK.fullmatch(n))]


def links_in(text: str) -> list[str]:
    """The codes of the short links that a text has places for."""
    return [name.removeprefix("link:") for name in dict.fromkeys(_PLACE.findall(text)) if _LINK.fullmatch(name)]


def fill(text: str, values: Mapping[str, str], link: Callable[[str], str], *, is_html: bool = False) -> str:
    """The text with its places filled: by `values`, links by `link(code)`; what is not known of somebody is empty.

    In HTML, values are escaped: a name must not bring markup into the message.
    """

    def one(match: re.Match[str]) -> str:
        name = match[1]
        value = link(name.removeprefix("link:")) if _LINK.fullmatch(name) else values.get(name, "")
        return escape(value) if is_html else value

    return _PLACE.sub(one, text)


def values_of(name: str | None, email: str, phone: str | None, attributes: Mapping[str, str]) -> dict[str, str]:
    """What the places of a template say of a subscriber."""
    words = (name or "").split()
    known = {"name": name or "", "first_name": words[0] if words else "", "email": email, "phone": phone or ""}
    return known | {f"attributes.{key}": value for key, value in attributes.items()}
