"""Counts and logs each exchange, once, when it has ended."""

from time import monotonic
from typing import Final

from gateway.observe.access_log import AccessLog
from gateway.observe.metrics import RequestMetrics
from gateway.plugin_api import Exchange

_CLIENT_GONE: Final = 499
"""The status counted where the client left before there was a reply; no client ever sees it."""


class Recorder:
    """One for a worker. access_log: None where none is kept."""

    def __init__(self, metrics: RequestMetrics, access_log: AccessLog | None) -> None:
        self._metrics = metrics
        self._access_log = access_log

    def record(self, exchange: Exchange) -> None:
        """Count and log one exchange that has ended."""
        total_s = monotonic() - exchange.started_s
        route = exchange.route
        reply = exchange.reply
        self._metrics.record(
            "-" if route is None else route.id,
            exchange.method,
            _CLIENT_GONE if reply is None else reply.status,
            total_s,
            exchange.bytes_out,
            route.upstream if route is not None and exchange.attempts else None,
            exchange.upstream_s,
            exchange.error_code,
        )
        if self._access_log is not None:
            self._access_log.log(exchange, total_s)
