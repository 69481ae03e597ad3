"""Processes of the bench: started on one processor, measured with all their children, ended by their id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_START_S = 20.0
_STOP_S = 5.0
_POLL_S = 0.02


class StartFailed(Exception):  # noqa: N818 - what happened to the process
    """A process did not come up; the text is the last line that it wrote."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def pinned(processors: str) -> Callable[[], None]:
    """What a child process does before anything else, so that it runs on these processors only, `0` or `0,1`."""
    numbers = {int(number) for number in processors.split(",")}
    return lambda: os.sched_setaffinity(0, numbers)


class Process:
    """A program and its children. processors: where they run, `0` or `0,1`. What it prints goes to `<name>.out` in the
    folder. is_talking: it reads lines from `tell` instead of nothing.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        processors: str,
        environment: Mapping[str, str],
        *,
        is_talking: bool = False,
    ) -> None:
        self.name = name
        self.processors = processors
        self._output = folder / f"{name}.out"
        # A process of that name that has ended may have left one, whose lines are not this one's.
        self._output.unlink(missing_ok=True)
        with self._output.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                preexec_fn=pinned(processors),
                stdin=subprocess.PIPE if is_talking else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                # Not the checkout: `python -m` would look there first for the code to run.
                cwd=folder,
                # Ctrl-C at a terminal is for the bench, which then ends its processes one by one.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def tell(self, line: str) -> None:
        """Give it one line to read."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def lines(self) -> list[str]:
        """What it has printed so far, whole lines only."""
        return self._output.read_text(errors="replace").split("\n")[:-1]

    def wait_for_line(self, start: str, timeout_s: float) -> str:
        """The first line that it prints which begins so. Raises StartFailed where none comes."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            is_over = self._popen.poll() is not None
            for line in self.lines():
                if line.startswith(start):
                    return line
            if is_over:
                raise StartFailed(self._last_words())
            if time.monotonic() > give_up_s:
                raise StartFailed(f"no line {start!r} after {timeout_s:g} s; {self._last_words()}")
            time.sleep(_POLL_S)

    def wait_until_listening(self, port: int) -> None:
        """Raises StartFailed."""
        give_up_s = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if self._popen.poll() is not None:
                    raise StartFailed(self._last_words()) from None
                if time.monotonic() > give_up_s:
                    raise StartFailed(f"nothing listens after {_START_S:g} s; {self._last_words()}") from None
            time.sleep(_POLL_S)

    def cpu_s(self) -> float:
        """User and system time so far, of the whole tree (proc_pid_stat(5), utime and stime)."""
        return cpu_of_s(self.pids())

    def pids(self) -> list[int]:
        """Its own id and those of all below it, parents first."""
        return _tree(self._popen.pid)

    def rss_mib(self) -> float:
        """Resident memory of the whole tree; pages that its processes share count in each."""
        return rss_of_mib(self.pids())

    def kill(self) -> None:
        """SIGKILL to it alone, as a fault."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        """End it and what it started. Harmless if it has ended."""
        if self._popen.stdin is not None:
            with suppress(BrokenPipeError):
                self._popen.stdin.close()
        if self._popen.poll() is None:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(_STOP_S)
        # It leads a group of its own; the gateway's worker does too, and ends when its supervisor has.
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def _last_words(self) -> str:
        lines = self._output.read_text(errors="replace").replace(f"{self._output.parent}/", "").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it wrote nothing")


def cpu_of_s(pids: Sequence[int]) -> float:
    """User and system time of these so far; those that have ended count nothing."""
    found = [fields for pid in pids if (fields := _stat(pid))]
    return sum(int(fields[11]) + int(fields[12]) for fields in found) / _TICKS_PER_S


def rss_of_mib(pids: Sequence[int]) -> float:
    """Resident memory of these; pages that they share count in each."""
    return sum(int(fields[21]) for pid in pids if (fields := _stat(pid))) * _PAGE_BYTES / 2**20


def processor_busy_s(processor: int) -> float:
    """Time that the processor has worked for anybody, so far (proc_stat(5): all but idle and iowait)."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{processor}":
            user, nice, system, _, _, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S
    raise LookupError(f"no processor {processor} in /proc/stat")


def _tree(root: int) -> list[int]:
    """The process and all below it, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which itself may hold blanks and parentheses; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
