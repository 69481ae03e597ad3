"""Writes lines from a thread of its own, so that a slow disk or a full pipe never holds up the event loop."""

import asyncio
import errno
import logging
import os
import select
import stat
import threading
from queue import SimpleQueue

LINE_MAX_BYTES = 4096
"""PIPE_BUF of Linux. Several workers share one pipe (the container's log, say), and only writes up to this size are
kept whole there (POSIX, write); no line may be longer.
"""

_log = logging.getLogger("gateway.access_log")


class LineWriter:
    """sink: a file descriptor, which stays open, or the path of a file to append to. Raises OSError.

    A file that was moved away or removed (log rotation) is opened anew before the next batch.
    Each system call of the writing thread takes the interpreter's lock from the event loop once, so there are few.
    """

    def __init__(self, sink: int | str) -> None:
        self._path = sink if isinstance(sink, str) else None
        self._descriptor = sink if isinstance(sink, int) else _open(sink)
        self._opened = os.fstat(self._descriptor)
        self._is_pipe = stat.S_ISFIFO(self._opened.st_mode)
        self._queue: SimpleQueue[tuple[list[str], int] | None] = SimpleQueue()
        # Each number has one writing thread; the other one only reads it.
        self._put_bytes = 0
        self._put_lines = 0
        self._done_bytes = 0
        self._done_lines = 0
        self._failed_lines = 0
        self._is_abandoned = False
        self._is_failing = False
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # A daemon: a sink that blocks for ever must not keep the process.
        threading.Thread(target=self._run, name="line-writer", daemon=True).start()

    @property
    def pending_bytes(self) -> int:
        """Put but not yet written."""
        return self._put_bytes - self._done_bytes

    @property
    def lost_lines(self) -> int:
        """Lines that the sink refused, or had not taken when `close` gave up."""
        return self._failed_lines + (self._put_lines - self._done_lines if self._is_abandoned else 0)

    def put(self, lines: list[str], size_bytes: int) -> None:
        """Write these lines, ASCII and each with its newline, when their turn comes."""
        self._put_bytes += size_bytes
        self._put_lines += len(lines)
        self._queue.put((lines, size_bytes))

    async def close(self, timeout_s: float) -> None:
        """Wait until all is written, timeout_s at most."""
        self._queue.put(None)
        try:
            await asyncio.wait_for(self._ended.wait(), timeout_s)
        except TimeoutError:
            self._is_abandoned = True

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            lines, size_bytes = batch
            written = 0
            try:
                self._reopen_if_moved()
                for piece, count in self._pieces(lines):
                    _write_all(self._descriptor, piece)
                    written += count
                self._is_failing = False
            except OSError as error:
                self._failed_lines += len(lines) - written
                if not self._is_failing:
                    self._is_failing = True
                    _log.warning("the access log cannot be written, lines are dropped: %s", error.strerror)
            self._done_bytes += size_bytes
            self._done_lines += len(lines)
        if self._path is not None:
            os.close(self._descriptor)
        try:
            self._loop.call_soon_threadsafe(self._ended.set)
        except RuntimeError:
            # The loop has ended: `close` gave up long ago.
            return

    def _reopen_if_moved(self) -> None:
        if self._path is None:
            return
        try:
            is_same = os.path.samestat(os.stat(self._path), self._opened)
        except FileNotFoundError:
            is_same = False
        if not is_same:
            old, self._descriptor = self._descriptor, _open(self._path)
            self._opened = os.fstat(self._descriptor)
            os.close(old)

    def _pieces(self, lines: list[str]) -> list[tuple[bytes, int]]:
        """Whole lines, as many at once as stay together, with their number."""
        if not self._is_pipe:
            return [("".join(lines).encode("ascii"), len(lines))]
        pieces = []
        first, size = 0, 0
        for number, line in enumerate(lines):
            if size + len(line) > LINE_MAX_BYTES and number > first:
                pieces.append(("".join(lines[first:number]).encode("ascii"), number - first))
                first, size = number, 0
            size += len(line)
        pieces.append(("".join(lines[first:]).encode("ascii"), len(lines) - first))
        return pieces


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                raise
            # Somebody who shares the descriptor has made it non-blocking.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
