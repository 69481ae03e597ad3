"""`python -m tests.bench`: the gateway beside nginx, HAProxy, Envoy and Caddy, doing the same work on this machine.

Each proxy has processor A to itself; the load, the upstream and Redis share processor B. The rounds of the proxies take
turns, so that what else the machine does falls on all alike, and the medians count.
"""

import argparse
import os
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from tests.bench import big_body, idle, scaling
from tests.bench.machine import raise_file_limit
from tests.bench.processes import StartFailed
from tests.bench.proxies import Bench, find_program
from tests.bench.session import Session, folder_for_everyone
from tests.bench.work import NEEDED_WORK, WORK

RESULTS = Path(__file__).parent / "RESULTS.md"
OTHERS = (big_body.NAME, idle.NAME, scaling.WORKERS_NAME, scaling.GROWTH_NAME)
_NEEDED = ("wrk", "nginx")
_FILES = 20_000


def main() -> int:
    """Measure, print the table, and keep it in RESULTS.md unless only a part was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of one second, to try it; keeps no results")
    parser.add_argument("--rounds", type=int, default=5, help="of each work and proxy (default: 5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each round (default: 2)")
    names = [*(work.name for work in WORK), *OTHERS]
    parser.add_argument("--work", nargs="+", choices=names, default=names, help="only these; keeps no results")
    parser.add_argument("--compiled", type=Path, metavar="DIR", help="packages that deploy/compile.py compiled before")
    found = parser.parse_args()
    rounds, seconds = (1, 1) if found.quick else (max(found.rounds, 1), max(found.seconds, 1))
    chosen = {*found.work, *(NEEDED_WORK[name] for name in found.work if name in NEEDED_WORK)}
    works = [work for work in WORK if work.name in chosen]
    missing = [name for name in _NEEDED if find_program(name) is None]
    processors = sorted(os.sched_getaffinity(0))[:2] if sys.platform == "linux" else []
    if missing or len(processors) < 2:
        reason = f"{', '.join(missing)} not installed" if missing else "this needs Linux and two processors"
        print(f"Nothing can be measured: {reason}.")
        return 0
    # Ended in any way, it ends its processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise_file_limit(_FILES)
    os.sched_setaffinity(0, {processors[1]})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = folder_for_everyone(Path(name))
        bench = Bench(folder, processors=processors, secret=secrets.token_urlsafe(32))
        bench.compiled = found.compiled and found.compiled.resolve()
        session = Session(bench, rounds, seconds)
        try:
            session.run(works, [name for name in OTHERS if name in chosen])
        except StartFailed as failure:
            print(f"Nothing can be measured: the upstream did not start: {failure}")
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            bench.stop_all()
    report = session.report(works)
    print(report)
    if not found.quick and chosen == set(names):
        RESULTS.write_text(f"# The gateway beside its peers\n\n{report}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
