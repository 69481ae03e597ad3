"""What a change of `cors` means for which pages may read."""

from collections.abc import Iterator
from typing import Any

from gateway.core.changes import Change, Side, breaks, listed, neutral, widens

_USUAL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def compare_cors(old: Side, new: Side) -> Iterator[Change]:
    """Of a route."""
    before, after = old.policy, new.policy
    if before is None and after is None:
        return
    if after is None:
        yield breaks("{} can be read by no page any more")
        return
    if before is None:
        yield widens(f"{{}} can be read by pages of {listed(after.origins)}", rank=2)
        return
    if opened := [origin for origin in after.origins if not _is_covered(origin, before.origins)]:
        yield widens(f"{{}} can be read by pages of {listed(opened)}", rank=2)
    if closed := [origin for origin in before.origins if not _is_covered(origin, after.origins)]:
        yield breaks(f"{{}} can no longer be read by pages of {listed(closed)}")
    if before.credentials != after.credentials:
        said = f"pages use {{}} {'with' if after.credentials else 'without'} credentials"
        yield widens(said, rank=2) if after.credentials else breaks(said)
    for name in ("methods", "headers", "expose"):
        earlier, later = _names(old, name), _names(new, name)
        if (added := later - earlier) and "*" not in earlier:
            yield widens(f"pages may use {name} {listed(added)} with {{}}", rank=4)
        if (removed := earlier - later) and "*" not in later:
            yield breaks(f"pages may no longer use {name} {listed(removed)} with {{}}")
    if before.max_age != after.max_age:
        yield neutral(f"cors of {{}}: max_age {before.max_age:g}s -> {after.max_age:g}s")


def _names(side: Side, name: str) -> set[str]:
    values: Any = getattr(side.policy, name)
    if name == "methods":
        return set(values or sorted(side.methods or _USUAL))
    return {value.lower() for value in values}


def _is_covered(origin: str, others: tuple[str, ...]) -> bool:
    """Whether other patterns let every page of this one in."""
    if "*" in others or origin in others:
        return True
    scheme, _, host = origin.partition("://")
    for other in others:
        other_scheme, _, pattern = other.partition("://")
        if other_scheme == scheme and pattern.startswith("*.") and host.removeprefix("*").endswith(pattern[1:]):
            return True
    return False
