"""`python -m tests.fuzz`: every target, one on each processor, a minute in all.

`python -m tests.fuzz NAME [SECONDS]` runs one of them. A finding ends the run with status 1; libFuzzer prints the
input, and writes it to the folder for temporary files.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
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
    at_once = os.cpu_count() or 1
    seconds = max(1, TOTAL_S * at_once // len(TARGETS))

    def run(name: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        command = [sys.executable, "-m", "tests.fuzz", name, str(seconds)]
        return name, subprocess.run(
            command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, errors="replace"
        )

    failed = []
    with ThreadPoolExecutor(at_once) as runners:
        for name, done in runners.map(run, [target.__name__ for target in TARGETS]):
            lines = done.stdout.splitlines()
            told = lines[-30:] if done.returncode else [line for line in lines if line.startswith("Done ")]
            print("\n".join([f"--- {name}", *told]), flush=True)
            if done.returncode:
                failed.append(name)
    print(f"findings in: {', '.join(failed)}" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_one(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else TOTAL_S)
    else:
        sys.exit(run_all())
