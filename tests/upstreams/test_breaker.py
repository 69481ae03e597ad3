"""Hazard: a breaker changes its state and nobody can tell why. The state machine: `core/test_circuit_breaker.py`."""

import logging

import pytest

from gateway.core.circuit_breaker import REFUSED, BreakerSettings, State
from gateway.observe.metrics import WorkerMetrics
from gateway.observe.metrics_buffer import map_buffer
from gateway.observe.metrics_reader import MetricsReader
from gateway.upstreams.breaker import UNKNOWN, UpstreamBreaker
from tests.support.gateway import metric


def test_each_change_is_logged_with_its_reason_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway")
    memory = map_buffer()
    breaker = UpstreamBreaker("crm", BreakerSettings(0.5, 10.0, 2, 5.0, 1), WorkerMetrics(memory))
    reader = MetricsReader([memory])
    for _ in range(2):
        breaker.settle(breaker.admit(100.0), "timeout", 100.0)
    assert breaker.admit(101.0) == REFUSED
    assert not breaker.may_admit(101.0)
    assert metric(reader.text(), "gateway_upstream_breaker_open_workers", upstream="crm") == 1
    breaker.settle(breaker.admit(105.0), "ok", 105.0)
    assert breaker.state is State.CLOSED
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            (
                "the circuit breaker of upstream crm is open, after closed: "
                "2 of 2 requests failed in 10 s, the last one by timeout"
            ),
        ),
        ("WARNING", "the circuit breaker of upstream crm is half_open, after open: it has rested for 5 s"),
        ("INFO", "the circuit breaker of upstream crm is closed, after half_open: 1 trials did well"),
    ]
    text = reader.text()
    assert metric(text, "gateway_upstream_breaker_open_workers", upstream="crm") == 0
    for state in ("open", "half_open", "closed"):
        assert metric(text, "gateway_upstream_breaker_changes_total", upstream="crm", state=state) == 1


@pytest.mark.parametrize("cause", ["connect", "reset", "timeout", "bad_reply", "tls", "502", "503", "504"])
def test_what_counts_against_an_upstream(cause: str) -> None:
    breaker = UpstreamBreaker("crm", BreakerSettings(0.5, 10.0, 1, 5.0, 1), WorkerMetrics())
    breaker.settle(breaker.admit(1.0), cause, 1.0)
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("cause", ["ok", "500", "501", "507", "busy", UNKNOWN])
def test_what_does_not(cause: str) -> None:
    breaker = UpstreamBreaker("crm", BreakerSettings(0.5, 10.0, 1, 5.0, 1), WorkerMetrics())
    breaker.settle(breaker.admit(1.0), cause, 1.0)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("cause", ["busy", UNKNOWN])
def test_what_tells_nothing_is_no_trial(cause: str) -> None:
    breaker = UpstreamBreaker("crm", BreakerSettings(0.5, 10.0, 1, 5.0, 1), WorkerMetrics())
    breaker.settle(breaker.admit(1.0), "502", 1.0)
    breaker.settle(breaker.admit(6.0), cause, 6.0)
    assert breaker.state is State.HALF_OPEN
    assert breaker.admit(6.0) != REFUSED
