"""When a failed attempt may be repeated, and how many repeats an upstream gets."""

from dataclasses import dataclass
from typing import Final

# RFC 9110 section 9.2.1: they ask for nothing to be done, so asking twice does no harm.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# RFC 9110 section 9.2.2: doing it twice is doing it once.
IDEMPOTENT_METHODS: Final = SAFE_METHODS | {"PUT", "DELETE"}

_BURST: Final = 10.0


@dataclass
class RetryBudget:
    """Retries as a share of requests, so that a failing upstream is not met with a multiple of its load.

    Each request pays in the ratio of its route; each retry takes out 1. At most ten can be saved up, which also is what
    an upstream starts with: a quiet service keeps its retries, a busy one gets no more than the ratio.
    """

    tokens: float = _BURST

    def count_request(self, ratio: float) -> None:
        """A first attempt was made."""
        if self.tokens < _BURST:
            self.tokens = min(_BURST, self.tokens + ratio)

    def take_retry(self) -> bool:
        """Whether a retry may be made; takes its token if so."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


def may_retry(cause: str, method: str, retry_on: frozenset[str], *, is_sent: bool) -> bool:
    """Whether an attempt that failed with `cause` (connect, reset, timeout or a status as text) may be repeated.

    A request that never left (`is_sent` False) may always be; one that did only if its method is safe.
    """
    if cause not in retry_on:
        return False
    return not is_sent or method in SAFE_METHODS
