"""What the operators' listener says of the upstreams: what each worker sees of an endpoint, put together."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_SUMMED = ("in_rotation", "in_flight", "open", "idle", "waiting", "ejections")

Reports = Sequence[Sequence[Mapping[str, Any]]]
"""What the workers say, each a row an endpoint: `upstreams.registry.Registry.report`."""


def upstream_rows(reports: Reports) -> list[dict[str, object]]:
    """A row an endpoint. state: the one on which all workers agree, or "mixed". workers: how many see it in which
    state. why, since: of the last change that any of them saw. in_rotation: how many send it requests. failures: the
    longest row of any. shares: which routes give the upstream a part of their requests, or copies. The rest is added
    up.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for report in reports:
        for row in report:
            found.setdefault((row["upstream"], row["endpoint"]), []).append(row)
    return [_row(*name, seen) for name, seen in found.items()]


def _row(upstream: str, endpoint: str, seen: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    states = sorted({row["state"] for row in seen})
    last = max(seen, key=lambda row: (bool(row["why"]), row["since"]))
    addresses = sorted({address for row in seen for address in row["addresses"]})
    return {
        "upstream": upstream,
        "endpoint": endpoint,
        "state": states[0] if len(states) == 1 else "mixed",
        "workers": {state: sum(row["state"] == state for row in seen) for state in states},
        "why": last["why"],
        "since": datetime.fromtimestamp(last["since"], UTC).isoformat(timespec="seconds"),
        "weight": min(row["weight"] for row in seen),
        "failures": max(row["failures"] for row in seen),
        **{name: sum(row[name] for row in seen) for name in _SUMMED},
        "addresses": addresses,
        "shares": list(last.get("shares", ())),
    }
