"""The operators' listener: ordinary aiohttp.web, and the only place of the gateway where it is used.

It has no authentication: bind it to an address that only operators and Prometheus reach.
"""

import html
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from gateway.admin.cache_pages import cache_rows, read_purge
from gateway.admin.reload_pages import TableControl, add_reload_pages
from gateway.admin.upstream_pages import Reports, upstream_rows
from gateway.observe.metrics_reader import CONTENT_TYPE

_PROBLEM = "application/problem+json"


class AdminView(TableControl, Protocol):
    """What the pages show; asked anew for every request."""

    def reasons_not_ready(self) -> Sequence[str]:
        """Why no request should be sent here, in an operator's words; empty: ready."""

    def metrics_text(self) -> bytes:
        """The Prometheus text format."""

    def routes(self) -> Sequence[Mapping[str, object]]:
        """A row a route; all rows have the same keys, the columns."""

    def config(self) -> Mapping[str, object]:
        """The table in force as JSON data, its secrets redacted; under `status` its version, and the last attempt to
        serve another one.
        """

    def samples(self, name: str) -> Sequence[tuple[Mapping[str, str], float]]:
        """The counters of that name, all workers added up: labels and value of each series."""

    async def upstreams(self) -> tuple[Reports, int]:
        """What each worker sees of the endpoints, and how many workers did not say."""

    async def explain(self, query: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """What becomes of a request under the table in force. query: names and values of `/explain`. Raises ValueError
        where that is no request.
        """

    async def purge(self, purge: Mapping[str, Any]) -> str:
        """Drop kept replies everywhere; purge: `core.kept_replies.Purge` as a mapping. Returns why that is not done
        yet, "" where it is.
        """


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_admin_app(view: AdminView) -> web.Application:
    """/healthz: 200 while the process lives. /readyz: 200, or 503 with the reasons. /metrics, /config, /routes,
    /upstreams and /cache (text tables where `Accept: text/plain` asks for it), /explain?method=GET&url=/a/path,
    POST /cache/purge, those of `reload_pages.py`, and / listing them. Errors are problem+json (RFC 9457).
    """

    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(request: web.Request) -> web.Response:
        reasons = list(view.reasons_not_ready())
        if not reasons:
            return web.json_response({"status": "ready"})
        return _problem(503, "Not ready", "; ".join(reasons), reasons=reasons)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=view.metrics_text(), headers={"Content-Type": CONTENT_TYPE})

    async def config(request: web.Request) -> web.Response:
        return web.json_response(view.config())

    async def routes(request: web.Request) -> web.Response:
        return _table(request, "routes", view.routes())

    async def cache(request: web.Request) -> web.Response:
        return _table(request, "cache", cache_rows(view.samples))

    async def upstreams(request: web.Request) -> web.Response:
        reports, silent = await view.upstreams()
        # Half of it is worth showing, for who looks here has trouble; but as what it is.
        return _table(request, "upstreams", upstream_rows(reports), workers_without_answer=silent)

    async def purge(request: web.Request) -> web.Response:
        try:
            wanted = read_purge(await request.read())
        except ValueError as error:
            return _problem(400, "Not a purge", str(error))
        failure = await view.purge(wanted._asdict())
        if failure:
            return _problem(503, "Not purged everywhere yet", failure)
        return web.json_response({"purged": wanted._asdict()})

    async def explain(request: web.Request) -> web.Response:
        try:
            return web.json_response(await view.explain({name: request.query.getall(name) for name in request.query}))
        except ValueError as error:
            return _problem(400, "Not a request", str(error))

    async def index(request: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")

    app = web.Application(middlewares=[_problems])
    app.router.add_get("/", index)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/config", config)
    app.router.add_get("/routes", routes)
    app.router.add_get("/upstreams", upstreams)
    app.router.add_get("/cache", cache)
    app.router.add_get("/explain", explain)
    app.router.add_post("/cache/purge", purge)
    add_reload_pages(app, view)
    return app


def _table(request: web.Request, name: str, rows: Sequence[Mapping[str, object]], **remarks: int) -> web.Response:
    """remarks: what else is to be said; in a text table only where it is not 0."""
    if request.headers.get("Accept", "").startswith("text/plain"):
        said = "".join(f"{key.replace('_', ' ')}: {value}\n" for key, value in remarks.items() if value)
        return web.Response(text=text_table(rows) + said)
    return web.json_response({name: [dict(row) for row in rows], **remarks})


def text_table(rows: Sequence[Mapping[str, object]]) -> str:
    """The rows under the names of their columns, in columns as wide as their widest cell; "" without rows."""
    if not rows:
        return ""
    cells = [[str(name).upper() for name in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join("  ".join(map(str.ljust, line, widths)).rstrip() + "\n" for line in cells)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        value = [f"{name} {part}" for name, part in value.items()]
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return _problem(error.status, error.reason, f"{request.method} {request.path}: see / for the pages", headers)


def _problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **members: object
) -> web.Response:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return web.Response(text=json.dumps(problem), status=status, headers=headers, content_type=_PROBLEM)


_PAGES = {
    "/healthz": "200 while the gateway's supervisor lives",
    "/readyz": "200 when requests may be sent here, else 503 with the reasons",
    "/metrics": "for Prometheus, all workers added up",
    "/config": "the route table in force, secrets redacted; its version and the last reload under status",
    "/routes": "every route; a text table for Accept: text/plain",
    "/upstreams": "every endpoint as the workers see it, and why; a text table for Accept: text/plain",
    "/cache": "what the cache did by route; a text table for Accept: text/plain",
}

_INDEX = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Gateway: admin</title>\n<h1>Gateway</h1>\n<ul>\n'
    + "".join(f'<li><a href="{path}">{path}</a> {html.escape(text)}</li>\n' for path, text in _PAGES.items())
    + "</ul>\n</html>\n"
)
