"""Calls to Redis that end in time: a deadline for each, and a breaker for all of them.

After a failure every call fails at once for a second, then one probe may go. Nothing is sent twice. A call that is
given up at its deadline runs on unheard, so that a connection that takes longer than a call is there for a later one.
"""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine, Sequence
from importlib.resources import files
from typing import Any, Final, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from gateway.plugin_api import StoreDown
from gateway.stores.redis_client import CONNECT_TIMEOUT_S, Client

T = TypeVar("T")

DEADLINE_S = 0.05
DOWN_FOR_S = 1.0
# Of one worker. Each takes a connection; more wait for one of these.
CALLS_AT_ONCE = 16
# A timer that fires this late says that the event loop was late, and perhaps not the store: then the answer may lie
# unread in the socket, and the call gets its deadline once more.
_LOOP_LATE_S = 0.01
_EXTENSIONS_MAX = 8
# Before version 7 a script's error has this in the middle, and no class of its own.
_FULL = "OOM command not allowed"

_log = logging.getLogger("gateway.stores")


class Script:
    """One of scripts/*.lua."""

    def __init__(self, name: str) -> None:
        self.text: Final = files("gateway.stores").joinpath(f"scripts/{name}.lua").read_text()
        self.sha: Final = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """what: the name of this use of Redis in the log. deadline_s: of each call, if not DEADLINE_S."""

    def __init__(self, client: Client, what: str, deadline_s: float | None = None) -> None:
        self._client = client
        self._what = what
        self._deadline_s = deadline_s
        self._is_down = False
        self._is_probing = False
        self._retry_at_s = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._slots = asyncio.Semaphore(CALLS_AT_ONCE)

    @property
    def is_down(self) -> bool:
        """Whether calls fail at once."""
        return self._is_down

    async def prepare(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> None:
        """As `run`, ahead: for as long as a connection may take, so that the first calls find it made. What fails
        shows at the first call.
        """
        task = asyncio.get_running_loop().create_task(self._run(script, keys, arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_forget)
        await asyncio.wait((task,), timeout=CONNECT_TIMEOUT_S)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """What the script returns. On a cluster all keys are in one slot. Raises StoreDown."""
        return await self.call(self._run(script, keys, arguments))

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns, within the deadline. Raises StoreDown."""
        async with self._slots:
            loop = asyncio.get_running_loop()
            if self._is_down:
                if self._is_probing or loop.time() < self._retry_at_s:
                    work.close()
                    raise StoreDown("the store did not answer lately")
                self._is_probing = True
            task = loop.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            deadline_s = DEADLINE_S if self._deadline_s is None else self._deadline_s
            for _ in range(_EXTENSIONS_MAX):
                due_s = loop.time() + deadline_s
                await asyncio.wait((task,), timeout=deadline_s)
                if task.done() or loop.time() - due_s <= _LOOP_LATE_S:
                    break
            if not task.done():
                task.add_done_callback(_forget)
                raise self._went_down(f"no answer within {deadline_s * 1000:.0f} ms")
            try:
                result = task.result()
            except Exception as error:
                if isinstance(error, ResponseError) and _FULL in str(error):
                    # It refuses what is new (deploy/redis/redis.conf), and still answers about the rest.
                    self._came_up()
                    raise StoreDown("the store is full") from None
                raise self._went_down(f"{type(error).__name__}: {error}") from None
            self._came_up()
            return result

    async def close(self) -> None:
        """End what is under way, and all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        try:
            return await self._client.evalsha(script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._client.eval(script.text, len(keys), *keys, *arguments)

    def _came_up(self) -> None:
        if self._is_down:
            _log.warning("%s is up again", self._what)
        self._is_down = self._is_probing = False

    def _went_down(self, reason: str) -> StoreDown:
        if not self._is_down:
            _log.warning("%s is down: %s", self._what, reason)
        self._is_down = True
        self._is_probing = False
        self._retry_at_s = asyncio.get_running_loop().time() + DOWN_FOR_S
        return StoreDown(reason)

    def __repr__(self) -> str:
        return f"<RedisLink {self._what} {'down' if self._is_down else 'up'}, {len(self._tasks)} calls under way>"


def _forget(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
