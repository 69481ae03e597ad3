"""Slow start: an endpoint that comes back gets a share of its weight that grows in a straight line."""

from typing import Final

FIRST_SHARE: Final = 0.1
"""What it gets at once: enough to warm it up, and for its failures to show."""

STEPS: Final = 10


def share(elapsed_s: float, slow_start_s: float) -> float:
    """The share of its weight, `FIRST_SHARE` to 1, so long after it came back."""
    if elapsed_s >= slow_start_s:
        return 1.0
    return max(FIRST_SHARE, elapsed_s / slow_start_s)
