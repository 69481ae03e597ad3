"""What became of an exchange and by which keys: the same words offline, in a reply's header and in the log.

Nothing here runs for a request that did not ask for it with a valid token.
"""

import json
from typing import Any

from gateway.config.snapshot import CompiledRoute, Snapshot
from gateway.core.explain_token import EXPLAIN_HEADER, is_explain_token
from gateway.plugin_api import Exchange, Plugin, Reply

VERDICT = "explain"
"""Of `Exchange.verdicts`: the same text as in the reply."""


def entered_plugins(exchange: Exchange) -> tuple[Plugin, ...]:
    """The plugins whose request hook ran, or that have none, as far as the exchange came."""
    compiled: CompiledRoute | None = exchange.compiled
    if compiled is None:
        return ()
    left = exchange.hooks_run
    entered = []
    for plugin in compiled.plugins:
        if hasattr(plugin, "on_request"):
            if left == 0:
                break
            left -= 1
        entered.append(plugin)
    return tuple(entered)


def plugin_reports(exchange: Exchange) -> dict[str, dict[str, Any]]:
    """What the plugins that were entered say of this exchange (`Plugin.explain`), by name."""
    reports = {}
    for plugin in entered_plugins(exchange):
        explain = getattr(plugin, "explain", None)
        if explain is not None and (report := explain(exchange)) is not None:
            reports[plugin.name] = dict(report)
    return reports


def upstream_target(exchange: Exchange) -> str:
    """The target that the upstream sees."""
    rewrite = exchange.compiled.rewrite
    return exchange.target if rewrite is None else str(rewrite(exchange))


def describe(exchange: Exchange, version: str, *, is_sent: bool) -> dict[str, Any]:
    """route, version, status and code (None where the upstream's reply decides and there is none yet), upstream and
    upstream_path (None where it went to none), and under keys what each plugin counted or kept it under.

    is_sent: whether it went to the upstream.
    """
    route, reply = exchange.route, exchange.reply
    return {
        "version": version,
        "route": None if route is None else route.id,
        "status": None if reply is None else reply.status,
        "code": exchange.error_code or None,
        "upstream": route.upstream if route is not None and is_sent else None,
        "upstream_path": upstream_target(exchange) if is_sent else None,
        "keys": {name: report["key"] for name, report in plugin_reports(exchange).items() if report.get("key")},
    }


def asks_to_explain(exchange: Exchange, snapshot: Snapshot, now_s: float) -> bool:
    """Whether the request has a valid token. now_s: wall clock."""
    key = snapshot.table.gateway.explain_key
    if key is None or exchange.headers.is_repeated(EXPLAIN_HEADER):
        return False
    value = exchange.headers.get(EXPLAIN_HEADER) or b""
    path = exchange.target.partition("?")[0]
    return is_explain_token(value, key.get_secret_value(), exchange.method, path, now_s=now_s)


def explain_in(exchange: Exchange, reply: Reply, version: str) -> None:
    """Say in the reply and in the log what became of the exchange."""
    text = json.dumps(describe(exchange, version, is_sent=exchange.attempts > 0), separators=(",", ":"))
    reply.headers.set(EXPLAIN_HEADER, text.encode())
    exchange.verdicts[VERDICT] = text
