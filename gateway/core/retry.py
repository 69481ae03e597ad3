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


# Nothing was sent, so repeating it does no harm, whatever it asks for. Not "tls", which stays wrong until somebody
# mends it, nor "busy": the upstream has too much to do already.
_UNSENT_CAUSES: Final = frozenset({"connect", "reset"})

_PAUSE_BASE_S: Final = 0.025
_PAUSE_MAX_S: Final = 0.25
# A repeat that begins later than this before the deadline could not end in time.
_LEAST_S: Final = 0.01
# Longer than this no client is kept waiting for another attempt, whatever its deadline is.
_RETRY_AFTER_MAX_S: Final = 5.0


def may_retry(cause: str, method: str, retry_on: frozenset[str], *, is_sent: bool, is_keyed: bool = False) -> bool:
    """Whether an attempt that failed with `cause` (connect, reset, timeout or a status as text) may be repeated.

    A request that never left (`is_sent` False) may always be. One that did only where the cause is listed, and if
    doing it twice is doing it once: by its method (RFC 9110 section 9.2.2), or because it `is_keyed`, so that the
    upstream can tell that it is the same one.
    """
    if not is_sent:
        return cause in _UNSENT_CAUSES
    return cause in retry_on and (is_keyed or method in IDEMPOTENT_METHODS)


def pause_s(attempts: int, lot: float, retry_after: bytes | None, *, is_elsewhere: bool) -> float | None:
    """How long to wait before the next attempt, or None where that is too long for anybody.

    attempts: made so far. lot: drawn from 0..1. retry_after: what a 503 says (RFC 9110 section 10.2.3). is_elsewhere:
    nothing was sent, and the next attempt goes to another endpoint, so there is nothing to be gentle to.
    """
    if retry_after is not None:
        if not retry_after.isdigit() or len(retry_after) > 4:
            # What is written as a date is minutes away; and what cannot be read is not waited for.
            return None
        asked_s = float(retry_after)
        return None if asked_s > _RETRY_AFTER_MAX_S else asked_s + lot * _PAUSE_BASE_S
    if is_elsewhere:
        return 0.0
    return lot * min(_PAUSE_MAX_S, _PAUSE_BASE_S * 2.0 ** (attempts - 1))


def fits(wait_s: float, now_s: float, deadline_s: float | None) -> bool:
    """Whether an attempt after so long can still end in time."""
    return deadline_s is None or now_s + wait_s + _LEAST_S <= deadline_s
