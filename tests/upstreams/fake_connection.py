"""A connection for the tests of the pool: nothing but its life."""

from gateway.upstreams.pool import Pool


class FakeConnection:
    def __init__(self, pool: Pool, now_s: float = 0.0, hint_s: float | None = None) -> None:
        self._pool = pool
        self.last_active_s = now_s
        self.keep_alive_hint_s = hint_s
        self.is_closed = False

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._pool.forget(self)
