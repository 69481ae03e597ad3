"""Every worker's own buckets for the time without the shared store: kept warm while there is one (decisions/0014)."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice

from gateway.core.local_share import Outage, Share
from gateway.core.rate_limit import Decision, Window

# As in stores/memory.py: looked at when a name is new, so that full buckets go faster than new ones come.
SWEPT_AT_ONCE = 4


class LocalLimits:
    """A `RateLimitStore` whose answers are there at once, out of this worker's share of each bucket.

    now_ms: a clock that never goes back. workers: of this gateway, counted until the store says how many live.
    max_keys: how many buckets are kept; past that, of the oldest few one that is full is dropped, else the oldest.
    """

    def __init__(self, now_ms: Callable[[], int], workers: int = 1, max_keys: int = 100_000) -> None:
        self.now_ms = now_ms
        self.live_workers = workers
        """Of all gateways, as the store counted last. An outage keeps what it was at its beginning."""
        self._max_keys = max_keys
        self._shares: OrderedDict[str, Share] = OrderedDict()
        self._has_had_store = False
        self._is_deaf = True
        self._unheard_since_ms: int | None = None
        # Without a store from the start nobody can have taken anything yet.
        self._outage = Outage(1, workers, None)

    def __repr__(self) -> str:
        return f"<LocalLimits 1/{self._outage.workers} of {len(self._shares)} buckets>"

    def take(self, key: str, windows: tuple[Window, ...], cost: int = 1) -> Decision:
        """Take `cost` tokens of this worker's share of every window, or of none; the store is owed them."""
        share = self.share(bucket_name(key, windows), windows)
        decision = share.take(windows, cost, self._outage, self.now_ms())
        if decision.is_allowed:
            share.owed += cost
        return decision

    def gate(self, name: str, windows: tuple[Window, ...], cost: int) -> Decision:
        """As `take`, for a check that goes to the store next if this allows it; so nothing is owed."""
        return self.share(name, windows).take(windows, cost, self._outage, self.now_ms())

    def share(self, name: str, windows: tuple[Window, ...]) -> Share:
        """What is known of a bucket."""
        share = self._shares.get(name)
        if share is None:
            now_ms = self.now_ms()
            self._sweep(now_ms)
            share = self._shares[name] = Share(windows, now_ms)
        return share

    def learn(self, name: str, debts: Sequence[int], at_ms: int) -> None:
        """The store said that a bucket has these debts at that moment of its clock. Ignores names of other forms."""
        windows = windows_of(name)
        if len(windows) == len(debts):
            self.share(name, windows).learn(windows, debts, at_ms, self.now_ms())

    def has_store(self) -> None:
        """The store has answered."""
        self._has_had_store = True

    def hears(self, since_ms: int | None) -> None:
        """From that moment of this worker's clock on, the store's word on each bucket comes here; None: on all that it
        has, however old.
        """
        self._is_deaf = False
        self._unheard_since_ms = since_ms

    def is_deaf(self) -> None:
        """The store's word may get lost on its way here."""
        self._is_deaf = True

    def begin_outage(self, *, is_brief: bool = False) -> None:
        """The store is gone. is_brief: perhaps it is only late, and only for this worker; the others may take all that
        there is meanwhile.
        """
        unheard_since_ms = None
        if self._has_had_store:
            unheard_since_ms = self.now_ms() if self._is_deaf or is_brief else self._unheard_since_ms
        self._outage = Outage(self._outage.number + 1, self.live_workers, unheard_since_ms)

    def owing(self) -> list[tuple[str, tuple[Window, ...], Share]]:
        """The buckets of which the store is owed something."""
        return [(name, windows_of(name), share) for name, share in self._shares.items() if share.owed > 0]

    def close(self) -> None:
        """Forget everything."""
        self._shares.clear()

    def _sweep(self, now_ms: int) -> None:
        shares = self._shares
        for name in list(islice(shares, SWEPT_AT_ONCE)):
            if shares[name].is_idle(windows_of(name), now_ms):
                del shares[name]
            else:
                shares.move_to_end(name)
        if len(shares) >= self._max_keys:
            shares.popitem(last=False)


def bucket_name(key: str, windows: tuple[Window, ...]) -> str:
    """The name of a bucket in the store: what is in braces says where a cluster keeps it."""
    return f"limit:{{{key}}}:{_signature(windows)}"


@lru_cache(1024)
def _signature(windows: tuple[Window, ...]) -> str:
    return ",".join(f"{window.limit}/{window.period_ms}" for window in windows)


def windows_of(name: str) -> tuple[Window, ...]:
    """The windows of a bucket by its name; none where it is no such name."""
    return _read_signature(name.rpartition(":")[2])


@lru_cache(1024)
def _read_signature(signature: str) -> tuple[Window, ...]:
    try:
        pairs = [pair.split("/") for pair in signature.split(",")]
        return tuple(Window(int(limit), int(period)) for limit, period in pairs)
    except ValueError:
        return ()
