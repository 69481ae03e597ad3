"""Tags of kept replies, such as `crm:{tenant}`: placeholders are the caller's or the path's."""

import re

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PARAM = re.compile(r"\{([A-Za-z_]\w*)(?::\w+)?\}")
_OF_CALLER = frozenset({"tenant", "user"})


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
