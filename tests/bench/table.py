"""The one table that a run ends in, as Markdown."""

from collections.abc import Callable, Mapping, Sequence

from tests.bench.load import Figures
from tests.bench.work import COMPILED, GATEWAY, Work

Results = Mapping[tuple[str, str], Figures | str]
"""(name of the work, proxy) -> figures, or the reason why there are none. What a proxy does not do is not there."""

PROXIES = (GATEWAY, COMPILED, "nginx", "HAProxy", "Envoy", "Caddy")
RATIOS = ("nginx", "HAProxy", "Envoy")

_LINES: tuple[tuple[str, Callable[[Figures], str], Callable[[Figures], float] | None], ...] = (
    ("CPU µs/request", lambda figures: f"{figures.cpu_us:.1f}", lambda figures: figures.cpu_us),
    ("requests/s", lambda figures: f"{figures.requests_per_s:,.0f}", lambda figures: figures.requests_per_s),
    ("p50 / p99 ms", lambda figures: f"{figures.p50_ms:.1f} / {figures.p99_ms:.1f}", None),
    ("memory MiB", lambda figures: f"{figures.rss_mib:.0f}", None),
    ("own / others' processor %", lambda figures: f"{figures.busy:.0%} / {figures.others:.0%}".replace("%", ""), None),
)


def render(works: Sequence[Work], results: Results) -> str:
    """The table, and below it why a figure is missing."""
    header = ["work", "figure", *PROXIES, *(f"{own} ÷ {peer}" for own in (GATEWAY, COMPILED) for peer in RATIOS)]
    rows = []
    for work in works:
        found = {proxy: results.get((work.name, proxy)) for proxy in PROXIES}
        for number, (label, show, value) in enumerate(_LINES):
            cells = [show(each) if isinstance(each, Figures) else "-" for each in found.values()]
            ratios = [_ratio(found[own], found[peer], value) for own in (GATEWAY, COMPILED) for peer in RATIOS]
            rows.append(["" if number else work.title, label, *cells, *ratios])
    reasons: dict[tuple[str, str], list[str]] = {}
    for work in works:
        for proxy in PROXIES:
            if isinstance(reason := results.get((work.name, proxy)), str):
                reasons.setdefault((proxy, reason), []).append(work.title)
    text = _aligned([header, *rows])
    if not reasons:
        return text
    lines = [f"- {proxy}: {reason} ({'; '.join(titles)})" for (proxy, reason), titles in reasons.items()]
    return "\n".join((text, "", "Not measured:", *lines))


def _ratio(own: object, peers: object, value: Callable[[Figures], float] | None) -> str:
    if value is None or not isinstance(own, Figures) or not isinstance(peers, Figures) or not value(peers):
        return "-" if value is not None else ""
    return f"{value(own) / value(peers):.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rule = ["-" * width if number < 2 else "-" * (width - 1) + ":" for number, width in enumerate(widths)]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(lines)
