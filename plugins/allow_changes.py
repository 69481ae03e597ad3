"""What a change of `allow` means for who may."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from gateway.core.changes import Change, Side, breaks, listed, widens

Network = IPv4Network | IPv6Network


def compare_allow(old: Side, new: Side) -> Iterator[Change]:
    """Of a route."""
    for name in ("scopes", "modules"):
        before, after = _values(old.policy, name), _values(new.policy, name)
        if dropped := before - after:
            yield widens(
                f"{{}} no longer asks for {name} {listed(dropped)}",
                f"{{}} no longer ask for {name} {listed(dropped)}",
                rank=1,
            )
        if added := after - before:
            yield breaks(f"{{}} asks for {name} {listed(added)}", f"{{}} ask for {name} {listed(added)}", rank=1)
    earlier, later = _values(old.policy, "addresses"), _values(new.policy, "addresses")
    if earlier == later:
        return
    if not later:
        yield widens("{} is open to every address", "{} are open to every address", rank=1)
    elif opened := [network for network in later if earlier and not _is_inside(network, earlier)]:
        said = f"to addresses of {listed(opened)}"
        yield widens(f"{{}} is open {said}", f"{{}} are open {said}", rank=1)
    if later and (closed := [network for network in earlier or _EVERY if not _is_inside(network, later)]):
        said = "other addresses" if not earlier else f"addresses of {listed(closed)}"
        yield breaks(f"{{}} is closed to {said}", f"{{}} are closed to {said}", rank=1)


_EVERY = frozenset({IPv4Network("0.0.0.0/0")})


def _values(policy: Any, name: str) -> frozenset[Any]:
    return frozenset() if policy is None else frozenset(getattr(policy, name))


def _is_inside(network: Network, others: Iterable[Network]) -> bool:
    return any(
        network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]  # the same version
        for other in others
    )
