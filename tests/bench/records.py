"""How long each request took, kept as it was, so that any part of a run can be looked at afterwards."""

from array import array
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Records:
    """A number each of every good reply, in seconds: when its request was due (any clock), and how late it came."""

    # Quoted: the class takes a parameter from Python 3.12 on only.
    due_s: "array[float]" = field(default_factory=lambda: array("d"))
    latency_s: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, due_s: float, latency_s: float) -> None:
        self.due_s.append(due_s)
        self.latency_s.append(latency_s)

    def between(self, from_s: float, until_s: float) -> "Records":
        """Those that were due then, until_s excluded."""
        found = Records()
        for due_s, latency_s in zip(self.due_s, self.latency_s, strict=True):
            if from_s <= due_s < until_s:
                found.add(due_s, latency_s)
        return found

    def percentile_ms(self, percent: float) -> float | None:
        """The smallest latency that so many percent do not exceed (nearest rank); None of nothing."""
        if not self.latency_s:
            return None
        ordered = sorted(self.latency_s)
        # The rank counts from 1; in whole thousandths, so that no rounding of floats moves it.
        rank = -(-round(percent * 1000) * len(ordered) // 100_000)
        return ordered[max(rank, 1) - 1] * 1000

    def write(self, path: Path) -> None:
        path.write_bytes(self.due_s.tobytes() + self.latency_s.tobytes())

    @classmethod
    def read(cls, path: Path) -> "Records":
        both = array("d", path.read_bytes())
        half = len(both) // 2
        return cls(both[:half], both[half:])

    def __len__(self) -> int:
        return len(self.due_s)
