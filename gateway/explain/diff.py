"""What a change of a table means: both are compiled, and the same requests are put to both.

So what is compared is what each request gets, wherever it is written: no difference is made by moving a policy from
`defaults` to the routes, by the order of routes, by included files, comments and short forms. A request that another
route serves than before is judged by what the one gives and the other gave.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.config.snapshot import CompiledRoute
from gateway.core.changes import Change, Risk, Side, breaks, neutral, widens
from gateway.explain.diff_sections import compare_tables
from gateway.explain.diff_shares import goes_to, of_mirror, of_shares, shares_of
from gateway.explain.origins import hedge_of, retry_of, size_text, timeouts_of
from gateway.explain.rehearsal import Rehearsal
from gateway.explain.witnesses import Witness, witnesses
from gateway.plugin_api import Plugin, Stage


@dataclass(frozen=True, slots=True)
class Line:
    """Changes that say the same. routes: whom it is about, sorted; empty where it is about no route. A text about
    several says how many, and one about a single route its name.
    """

    risk: Risk
    rank: int
    text: str
    routes: tuple[str, ...]


def diff(old: Rehearsal, new: Rehearsal) -> list[Line]:
    """Every change in meaning, the riskiest first; empty where there is none."""
    changes: dict[Change, set[str]] = {}
    for route_id, change in _of_requests(old, new):
        changes.setdefault(change, set()).add(route_id)
    for change in compare_tables(old.loaded, new.loaded):
        changes.setdefault(change, set())
    return sorted(_grouped(changes), key=lambda line: (line.risk, line.rank, line.text))


def _grouped(changes: dict[Change, set[str]]) -> Iterator[Line]:
    alike: dict[tuple[Risk, int, str], list[tuple[Change, str]]] = {}
    for change, routes in changes.items():
        if not routes:
            yield Line(change.risk, change.rank, change.one, ())
        for route in routes:
            alike.setdefault((change.risk, change.rank, change.many), []).append((change, route))
    for (risk, rank, many), members in alike.items():
        routes_of = tuple(sorted({route for _, route in members}))
        if len(routes_of) == 1:
            text = members[0][0].about(routes_of[0])
        else:
            text = many.replace("{}", f"{len(routes_of)} routes")
        yield Line(risk, rank, text, routes_of)


def _of_requests(old: Rehearsal, new: Rehearsal) -> Iterator[tuple[str, Change]]:
    """(id of the route it is about, change)"""
    keys: dict[tuple[int, int], tuple[CompiledRoute | None, CompiledRoute | None]] = {}
    seen: dict[tuple[int, int], list[Witness]] = {}
    for witness in witnesses((old.snapshot, new.snapshot)):
        before, after = witness.route_in(old.snapshot), witness.route_in(new.snapshot)
        key = (id(before), id(after))
        keys[key] = (before, after)
        seen.setdefault(key, []).append(witness)
    before_ids = {route.info.id for route in old.snapshot.routes}
    after_ids = {route.info.id for route in new.snapshot.routes}
    for key, (before, after) in keys.items():
        shown = seen[key][0]
        if before is None and after is not None:
            yield after.info.id, _opened(after, shown, is_new=after.info.id not in before_ids)
        elif before is not None and after is None:
            yield before.info.id, _closed(before, shown, is_gone=before.info.id not in after_ids)
        elif before is not None and after is not None:
            is_renamed = before.info.id not in after_ids and after.info.id not in before_ids
            is_known = is_renamed or before.info.id == after.info.id
            name = after.info.id if is_known else f"{after.info.id} (for {before.info.id})"
            if is_renamed:
                yield name, neutral(f"{{}} is what {before.info.id} was", "{} have other ids")
            elif not is_known:
                yield name, neutral("{} serves what another route served", "{} serve what other routes served")
            for change in _compare(old, new, before, after, seen[key]):
                yield name, change


def _opened(route: CompiledRoute, witness: Witness, *, is_new: bool) -> Change:
    is_open = not any(plugin.stage is Stage.IDENTITY for plugin in route.plugins)
    if not is_new:
        return widens(f"{{}} now serves requests such as {witness}", "{} now serve more requests", rank=2)
    if is_open:
        return widens("{} is new, and open without auth", "{} are new, and open without auth", rank=1)
    return neutral("{} is new", "{} are new", rank=1)


def _closed(route: CompiledRoute, witness: Witness, *, is_gone: bool) -> Change:
    if is_gone:
        return breaks("{} is gone", "{} are gone", rank=0)
    return breaks(f"{{}} no longer serves requests such as {witness}", "{} serve fewer requests", rank=0)


def _compare(
    old: Rehearsal, new: Rehearsal, before: CompiledRoute, after: CompiledRoute, shown: Iterable[Witness]
) -> Iterator[Change]:
    """What becomes of a request that the one route served and the other serves."""
    for plugin in {plugin.name: plugin for plugin in (*old.loaded.plugins, *new.loaded.plugins)}.values():
        if plugin.is_in_force:
            sides = (_side(old, plugin, before), _side(new, plugin, after))
            yield from plugin.compare(*sides) if plugin.compare is not None else _by_stage(plugin, *sides)
    yield from _of_upstream(old, new, before, after, shown)
    if before.body_max != after.body_max:
        said = f"body_max of {{}}: {size_text(before.body_max)} -> {size_text(after.body_max)}"
        yield widens(said) if after.body_max > before.body_max else breaks(said)


def _side(rehearsal: Rehearsal, plugin: type[Plugin], route: CompiledRoute) -> Side:
    return Side(
        policy=route.info.policies.get(plugin.name),
        section=rehearsal.loaded.section(plugin),
        default_plan=rehearsal.loaded.table.identity.default_plan,
        methods=route.info.methods,
        has_auth=any(each.stage is Stage.IDENTITY for each in route.plugins),
    )


def _by_stage(plugin: type[Plugin], old: Side, new: Side) -> Iterator[Change]:
    """Of a plugin that does not say what a change of its policy means."""
    name = plugin.name
    if old.policy == new.policy:
        return
    if new.policy is None:
        said = (f"{{}} loses {name}", f"{{}} lose {name}")
    elif old.policy is None:
        said = (f"{{}} gets {name}", f"{{}} get {name}")
    else:
        said = (f"{name} of {{}} changes", f"{name} of {{}} changes")
    if plugin.stage is Stage.TRANSFORM:
        yield neutral(*said)
    elif plugin.stage in (Stage.IDENTITY, Stage.ADMISSION):
        # Whom it lets in is not known here, so a change may let in anybody.
        yield breaks(*said) if old.policy is None else widens(*said)
    else:
        yield neutral(*said) if old.policy is None else breaks(*said)


def _of_upstream(
    old: Rehearsal, new: Rehearsal, before: CompiledRoute, after: CompiledRoute, shown: Iterable[Witness]
) -> Iterator[Change]:
    was, now = shares_of(before), shares_of(after)
    if not was or not now:
        if was != now:
            yield breaks(f"{{}} {f'goes to {goes_to(after)}' if now else 'answers itself'}", rank=1)
        return
    if not before.split and not after.split:
        if was != now:
            said = f"{{}}: upstream {before.info.upstream} -> {after.info.upstream}"
            is_same = _endpoints(old, before) == _endpoints(new, after)
            yield neutral(f"{said}, the same endpoints") if is_same else breaks(said, rank=1)
    else:
        yield from of_shares(was, now)
    yield from of_mirror(before, after)
    for witness in shown:
        paths = [
            route.rewrite(exchange) if route.rewrite is not None else exchange.target
            for rehearsal, route in ((old, before), (new, after))
            for exchange in (witness.exchange_in(rehearsal.snapshot),)
        ]
        if paths[0] != paths[1]:
            one = f"{{}} asks its upstream for other paths: {witness.path} as {paths[1]} in place of {paths[0]}"
            yield breaks(one, "{} ask their upstreams for other paths", rank=2)
            break
    yield from _terms("timeout", timeouts_of(before), timeouts_of(after))
    yield from _terms("retry", retry_of(before.retry), retry_of(after.retry))
    yield from _terms("hedge", hedge_of(before), hedge_of(after))
    if before.priority != after.priority:
        yield neutral(f"priority of {{}}: {before.priority} -> {after.priority}")


def _endpoints(rehearsal: Rehearsal, route: CompiledRoute) -> set[str]:
    return {each.url for each in rehearsal.loaded.table.upstreams[route.info.upstream or ""].endpoints}


def _terms(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    if bool(old) != bool(new):
        terms = ", ".join(f"{key} {_shown(value)}" for key, value in new.items() if key in ("attempts", "after"))
        yield neutral(f"{name} of {{}}: {terms or 'never'}")
        return
    for key in new:
        before, after = old[key], new[key]
        if before != after and not (isinstance(before, list) and set(before) == set(after)):
            yield neutral(f"{name}.{key} of {{}}: {_shown(before)} -> {_shown(after)}")


def _shown(value: Any) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
