import json

import pytest

from gateway.core.headers import Headers
from gateway.observe.access_log import AccessLog
from gateway.observe.metrics import RequestMetrics, WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.observe.metrics_reader import MetricsReader
from gateway.observe.recorder import Recorder
from gateway.plugin_api import Exchange, Reply, RouteInfo
from tests.support.gateway import metric


@pytest.mark.parametrize(
    ("reply", "attempts", "status", "asked"),
    [(Reply(200), 1, "200", 1), (Reply(304), 0, "304", 0), (None, 1, "499", 1)],
)
async def test_an_exchange_is_counted_and_logged_once(tmp_path, reply, attempts, status, asked):
    memory = map_buffer()
    metrics = WorkerMetrics(memory)
    log = AccessLog(str(tmp_path / "access.log"), metrics.counter("gateway_access_log_dropped", "Dropped."))
    exchange = Exchange(method="GET", target="/a", headers=Headers(), request_id="ab" * 16)
    exchange.route = RouteInfo("crm", "/a", None, "origin")
    exchange.reply, exchange.attempts, exchange.bytes_out, exchange.outcome = reply, attempts, 7, "complete"
    Recorder(RequestMetrics(metrics), log).record(exchange)
    await log.close()
    text = MetricsReader([memory]).text()
    assert metric(text, "gateway_requests_total", route="crm", method="GET", status=status) == 1
    assert metric(text, "gateway_bytes_sent_total", route="crm") == 7
    assert metric(text, "gateway_upstream_seconds_count", upstream="origin") == asked
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert json.loads(line)["status"] == (None if reply is None else int(status))


def test_without_a_log_and_without_a_route_it_is_still_counted():
    memory = map_buffer()
    exchange = Exchange(method="GET", target="/a", headers=Headers())
    exchange.reply = Reply(404)
    Recorder(RequestMetrics(WorkerMetrics(memory)), None).record(exchange)
    assert metric(MetricsReader([memory]).text(), "gateway_requests_total", route="-", status="404") == 1
