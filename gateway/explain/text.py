"""An explanation for a terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LIST_SHOWN_MAX = 6


def explanation_text(found: Mapping[str, Any]) -> str:
    """Of `explanation.explain`."""
    request, upstream = found["request"], found["upstream"]
    lines = [f"{request['method']} {request['target']}  (host {request['host']}, table {found['version']})"]
    lines += [f"  {found['why']}", ""]
    lines += _section("caller", [_caller(found["caller"])])
    lines += _section(
        "why not the others", _columns([(each["id"], each["position"], each["why"]) for each in found["lost"]])
    )
    lines += _section("policies, in the order in which they run", _columns(map(_policy, found["policies"])))
    lines += _section("keys", _columns((name, *_report(report)) for name, report in found["reports"].items()))
    if upstream is not None:
        lines += _section(f"upstream {upstream['name']} at {upstream['position']}", _upstream(found, upstream))
    return "\n".join(lines).rstrip() + "\n"


def in_words(value: Any) -> str:
    """A value as it would stand in a table."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {in_words(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        shown = [in_words(inner) for inner in value[:_LIST_SHOWN_MAX]]
        more = len(value) - _LIST_SHOWN_MAX
        return f"[{', '.join(shown)}{f', and {more} more' if more > 0 else ''}]"
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines), ""] if lines else []


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    listed = [[*row] for row in rows]
    if not listed:
        return []
    widths = [max(len(row[column]) for row in listed) for column in range(len(listed[0]) - 1)]
    return ["  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip() for row in listed]


def _caller(caller: Mapping[str, Any] | None) -> str:
    if caller is None:
        return "nobody is known"
    said = [f"{name} {caller[name]}" for name in ("tenant", "user", "plan") if caller[name] is not None]
    return ", ".join([*said, f"scopes {' '.join(caller['scopes']) or 'none'}", caller["credential"]])


def _policy(row: Mapping[str, Any]) -> tuple[str, str, str]:
    origin = row["from"] if "section" not in row else f"{row['from']}, {row['section']}"
    left_out = ", ".join(f"{name} {in_words(value)}" for name, value in row["left_out"].items())
    return row["policy"], origin, in_words(row["value"]) + (f"  (built in: {left_out})" if left_out else "")


def _report(report: Mapping[str, Any]) -> tuple[str, str]:
    key = report.get("key")
    terms = {name: value for name, value in report.items() if name not in ("key", "from") and value not in (None, [])}
    said = ", ".join(f"{name} {in_words(value)}" for name, value in terms.items())
    origin = f" ({report['from']})" if "from" in report else ""
    return (key if isinstance(key, str) else json.dumps(key) if key else "none"), said + origin


def _upstream(found: Mapping[str, Any], upstream: Mapping[str, Any]) -> list[str]:
    endpoints = ", ".join(
        f"{each['url']} (weight {each['weight']})" if each["weight"] != 1 else each["url"]
        for each in upstream["endpoints"]
    )
    retry = ", ".join(f"{name} {in_words(value)}" for name, value in upstream["retry"].items()) or "never"
    lines = [
        f"endpoints: {endpoints}, {upstream['balance']}",
        f"timeouts: {', '.join(f'{name} {value}' for name, value in upstream['timeouts'].items())}; retry: {retry}",
    ]
    if (mirror := upstream["mirror"]) is not None:
        lines.append(f"copies: {mirror['percent']} of such requests to {mirror['to']}")
    if upstream["target"] is None:
        return [*lines, "the request does not come this far"]
    sent = [f"  {name}: {value}" for name, value in upstream["headers"]]
    return [*lines, f"{found['request']['method']} {upstream['target']}", *sent]
