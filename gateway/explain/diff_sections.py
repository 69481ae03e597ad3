"""What a change outside of the routes means: plugins' sections, upstreams, `identity`, `gateway`."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from gateway.config.load import LoadedTable
from gateway.config.model import GatewaySection, IdentitySection, Limits, Upstream
from gateway.core.changes import Change, Side, breaks, listed, neutral, widens

# Of what one client may cost, what lets it send more; the others are about time and room.
_SIZES = ("target_max", "header_max", "header_line_max", "max_headers")


def compare_tables(old: LoadedTable, new: LoadedTable) -> Iterator[Change]:
    """Changes that are no single route's."""
    yield from _of_plugin_sections(old, new)
    yield from _of_upstreams(old.table.upstreams, new.table.upstreams)
    yield from _of_identity(old.table.identity, new.table.identity)
    yield from _of_gateway(old.table.gateway, new.table.gateway)
    if set(old.table.plugins) != set(new.table.plugins):
        yield neutral(f"plugins: {listed(old.table.plugins)} -> {listed(new.table.plugins)}")


def _of_plugin_sections(old: LoadedTable, new: LoadedTable) -> Iterator[Change]:
    for plugin in dict.fromkeys((*old.plugins, *new.plugins)):
        if not plugin.section_name or plugin.Section is None:
            continue
        before, after = old.section(plugin), new.section(plugin)
        if plugin.compare_section is not None:
            yield from plugin.compare_section(
                Side(None, before, old.table.identity.default_plan), Side(None, after, new.table.identity.default_plan)
            )
        elif before != after:
            yield breaks(f"{plugin.section_name} changes")


def _of_upstreams(old: Mapping[str, Upstream], new: Mapping[str, Upstream]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if name not in new:
            yield neutral(f"upstream {name} is gone")
        elif name not in old:
            yield neutral(f"upstream {name} is new")
        else:
            yield from _of_upstream(name, old[name], new[name])


def _of_upstream(name: str, old: Upstream, new: Upstream) -> Iterator[Change]:
    before, after = ({each.url: each.weight for each in side.endpoints} for side in (old, new))
    if set(before) != set(after):
        yield breaks(f"upstream {name}: {listed(before)} -> {listed(after)}", rank=1)
        if any(url.startswith("https:") for url in before) and any(
            url.startswith("http:") for url in set(after) - set(before)
        ):
            yield widens(f"upstream {name} is asked without TLS", rank=4)
    elif before != after:
        yield neutral(f"upstream {name}: weights change")
    if old.tls != new.tls:
        if (old.tls is None or old.tls.verify) and new.tls is not None and not new.tls.verify:
            yield widens(f"upstream {name} is not verified any more (tls.verify: false)", rank=4)
        else:
            yield breaks(f"upstream {name}: tls changes", rank=2)
    others = [
        key
        for key in Upstream.model_fields
        if key not in ("endpoints", "tls") and getattr(old, key) != getattr(new, key)
    ]
    if others:
        yield neutral(f"upstream {name} changes: {listed(others)}")


def _of_identity(old: IdentitySection, new: IdentitySection) -> Iterator[Change]:
    for name in IdentitySection.model_fields:
        before, after = getattr(old, name), getattr(new, name)
        # What another default plan means is told by the plans.
        if before != after and name != "default_plan":
            yield widens(f"identity.{name} comes from claim:{after} in place of claim:{before}", rank=1)


def _of_gateway(old: GatewaySection, new: GatewaySection) -> Iterator[Change]:
    opened = [network for network in new.trusted_proxies if not _is_inside(network, old.trusted_proxies)]
    closed = [network for network in old.trusted_proxies if not _is_inside(network, new.trusted_proxies)]
    if opened:
        yield widens(f"gateway.trusted_proxies believes {listed(opened)}", rank=1)
    if closed:
        yield breaks(f"gateway.trusted_proxies no longer believes {listed(closed)}")
    for name in Limits.model_fields:
        before, after = getattr(old.limits, name), getattr(new.limits, name)
        # What it means for a route is told with the route.
        if before == after or name == "body_max":
            continue
        said = f"gateway.limits.{name} changes"
        if name not in _SIZES:
            yield neutral(said)
        elif after > before:
            yield widens(f"gateway.limits.{name}: {before} -> {after}")
        else:
            yield breaks(f"gateway.limits.{name}: {before} -> {after}")
    for name in GatewaySection.model_fields:
        # A value may be a secret, so it is not told.
        if name not in ("trusted_proxies", "limits") and getattr(old, name) != getattr(new, name):
            yield neutral(f"gateway.{name} changes")


def _is_inside(network: str, others: tuple[str, ...]) -> bool:
    inner: Any = ip_network(network)
    return any(inner.version == outer.version and inner.subnet_of(outer) for outer in map(ip_network, others))
