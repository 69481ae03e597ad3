"""Long work of a worker beside its requests, so that they do not notice it (decisions/0016)."""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SWITCH_S: Final = 0.0001

# How long such work has the event loop at a stretch, and how long it then leaves it alone: nobody waits for a table,
# but a request whose four turns of the loop find a stretch each is 1 ms late.
STRETCH_S: Final = 0.00025
PAUSE_S: Final = 0.001


class Turns:
    """Takes turns with everything else on the event loop."""

    def __init__(self) -> None:
        self._until_s = time.monotonic() + STRETCH_S

    async def pause(self) -> None:
        """Between any two steps: let others work, if it is their turn."""
        if time.monotonic() >= self._until_s:
            await asyncio.sleep(PAUSE_S)
            self._until_s = time.monotonic() + STRETCH_S


@contextmanager
def undisturbed(*, is_thorough: bool = False) -> Iterator[None]:
    """While a table is built beside requests: a thread that has the interpreter gives it up after 0.1 ms instead of 5,
    and the garbage collector waits. It never looks through the table later either (9 ms for 77 routes, 90 for 577, in
    one piece): a table that is gone is freed by its references.

    What is garbage in cycles at that time stays, until this is_thorough: then all that was ever left out is looked
    through, once.
    """
    interval_s, is_collecting = sys.getswitchinterval(), gc.isenabled()
    if is_thorough:
        gc.unfreeze()
        gc.collect()
    sys.setswitchinterval(SWITCH_S)
    gc.disable()
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.freeze()
        if is_collecting:
            gc.enable()
