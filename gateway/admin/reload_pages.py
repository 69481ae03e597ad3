"""What the operators' listener takes to change the table in force: POST /reload and POST /rollback."""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import web

_STATUS: Final = {"swapped": 200, "unchanged": 200, "good": 200, "unknown_version": 404, "invalid": 422, "failed": 503}
_TITLES: Final = {
    "unknown_version": "No such table",
    "invalid": "The table is not valid",
    "failed": "The table is not served",
}


class TableControl(Protocol):
    """Changes the table. Both return `workers.reloading.Outcome` as a mapping."""

    async def reload(self, *, is_dry_run: bool, is_forced: bool) -> Mapping[str, Any]:
        """Serve the files as they are now, where they are good."""

    async def rollback(self, version: str | None) -> Mapping[str, Any]:
        """Serve an earlier table, None for the one before, until the files change."""


def add_reload_pages(app: web.Application, control: TableControl) -> None:
    """POST /reload (`?dry_run=1` judges only, `?force=1` also serves files that were gone back from) and POST
    /rollback (`?version=`). 200 with the version that is served then; else problem+json with every problem: 422 for a
    bad table, 404 for an unknown version, 503 where the workers cannot take it.
    """

    async def reload(request: web.Request) -> web.Response:
        _refuse_browsers(request)
        flags = {"is_dry_run": _flag(request, "dry_run"), "is_forced": _flag(request, "force")}
        return _reply(await control.reload(**flags))

    async def rollback(request: web.Request) -> web.Response:
        _refuse_browsers(request)
        return _reply(await control.rollback(request.query.get("version") or None))

    app.router.add_post("/reload", reload)
    app.router.add_post("/rollback", rollback)


def _refuse_browsers(request: web.Request) -> None:
    """A page that an operator has open may send a POST to any address; browsers then say whose page it is (Fetch
    standard, section 3.2).
    """
    if "Origin" in request.headers:
        raise web.HTTPForbidden


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "0") not in ("", "0", "false", "no")


def _reply(outcome: Mapping[str, Any]) -> web.Response:
    status = _STATUS[outcome["result"]]
    if status == 200:
        return web.json_response(dict(outcome))
    problem = {"type": "about:blank", "title": _TITLES[outcome["result"]], "status": status, **outcome}
    return web.Response(text=json.dumps(problem), status=status, content_type="application/problem+json")
