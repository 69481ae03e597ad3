"""What a service answers beside its resources: reports and other operations, ordinary functions under a decorator.

    class PipelineReport(BaseModel): ...

    @report("reports/pipeline", query=Period, reply=PipelineReport)
    async def pipeline(session, query) -> PipelineReport:
        '''What is open, by stage.'''

    @operation("POST", "deals/{id}/convert", reply=deals.shape)
    async def convert(request) -> web.Response:
        '''Makes a draft invoice in finance of a deal.'''

Both go into `Service(operations=(pipeline, convert))`, which gives them their path under the service's name, and their
place in its OpenAPI document.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from upstream_services.kit.requests import reading
from upstream_services.kit.validation import Body, Query, read_body, read_query
from upstream_services.kit.views import json_reply, tagged_reply

Function = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A path of a service, relative to its name, with what the document says of it.

    `reply` None: no body (`status` 204), or one that is no JSON but of `media_type`. `is_open`: needs no tenant.
    `request_media_type`: of a body that the function reads itself.
    """

    method: str
    path: str
    function: Function
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    body: type[Body] | None = None
    query: type[Query] | None = None
    reply: type[BaseModel] | None = None
    status: int = 200
    media_type: str = "application/json"
    request_media_type: str | None = None
    is_open: bool = False

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or self.path).strip().partition("\n")[0]

    @property
    def name(self) -> str:
        """The function's name, which is the operation's in the document."""
        return self.function.__name__


def report(path: str, *, reply: type[BaseModel], query: type[Query] | None = None) -> Callable[[Function], Operation]:
    """Declares `GET /<service>/<path>`: `async def f(session)`, or `(session, query)`, that returns the reply's model.

    The session only reads, on a replica where there is one. The kit adds an ETag, and answers 304 to who has it.
    """

    def declare(function: Function) -> Operation:
        async def handler(request: web.Request) -> web.Response:
            arguments = (read_query(request, query),) if query is not None else ()
            async with reading(request) as session:
                told = await function(session, *arguments)
            return tagged_reply(request, told)

        return Operation(method="GET", path=path, function=function, handler=handler, query=query, reply=reply)

    return declare


def operation(
    method: str,
    path: str,
    *,
    body: type[Body] | None = None,
    query: type[Query] | None = None,
    reply: type[BaseModel] | None = None,
    status: int = 200,
    media_type: str = "application/json",
    request_media_type: str | None = None,
    is_open: bool = False,
) -> Callable[[Function], Operation]:
    """Declares any other path: `async def f(request)`, with the body and then the query where they are declared.

    It returns a response, or what JSON is made of. It opens its own transactions (`requests.transaction`).
    """

    def declare(function: Function) -> Operation:
        async def handler(request: web.Request) -> web.StreamResponse:
            arguments: list[Any] = []
            if body is not None:
                arguments.append(await read_body(request, body))
            if query is not None:
                arguments.append(read_query(request, query))
            told: web.StreamResponse | BaseModel | Mapping[str, Any] = await function(request, *arguments)
            return told if isinstance(told, web.StreamResponse) else json_reply(told, status=status)

        return Operation(
            method=method, path=path, function=function, handler=handler, body=body, query=query, reply=reply,
            status=status, media_type=media_type, request_media_type=request_media_type, is_open=is_open,
        )  # fmt: skip

    return declare
