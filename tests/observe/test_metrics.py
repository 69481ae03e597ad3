import os
import signal
import subprocess
import sys

import pytest

from gateway.observe.metrics import AttemptCounters, Counter, RequestMetrics, WorkerMetrics
from gateway.observe.metrics_buffer import Buffer, create_buffer_file, map_buffer
from gateway.observe.metrics_reader import MetricsReader


def samples(*memories) -> dict[str, float]:
    lines = MetricsReader(memories).text().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_the_same_series_is_the_same_object():
    metrics = WorkerMetrics()
    assert metrics.counter("hits", "Hits.", a="1", b="2") is metrics.counter("hits", "Hits.", b="2", a="1")
    assert metrics.counter("hits", "Hits.", a="2", b="2") is not metrics.counter("hits", "Hits.", a="1", b="2")
    assert metrics.gauge("open", "Open.") is metrics.gauge("open", "Open.")
    assert metrics.histogram("s", "Seconds.", (1, 2)) is metrics.histogram("s", "Seconds.", (1.0, 2.0))


def test_workers_are_added_up():
    memories = [map_buffer(), map_buffer()]
    for number, memory in enumerate(memories, 1):
        metrics = WorkerMetrics(memory)
        metrics.counter("hits", "Hits.", route='a"b\\c\n').inc(number)
        metrics.gauge("open", "Open.").set(10 * number)
        metrics.gauge("open", "Open.").dec(number)
    text = MetricsReader(memories).text().decode()
    assert "# HELP hits_total Hits.\n# TYPE hits_total counter\n" in text
    assert 'hits_total{route="a\\"b\\\\c\\n"} 3.0\n' in text
    assert "# TYPE open gauge\nopen 27.0\n" in text


def test_a_histogram_is_cumulated_for_the_exposition():
    memory = map_buffer()
    seconds = WorkerMetrics(memory).histogram("s", "Seconds.", (0.1, 1.0), route="a")
    for value in (0.05, 0.1, 0.5, 7.0):
        seconds.observe(value)
    found = samples(memory)
    assert found['s_bucket{le="0.1",route="a"}'] == 2
    assert found['s_bucket{le="1.0",route="a"}'] == 3
    assert found['s_bucket{le="+Inf",route="a"}'] == found['s_count{route="a"}'] == 4
    assert found['s_sum{route="a"}'] == pytest.approx(7.65)
    assert repr(seconds).startswith("<Histogram count=4.0 sum=7.6")


def test_a_label_that_is_no_text_does_not_break_the_exposition():
    memory = map_buffer()
    WorkerMetrics(memory).counter("hits", "Hits.", plan="\ud800free").inc()
    assert samples(memory)['hits_total{plan="?free"}'] == 1


def test_series_that_come_later_are_seen():
    memory = map_buffer()
    metrics, reader = WorkerMetrics(memory), MetricsReader([memory])
    assert b"hits" not in reader.text()
    metrics.counter("hits", "Hits.").inc()
    assert b"hits_total 1.0" in reader.text()


def test_a_taken_over_buffer_goes_on_counting_and_its_gauges_start_anew():
    memory = map_buffer()
    first = WorkerMetrics(memory)
    first.counter("hits", "Hits.").inc(5)
    first.gauge("open", "Open.").set(3)
    first.histogram("s", "Seconds.", (1,)).observe(0.5)
    second = WorkerMetrics(memory)
    second.counter("misses", "Misses.").inc()
    second.counter("hits", "Hits.").inc()
    second.histogram("s", "Seconds.", (1,)).observe(0.5)
    found = samples(memory)
    assert (found["hits_total"], found["misses_total"], found["open"], found["s_count"]) == (6, 1, 0, 2)


def test_counts_survive_kill_9():
    descriptor = create_buffer_file()
    memory = map_buffer(descriptor)
    script = (
        "import os, sys\n"
        "from gateway.observe.metrics import WorkerMetrics\n"
        "from gateway.observe.metrics_buffer import map_buffer\n"
        "hits = WorkerMetrics(map_buffer(int(sys.argv[1]))).counter('hits', 'Hits.')\n"
        "for _ in range(1000): hits.inc()\n"
        "print('counted', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(descriptor)]
    with subprocess.Popen(
        command, pass_fds=[descriptor], stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=os.getcwd()
    ) as process:
        assert process.stdout.readline() == b"counted\n"
        process.send_signal(signal.SIGKILL)
    os.close(descriptor)
    assert samples(memory)["hits_total"] == 1000


@pytest.mark.parametrize("memory", [bytearray(64 + 64 * 8), bytearray(64 + 64 * 40)])
def test_a_full_buffer_takes_no_more_series_and_says_so(memory):
    metrics = WorkerMetrics(memory)
    kept = metrics.counter("kept", "K.")
    first = metrics.histogram("big", "B.", range(1, 60))
    second = metrics.histogram("big", "B.", range(1, 60))
    first.observe(3)
    second.observe(3)
    metrics.gauge("long", "L." * 3000).set(1)
    metrics.counter("long_too", "L." * 3000).inc()
    kept.inc()
    found = samples(memory)
    assert found == {"gateway_metrics_overflow_total": 4, "kept_total": 1}


def test_a_series_with_an_endless_name_is_not_exported():
    memory = bytearray(1 << 20)
    WorkerMetrics(memory).counter("hits", "Hits.", plan="x" * 5000).inc()
    assert samples(memory) == {"gateway_metrics_overflow_total": 1}


def test_a_torn_line_of_a_killed_worker_is_no_series():
    memory = bytearray(1 << 16)
    WorkerMetrics(memory).counter("hits", "Hits.").inc()
    end = bytes(memory).rindex(b"]\n") + 2
    memory[end : end + 30] = b'["counter","torn","Torn.",[],['
    assert set(samples(memory)) == {"gateway_metrics_overflow_total", "hits_total"}
    again = WorkerMetrics(memory)
    assert memory[end : end + 30] == bytes(30)
    again.counter("x", "X.").inc()
    assert samples(memory)["x_total"] == 1


def test_a_line_that_has_not_arrived_whole_is_read_the_next_time():
    memory = bytearray(1 << 16)
    WorkerMetrics(memory).counter("hits", "Hits.").inc()
    start = bytes(memory).rindex(b'"hits"')
    whole, memory[start : start + 6] = memory[start : start + 6], bytes(6)
    reader = MetricsReader([memory])
    assert b"hits" not in reader.text()
    memory[start : start + 6] = whole
    assert b"hits_total 1.0" in reader.text()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.gauge("hits", "H.", route="a"), r"metric hits is a counter of \(route\); it cannot be a gauge"),
        (lambda m: m.counter("hits", "H.", code="a"), r"it cannot be a counter of \(code\) as well"),
        (lambda m: m.histogram("s", "S.", (1, 3)), r"with buckets \[1.0, 2.0\]; it cannot be .* \[1.0, 3.0\] as well"),
        (lambda m: m.counter("a b", "H."), "'a b' is not a name"),
        (lambda m: m.counter("ab", "H.", **{"x-y": "1"}), "'x-y' is not a name"),
        (lambda m: m.histogram("t", "T.", ()), "finite and ascending"),
        (lambda m: m.histogram("t", "T.", (2, 1)), "finite and ascending"),
        (lambda m: m.histogram("t", "T.", (1, float("inf"))), "finite and ascending"),
        (lambda m: m.histogram("t", "T.", (float("nan"),)), "finite and ascending"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(ask, message):
    metrics = WorkerMetrics()
    metrics.counter("hits", "H.", route="a")
    metrics.histogram("s", "S.", (1, 2))
    with pytest.raises(ValueError, match=message):
        ask(metrics)
    # It takes no room either: there is one value for the overflow, one for hits, four for s.
    assert metrics.counter("fine", "F.").index == 6


def test_requests_are_counted():
    memory = map_buffer()
    requests = RequestMetrics(WorkerMetrics(memory))
    requests.record("crm", "GET", 200, 0.02, 100, "crm", 0.01, "")
    requests.record("crm", "GET", 200, 0.02, 50, "crm", 0.01, "")
    requests.record("crm", "POST", 502, 0.3, 10, "crm", 0.2, "upstream_reset")
    requests.record("", "GET", 404, 0.001, 10, None, 0.0, "no_route")
    requests.in_flight.inc()
    requests.connections.inc(2)
    requests.attempts("crm", "ok").inc()
    found = samples(memory)
    assert found['gateway_requests_total{method="GET",route="crm",status="200"}'] == 2
    assert found['gateway_requests_total{method="POST",route="crm",status="502"}'] == 1
    assert found['gateway_requests_total{method="GET",route="-",status="404"}'] == 1
    assert found['gateway_bytes_sent_total{route="crm"}'] == 160
    assert found['gateway_request_seconds_count{route="crm"}'] == 3
    assert found['gateway_request_seconds_bucket{le="0.025",route="crm"}'] == 2
    assert found['gateway_request_seconds_bucket{le="0.001",route="-"}'] == 1
    assert found['gateway_upstream_seconds_count{upstream="crm"}'] == 3
    assert found['gateway_upstream_seconds_sum{upstream="crm"}'] == pytest.approx(0.22)
    assert found['gateway_errors_total{code="upstream_reset"}'] == found['gateway_errors_total{code="no_route"}'] == 1
    assert found['gateway_upstream_attempts_total{outcome="ok",upstream="crm"}'] == 1
    assert (found["gateway_requests_in_flight"], found["gateway_connections"]) == (1, 2)


def test_made_up_methods_are_one_series_and_take_no_memory():
    memory = map_buffer()
    requests = RequestMetrics(WorkerMetrics(memory))
    for number in range(50):
        requests.record("crm", f"BREW{number}", 405, 0.0, 0, None, 0.0, "")
    assert samples(memory)['gateway_requests_total{method="other",route="crm",status="405"}'] == 50
    assert len(requests._routes["crm"].requests) == 1


def test_answers_that_take_turns_are_counted_each_for_itself():
    memory = map_buffer()
    requests = RequestMetrics(WorkerMetrics(memory))
    for method, status in [("GET", 200), ("GET", 304), ("GET", 200), ("HEAD", 200), ("BREW", 200), ("BREW", 200)] * 2:
        requests.record("crm", method, status, 0.0, 0, None, 0.0, "")
    found = samples(memory)
    counts = [("GET", 200, 4), ("GET", 304, 2), ("HEAD", 200, 2), ("other", 200, 4)]
    for method, status, count in counts:
        assert found[f'gateway_requests_total{{method="{method}",route="crm",status="{status}"}}'] == count


def test_attempts_are_counted_by_outcome():
    memory = map_buffer()
    attempts = AttemptCounters("crm", RequestMetrics(WorkerMetrics(memory)))
    for outcome in ("ok", "502", "ok"):
        attempts.count(outcome)
    found = samples(memory)
    assert found['gateway_upstream_attempts_total{outcome="ok",upstream="crm"}'] == 2
    assert found['gateway_upstream_attempts_total{outcome="502",upstream="crm"}'] == 1


def test_every_bound_belongs_to_its_own_bucket():
    memory = map_buffer()
    seconds = WorkerMetrics(memory).histogram("s", "Seconds.", (1, 2, 3))
    for value in (0, 1, 1.5, 2, 3, 3.5, 99):
        seconds.observe(value)
    found = samples(memory)
    assert [found[f's_bucket{{le="{bound}"}}'] for bound in ("1.0", "2.0", "3.0", "+Inf")] == [2, 4, 5, 7]


def test_reprs_tell():
    metrics = WorkerMetrics()
    hits = metrics.counter("hits", "Hits.")
    hits.inc(2)
    assert (repr(hits), repr(metrics.gauge("g", "G.")), repr(metrics)) == (
        "<Counter 2.0>",
        "<Gauge 0.0>",
        "<WorkerMetrics 3 series>",
    )
    assert type(hits) is Counter
    assert Buffer(map_buffer()).read() == ([], 0)
