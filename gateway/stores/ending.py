"""Ends the tasks that run beside requests for as long as a store is open."""

import asyncio
from typing import Any

# Longer than one that was cancelled may take to say good-bye.
AGAIN_S = 3.0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel them until all have ended, however they do.

    redis-py writes with `asyncio.wait_for`, and the one of Python 3.11 forgets a cancellation that comes just as it
    ends. A task that goes round and round would then go on for ever, and so would the end of the worker.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
