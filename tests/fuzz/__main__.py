"""`python -m tests.fuzz`: every target in turn, a minute in all. `python -m tests.fuzz NAME [SECONDS]`: one of them.

A finding ends the run with status 1; libFuzzer prints the input, and writes it to the folder for temporary files.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzz.targets import TARGETS

# With the time that it takes to instrument the gateway for each of them, a minute.
TOTAL_S = 48


def run_one(name: str, seconds: int) -> None:
    """Does not return: libFuzzer ends the process."""
    (target,) = [target for target in TARGETS if target.__name__ == name]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(TARGETS[target]):
            Path(folder, str(number)).write_bytes(seed)
        limits = [
            f"-max_total_time={seconds}",
            "-max_len=1200",
            "-timeout=10",
            f"-artifact_prefix={tempfile.gettempdir()}/",
        ]
        atheris.Setup([sys.argv[0], *limits, folder], target)
        atheris.Fuzz()


def run_all() -> int:
    failed = []
    for target in TARGETS:
        print(f"--- {target.__name__}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", target.__name__, str(TOTAL_S // len(TARGETS))]
        done = subprocess.run(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, errors="replace")
        lines = done.stdout.splitlines()
        print("\n".join(lines[-30:] if done.returncode else [line for line in lines if line.startswith("Done ")]))
        if done.returncode:
            failed.append(target.__name__)
    print(f"findings in: {', '.join(failed)}" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_one(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else TOTAL_S)
    else:
        sys.exit(run_all())
