"""What an application carries."""

import asyncio
from contextvars import ContextVar

from aiohttp import ClientSession, web

from upstream_services.kit.changes import ChangeFeed
from upstream_services.kit.database import Database
from upstream_services.kit.settings import Settings


class InFlight:
    """Counts what is running; a `with` block is one more."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<InFlight {self._count}>"

    def __enter__(self) -> None:
        self._count += 1
        self._idle.clear()

    def __exit__(self, *_error: object) -> None:
        self._count -= 1
        if self._count == 0:
            self._idle.set()

    async def ended(self) -> None:
        """Waits until nothing runs."""
        await self._idle.wait()


SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
CHANGES = web.AppKey("changes", ChangeFeed)
HTTP_CLIENT = web.AppKey("http_client", ClientSession)
DRAINING = web.AppKey("draining", asyncio.Event)
IN_FLIGHT = web.AppKey("in_flight", InFlight)
# Of the request that is running: it is not to be read from a replica.
PRIMARY_ONLY: ContextVar[bool] = ContextVar("primary_only", default=False)
