"""What it means where a route's requests go elsewhere for a part: `split` and `mirror`."""

from collections.abc import Iterator, Mapping

from gateway.config.shares import percent_text, share_of, split_text
from gateway.config.snapshot import CompiledRoute
from gateway.core.changes import Change, breaks, neutral, widens


def shares_of(route: CompiledRoute) -> dict[str, float]:
    """Upstream -> its share of the callers, those without any left out; empty where the route answers itself."""
    if route.split:
        return {part.to: share_of(route.split, part.to) for part in route.split if part.weight}
    return {} if route.info.upstream is None else {route.info.upstream: 1.0}


def goes_to(route: CompiledRoute) -> str:
    """In words, of a route that goes to any upstream."""
    return split_text(route.split) if route.split else route.info.upstream or ""


def of_shares(old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[Change]:
    """Of two that differ at least in how they are written. What is told is who gets more, and who gets no more: the
    others are what is left.
    """
    for name, share in new.items():
        before = percent_text(old.get(name, 0.0))
        after = percent_text(share)
        if name not in old:
            yield breaks(f"{after} of {{}} goes to {name}", rank=1)
        elif share > old[name] and before != after:
            yield neutral(f"{after} of {{}} goes to {name}, not {before}", rank=1)
    for name in old:
        if name not in new:
            yield breaks(f"{name} gets nothing of {{}} any more", rank=1)


def of_mirror(before: CompiledRoute, after: CompiledRoute) -> Iterator[Change]:
    """A copy is data that another upstream gets to see."""
    old, new = before.mirror, after.mirror
    if old is not None and (new is None or new.to != old.to):
        yield neutral(f"{{}} is not copied to {old.to} any more", f"{{}} are not copied to {old.to} any more", rank=2)
        old = None
    if new is None or (old is not None and old.percent == new.percent):
        return
    share = percent_text(new.percent)
    if old is None:
        yield widens(f"{share} of {{}} is copied to {new.to}, bodies and credentials included", rank=2)
    elif new.percent > old.percent:
        yield widens(f"{share} of {{}} is copied to {new.to}, not {percent_text(old.percent)}", rank=2)
    else:
        yield neutral(f"{share} of {{}} is copied to {new.to}, not {percent_text(old.percent)}", rank=2)
