"""Work that is repeated for ever, each piece at its own pace, and not all at the same moment."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Final

_log = logging.getLogger("gateway")

Work = Callable[[], Awaitable[None]]
Sleep = Callable[[float], Awaitable[object]]

_FIRST_WITHIN_S: Final = 1.0
"""The first turn comes soon, for until then nothing is known; but a hundred of them do not come at once."""

_JITTER: Final = 0.1


@dataclass(frozen=True)
class Round:
    """every_s: on average, from the end of one turn to the start of the next; each pause is up to a tenth off."""

    every_s: float
    work: Work


class Rounds:
    """One task a round, told apart by keys."""

    def __init__(self, rng: random.Random, sleep: Sleep = asyncio.sleep) -> None:
        self._rng = rng
        self._sleep = sleep
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def follow(self, rounds: Mapping[Hashable, Round]) -> None:
        """Do these and no others; one whose key is known already goes on as it is. Needs the running event loop."""
        for key in self._tasks.keys() - rounds.keys():
            self._tasks.pop(key).cancel()
        for key in rounds.keys() - self._tasks.keys():
            self._tasks[key] = asyncio.get_running_loop().create_task(self._go_round(rounds[key]))

    def close(self) -> None:
        """Do no more."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _go_round(self, each: Round) -> None:
        await self._sleep(self._rng.uniform(0.0, min(each.every_s, _FIRST_WITHIN_S)))
        while True:
            try:
                await each.work()
            except Exception:
                # A fault of ours must not end the looking after, which nobody would notice.
                _log.exception("looking after an endpoint failed")
            await self._sleep(each.every_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER))
