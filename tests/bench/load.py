"""One round of load: wrk, what it counted, and what the proxy spent meanwhile."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.processes import Process, pinned, processor_busy_s

CONNECTIONS = 64
_SCRIPT = Path(__file__).parent / "templates" / "load.lua"
_MARGIN_S = 30.0
_REPLY_S = 20


class RoundFailed(Exception):  # noqa: N818 - what happened to the round
    """wrk did not run, or not every reply was good."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One round, or the medians of several. busy: share of its processor that the proxy used. others: share that
    everybody else used of it, which is the noise of the measurement. log_bytes: of access log, a request.
    """

    cpu_us: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    rss_mib: float
    busy: float
    others: float
    log_bytes: float


def run_round(
    process: Process,
    url: str,
    *,
    load_processors: str,
    seconds: int,
    headers: Sequence[str] = (),
    credentials: Path | None = None,
    connections: int = CONNECTIONS,
    log: Path | None = None,
) -> Figures:
    """Load the proxy for so long. credentials: a file with an Authorization value a line, sent in turn. log: where the
    proxy writes its access log.

    Raises RoundFailed.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", f"{_REPLY_S}s", "-s", str(_SCRIPT)]
    for header in headers:
        command += ["-H", header]
    command.append(url)
    if credentials is not None:
        command += ["--", str(credentials)]
    log_before = _size(log)
    started_s, cpu_before_s, busy_before_s = time.monotonic(), process.cpu_s(), _busy_s(process)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + _MARGIN_S,
            check=False,
            preexec_fn=pinned(load_processors),
        )
    except subprocess.TimeoutExpired:
        raise RoundFailed(f"wrk was not done after {seconds + _MARGIN_S:g} s") from None
    cpu_s, busy_s = process.cpu_s() - cpu_before_s, _busy_s(process) - busy_before_s
    elapsed_s = time.monotonic() - started_s
    counted = read_report(done.stdout, done.stderr)
    return Figures(
        cpu_us=cpu_s / counted["requests"] * 1e6,
        requests_per_s=counted["requests"] / counted["duration_us"] * 1e6,
        p50_ms=counted["p50_us"] / 1000,
        p99_ms=counted["p99_us"] / 1000,
        rss_mib=process.rss_mib(),
        busy=cpu_s / elapsed_s,
        others=max(busy_s - cpu_s, 0.0) / elapsed_s,
        log_bytes=(_size(log) - log_before) / counted["requests"],
    )


def read_report(output: str, errors: str) -> dict[str, int]:
    """The line of load.lua at the end of what wrk printed. Raises RoundFailed where a reply was not good."""
    last = output.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        raise RoundFailed(f"wrk: {(errors.strip() or last or 'no output').splitlines()[0]}")
    counted: dict[str, int] = json.loads(last)
    requests, bad_status, broken = counted["requests"], counted["bad_status"], counted["broken"]
    if bad_status or broken or not requests:
        raise RoundFailed(f"of {requests:,} requests {bad_status:,} had an error status and {broken:,} broke off")
    return counted


def medians(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds."""
    names = Figures.__slots__
    return Figures(**{name: median(getattr(each, name) for each in rounds) for name in names})


def _busy_s(process: Process) -> float:
    return sum(map(processor_busy_s, map(int, process.processors.split(","))))


def _size(path: Path | None) -> int:
    """What the file takes of the disk, to a block: where a writer does not append, as HAProxy, which makes its output
    non-blocking and loses O_APPEND with that, a file that was emptied begins with a hole, and that is no log.
    """
    return path.stat().st_blocks * 512 if path is not None and path.exists() else 0
