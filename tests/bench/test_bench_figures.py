"""The bench must not print a figure that was not measured, nor miss the time of a proxy's children."""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.load import Figures, RoundFailed, medians, read_report
from tests.bench.processes import Process, StartFailed, free_ports
from tests.bench.proxies import PEERS, Bench
from tests.bench.table import PROXIES
from tests.bench.work import NEEDED_WORK, WORK

FIGURES = Figures(
    cpu_us=40.0, requests_per_s=20_000, p50_ms=1.5, p99_ms=3.25, rss_mib=60, busy=0.8, others=0.01, log_bytes=400
)
LISTENING_CHILD = """
import socket, sys, time
while time.process_time() < 0.3: pass
server, accepted = socket.create_server(("127.0.0.1", int(sys.argv[1]))), []
while True: accepted.append(server.accept())
"""
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {LISTENING_CHILD!r}, sys.argv[1]])
"""


def test_medians_are_taken_figure_by_figure() -> None:
    rounds = [replace(FIGURES, cpu_us=cpu, p99_ms=p99) for cpu, p99 in ((1, 9), (2, 7), (30, 8))]
    assert medians(rounds) == replace(FIGURES, cpu_us=2, p99_ms=8)


@pytest.mark.parametrize(
    ("output", "errors", "message"),
    [
        (
            '{"requests": 10, "duration_us": 1, "p50_us": 1, "p99_us": 1, "bad_status": 3, "broken": 0}',
            "",
            "3 had an error",
        ),
        (
            '{"requests": 0, "duration_us": 1, "p50_us": 1, "p99_us": 1, "bad_status": 0, "broken": 0}',
            "",
            "of 0 requests",
        ),
        (
            '{"requests": 9, "duration_us": 1, "p50_us": 1, "p99_us": 1, "bad_status": 0, "broken": 2}',
            "",
            "2 broke off",
        ),
        ("", "unable to connect to 127.0.0.1:1 Connection refused\n", "unable to connect"),
        ("Usage: wrk <options> <url>", "", "Usage"),
    ],
)
def test_a_round_with_failures_is_no_measurement(output: str, errors: str, message: str) -> None:
    with pytest.raises(RoundFailed, match=message):
        read_report(output, errors)


def test_the_report_is_the_last_line() -> None:
    line = '{"requests": 10, "duration_us": 2000000, "p50_us": 1, "p99_us": 5, "bad_status": 0, "broken": 0}'
    assert read_report(f"Running 1s test\n  10 requests\n{line}\n", "")["p99_us"] == 5


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_time_of_children_counts(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    processor = min(os.sched_getaffinity(0))
    process = Process("burner", [sys.executable, "-c", PARENT, str(port)], tmp_path, str(processor), {})
    try:
        process.wait_until_listening(port)
        assert process.cpu_s() >= 0.29
        assert process.rss_mib() > 5
        held = socket.create_connection(("127.0.0.1", port))
    finally:
        process.stop()
    with held:
        # The child has gone with its parent, else this would wait for ever.
        assert held.recv(1) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="pins processes to processors")
def test_what_does_not_start_says_why(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    program = f"import sys; sys.exit('cannot read {tmp_path}/config')"
    process = Process("broken", [sys.executable, "-c", program], tmp_path, str(min(os.sched_getaffinity(0))), {})
    with pytest.raises(StartFailed, match=r"^cannot read config$"):
        process.wait_until_listening(port)
    process.stop()


def test_every_template_has_all_its_values(tmp_path: Path) -> None:
    bench = Bench(tmp_path, processors=(0, 0), secret="of-the-bench")
    values = {
        "plain": 1,
        "secured": 2,
        "gzip": 3,
        "kept": 7,
        "metrics": 4,
        "jwks": "{}",
        "store": "memory://",
        "more_routes": "",
    }
    values |= {"first": 5, "second": 6}
    own = ("upstream.conf", "body_paths.conf", "routes.yaml", "soak.routes.yaml")
    for template in (*(peer.template for peer in PEERS), *own):
        assert "@@" not in bench.render(template, values).read_text()


def test_each_work_has_a_name_of_its_own_and_known_proxies() -> None:
    names = {work.name for work in WORK}
    assert len(names) == len(WORK)
    assert {proxy for work in WORK for proxy in work.proxies} <= set(PROXIES)
    assert {peer.name for peer in PEERS} <= set(PROXIES)


def test_each_target_is_about_something_that_is_measured_with_it() -> None:
    works = {work.name: work for work in WORK}
    for work in WORK:
        for target in work.targets:
            assert target.other in work.proxies or NEEDED_WORK[work.name] == target.other in works


@pytest.mark.skipif(sys.platform != "linux", reason="pins processes to processors")
def test_a_line_that_a_process_of_the_same_name_has_left_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    for text in ("one", "two"):
        program = f"print('ready {text}', flush=True); input()"
        process = Process(
            "same", [sys.executable, "-c", program], tmp_path, str(min(os.sched_getaffinity(0))), {}, is_talking=True
        )
        try:
            assert process.wait_for_line("ready", 10) == f"ready {text}"
        finally:
            process.stop()
