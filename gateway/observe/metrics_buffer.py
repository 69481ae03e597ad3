"""The shared memory behind the metrics: how a worker's buffer lies, and how series are committed and read.

A buffer is a header (8 bytes: how many bytes of names are committed), values (8-byte floats) and names: one JSON line
a series, saying where its values stand. There is no lock. Each buffer has one writer: one thread of one process. A
value is 8 aligned bytes that CPython stores by one 8-byte move, which x86-64 and arm64 do not tear. A line is written
first and then committed by one such store; where a reader sees the commit before the whole line (arm64 may reorder
stores), the missing bytes are NUL, which is not JSON, and the reader takes the line the next time.
"""

import json
import mmap
import os
import tempfile
from dataclasses import dataclass

BUFFER_BYTES = 4 << 20
"""Room for 65,000 values (some 4,000 histograms) and 3.5 MiB of names. Pages that are never touched cost nothing."""

Memory = mmap.mmap | bytearray

_HEADER_BYTES = 64
_LINE_MAX_BYTES = 4096


def create_buffer_file(size_bytes: int = BUFFER_BYTES) -> int:
    """A new buffer in memory as a file descriptor that a worker can inherit. It has no name to leave behind."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("gateway-metrics")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size_bytes)
    return descriptor


def map_buffer(descriptor: int = -1) -> mmap.mmap:
    """Map the buffer of `create_buffer_file`, or a new one that only this process sees."""
    return mmap.mmap(descriptor, BUFFER_BYTES if descriptor == -1 else 0)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the names. kind: "counter", "gauge" or "histogram". labels: sorted by name. bounds: of a histogram,
    ascending and finite. index: of its first value; a histogram has one for each bound, one above all, and its sum.
    """

    kind: str
    name: str
    help_text: str
    labels: tuple[tuple[str, str], ...]
    bounds: tuple[float, ...]
    index: int

    @property
    def width(self) -> int:
        """How many values it has."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1

    def to_line(self) -> bytes:
        """As it stands in the names."""
        fields = [self.kind, self.name, self.help_text, self.labels, self.bounds, self.index]
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Series":
        """Raises ValueError where the line is not whole."""
        kind, name, help_text, labels, bounds, index = json.loads(line)
        return cls(kind, name, help_text, tuple((key, value) for key, value in labels), tuple(bounds), index)


class Buffer:
    """One worker's buffer. Any size does: an eighth of it are values, the rest names."""

    def __init__(self, memory: Memory) -> None:
        values_end = _HEADER_BYTES + (len(memory) - _HEADER_BYTES) // 64 * 8
        view = memoryview(memory)
        self._committed = view[:8].cast("Q")
        self._names = view[values_end:]
        self.values: memoryview[float] = view[_HEADER_BYTES:values_end].cast("d")

    def append(self, series: Series) -> bool:
        """Commit one more series; False where there is no room for its values or its line."""
        line = series.to_line()
        start = self._committed[0]
        end = start + len(line)
        if len(line) > _LINE_MAX_BYTES or end > len(self._names) or series.index + series.width > len(self.values):
            return False
        self._names[start:end] = line
        self._committed[0] = end
        return True

    def read(self, start: int = 0) -> tuple[list[Series], int]:
        """The series committed from byte `start` of the names on, and where the next one will start."""
        found = []
        for line in bytes(self._names[start : self._committed[0]]).splitlines(keepends=True):
            try:
                found.append(Series.from_line(line))
            except ValueError:
                break
            start += len(line)
        return found, start

    def take_over(self) -> list[Series]:
        """Become the writer after one that ended: its counts stay, its gauges go to 0. Returns its series."""
        series, end = self.read()
        for each in series:
            if each.kind == "gauge":
                self.values[each.index] = 0.0
        # One that was killed while it wrote a line leaves bytes that were never committed.
        torn = self._names[end : end + _LINE_MAX_BYTES]
        torn[:] = bytes(len(torn))
        return series
