"""The tables that a run ends in, as Markdown, and whether each target is reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.load import Figures
from tests.bench.work import GATEWAY, INTERPRETED, WORK, Target, Work

Results = Mapping[tuple[str, str], Figures | str]
"""(name of the work, proxy) -> figures, or the reason why there are none. What a proxy does not do is not there."""

PROXIES = (GATEWAY, INTERPRETED, "nginx", "HAProxy", "Envoy", "Caddy", "Varnish")

_FIGURES: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("CPU µs/request", lambda figures: f"{figures.cpu_us:.1f}"),
    ("requests/s", lambda figures: f"{figures.requests_per_s:,.0f}"),
    ("p50 / p99 ms", lambda figures: f"{figures.p50_ms:.1f} / {figures.p99_ms:.1f}"),
    ("memory MiB", lambda figures: f"{figures.rss_mib:.0f}"),
    ("log bytes/request", lambda figures: f"{figures.log_bytes:.0f}"),
    ("own / others' processor %", lambda figures: f"{figures.busy:.0%} / {figures.others:.0%}".replace("%", "")),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. cells: by proxy. targets: as `ratio_text` and `amount_text` word them.

    failures: proxy -> why it has no figure.
    """

    title: str
    figure: str
    cells: Mapping[str, str]
    targets: Sequence[str] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


def ratio_text(own: float | None, other: float | None, name: str, at_most: float, *, is_below: bool = False) -> str:
    """`1.80 × nginx (≤ 2) yes`. A figure that is missing is never a yes."""
    bound = f"{'<' if is_below else '≤'} {at_most:g}"
    if own is None or not other:
        return f"? × {name} ({bound}) not measured"
    ratio = own / other
    return f"{ratio:.2f} × {name} ({bound}) {_yes(ratio < at_most if is_below else ratio <= at_most)}"


def amount_text(own: float | None, unit: str, at_most: float) -> str:
    """`5.2 KiB (≤ 6) yes`."""
    if own is None:
        return f"? {unit} (≤ {at_most:g}) not measured"
    return f"{own:.1f} {unit} (≤ {at_most:g}) {_yes(own <= at_most)}"


def work_lines(works: Sequence[Work], results: Results) -> list[Line]:
    """The lines of each work: the one with its targets first."""
    lines = []
    for work in works:
        found = {proxy: results.get((work.name, proxy)) for proxy in PROXIES}
        good = {proxy: each for proxy, each in found.items() if isinstance(each, Figures)}
        for number, (label, show) in enumerate(_FIGURES):
            cells = {proxy: show(each) for proxy, each in good.items()}
            if number:
                lines.append(Line("", label, cells))
            else:
                targets = [_target_text(work, target, results) for target in work.targets]
                failures = {proxy: each for proxy, each in found.items() if isinstance(each, str)}
                lines.append(Line(work.title, label, cells, targets, failures))
    return lines


def render(lines: Sequence[Line]) -> str:
    """The table, and below it why a figure is missing."""
    rows = [["work", "figure", *PROXIES, f"target of the {GATEWAY}, reached?"]]
    reasons: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        rows.append(
            [
                line.title,
                line.figure,
                *(line.cells.get(proxy, "-") for proxy in PROXIES),
                "; ".join(line.targets),
            ]
        )
        for proxy, reason in line.failures.items():
            reasons.setdefault((proxy, reason), []).append(line.title)
    text = markdown(rows, left=(0, 1, len(rows[0]) - 1))
    if not reasons:
        return text
    notes = [f"- {proxy}: {reason} ({'; '.join(titles)})" for (proxy, reason), titles in reasons.items()]
    return "\n".join((text, "", "Not measured:", *notes))


def markdown(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Aligned, so that it reads as well in a terminal. left: the columns of texts."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"| {' | '.join(cells)} |")
    rule = ["-" * width if number in left else "-" * (width - 1) + ":" for number, width in enumerate(widths)]
    lines.insert(1, f"| {' | '.join(rule)} |")
    return "\n".join(lines)


def _target_text(work: Work, target: Target, results: Results) -> str:
    """Of the gateway's CPU a request, over a peer's at the same work or its own at another."""
    titles = {each.name: each.title for each in WORK}
    other = (target.other, GATEWAY) if target.other in titles else (work.name, target.other)
    own, others = _cpu_us(results.get((work.name, GATEWAY))), _cpu_us(results.get(other))
    name = titles.get(target.other, target.other)
    return ratio_text(own, others, name, target.at_most, is_below=target.is_below)


def _cpu_us(found: Figures | str | None) -> float | None:
    return found.cpu_us if isinstance(found, Figures) else None


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "NO"
