"""What a change of `limit` or `plans` means for how much a caller may."""

from collections.abc import Iterator, Mapping, Sequence

from gateway.core.changes import Change, Side, breaks, neutral, widens
from gateway.core.rate_limit import Window
from plugins.limit_settings import LimitSettings, PlanSettings

_UNITS = {1_000: "s", 60_000: "min", 3_600_000: "h", 86_400_000: "d"}
# Whom one bucket is for, the most first. Addresses are neither more nor less than tenants.
_SHARED_BY = {"route": 3, "tenant": 2, "user": 1, "key": 1}
_WHEN_DOWN = {"closed": 0, "local": 1, "open": 2}


def compare_limit(old: Side, new: Side) -> Iterator[Change]:
    """Of a route: the plans themselves are compared once, with the section."""
    before: LimitSettings | None = old.policy
    after: LimitSettings | None = new.policy
    if before == after:
        return
    if before is None or after is None:
        if after is None:
            yield widens("{} loses its limit", "{} lose their limits", rank=3)
        else:
            yield breaks("{} gets a limit", "{} get a limit", rank=3)
        return
    if before.mode != after.mode:
        if after.mode == "shadow":
            yield widens("limit of {} only counts, and refuses nothing", rank=3)
        else:
            yield breaks("limit of {} refuses from now on", rank=3)
    yield from _of_rates(before, after, new.section or {})
    if before.by != after.by:
        said = f"limit of {{}} counts by {after.by} in place of {before.by}"
        is_stricter = _SHARED_BY.get(after.by, 0) > _SHARED_BY.get(before.by, 9)
        yield breaks(said, rank=3) if is_stricter else widens(said, rank=3)
    if before.on_store_down != after.on_store_down:
        said = f"limit of {{}} without its store: {before.on_store_down} -> {after.on_store_down}"
        is_looser = _WHEN_DOWN[after.on_store_down] > _WHEN_DOWN[before.on_store_down]
        yield widens(said, rank=4) if is_looser else breaks(said, rank=4)
    if before.cost != after.cost:
        said = f"a request of {{}} costs {after.cost} in place of {before.cost}"
        yield widens(said, rank=3) if after.cost < before.cost else breaks(said, rank=3)
    yield from _of_concurrent("limit of {}", before.concurrent, after.concurrent)


def compare_plans(old: Side, new: Side) -> Iterator[Change]:
    """Of the section: what a caller of each plan gets. One of a plan that is not there has the default plan."""
    before: Mapping[str, PlanSettings] = old.section or {}
    after: Mapping[str, PlanSettings] = new.section or {}
    for name in sorted({*before, *after}):
        if name not in before:
            yield neutral(f"plan {name} is new: {_text(after[name].limits)}")
            continue
        plan = after.get(name, after.get(new.default_plan))
        label = f"plan {name}" if name in after else f"plan {name} is gone, its callers have {new.default_plan}"
        if plan is None:
            yield neutral(f"plan {name} is gone")
        else:
            changes = [*_of_windows(label, before[name].limits, plan.limits)]
            changes += _of_concurrent(label, before[name].concurrent, plan.concurrent)
            yield from changes or ([] if name in after else [neutral(label)])
    if old.default_plan != new.default_plan:
        label = f"callers without a known plan have {new.default_plan} in place of {old.default_plan}"
        first, second = before.get(old.default_plan), after.get(new.default_plan)
        if first is None or second is None:
            yield neutral(label)
        else:
            changes = [*_of_windows(label, first.limits, second.limits)]
            changes += _of_concurrent(label, first.concurrent, second.concurrent)
            yield from changes or [neutral(label)]


def is_wider(old: Sequence[Window], new: Sequence[Window]) -> bool:
    """Whether the new buckets let something pass that the old ones stop: an old one that no new one is as strict as."""
    return not all(any(_is_as_strict(each, window) for each in new) for window in old)


def _is_as_strict(one: Window, other: Window) -> bool:
    """Never more at once, and never more in the long run."""
    return one.limit <= other.limit and one.limit * other.period_ms <= other.limit * one.period_ms


def _of_rates(old: LimitSettings, new: LimitSettings, plans: Mapping[str, PlanSettings]) -> Iterator[Change]:
    if old.plan and new.plan:
        return
    if old.plan:
        yield widens(f"limit of {{}}: {_text(_windows(new))} of its own, which takes nothing from the plan", rank=3)
    elif new.plan:
        wider = [name for name, plan in plans.items() if is_wider(_windows(old), plan.limits)]
        said = f"limit of {{}}: the caller's plan in place of {_text(_windows(old))}"
        yield widens(f"{said}, which is more for {', '.join(wider)}", rank=3) if wider else breaks(said, rank=3)
    else:
        yield from _of_windows("limit of {}", _windows(old), _windows(new))


def _windows(settings: LimitSettings) -> tuple[Window, ...]:
    return (settings.rate,) if settings.rate is not None else settings.rates or ()


def _of_windows(label: str, old: Sequence[Window], new: Sequence[Window]) -> Iterator[Change]:
    if set(old) == set(new):
        return
    gone = [window for window in old if window not in new]
    come = [window for window in new if window not in old]
    said = f"{label}: {_text(gone)} -> {_text(come)}"
    if is_wider(old, new):
        yield widens(said, rank=3)
    elif is_wider(new, old):
        yield breaks(said, rank=3)
    else:
        yield neutral(said)


def _of_concurrent(label: str, old: int | None, new: int | None) -> Iterator[Change]:
    if old == new:
        return
    said = f"{label}: at once {'any number' if old is None else old} -> {'any number' if new is None else new}"
    is_more = new is None or (old is not None and new > old)
    yield widens(said, rank=3) if is_more else breaks(said, rank=3)


def _text(windows: Sequence[Window]) -> str:
    return ", ".join(f"{window.limit}/{_UNITS[window.period_ms]}" for window in windows) or "none"
