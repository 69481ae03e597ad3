"""Pure units: no asyncio, sockets, clock, randomness or logging; `now` and `rng` are arguments."""
