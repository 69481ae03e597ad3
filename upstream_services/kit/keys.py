"""What an application carries."""

import asyncio

from aiohttp import ClientSession, web

from upstream_services.kit.changes import ChangeFeed
from upstream_services.kit.database import Database
from upstream_services.kit.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
CHANGES = web.AppKey("changes", ChangeFeed)
HTTP_CLIENT = web.AppKey("http_client", ClientSession)
DRAINING = web.AppKey("draining", asyncio.Event)
