"""`batch`: many requests in one.

`POST {"requests": [{"id": 1, "method": "GET", "path": "/api/…", "headers": {}, "body": …}]}` runs each part through the
whole pipeline in this process, as if the same caller had sent it alone: its route, its limits, its errors. The answer
is `{"responses": [{"id", "status", "headers", "body"}]}` in the order of the requests. A part that fails, is refused or
comes too late has its own status; the others stay whole. `gateway/core/batch_parts.py` reads and writes the JSON.
"""

import asyncio
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from gateway.core import errors
from gateway.core.batch_parts import BatchInvalid, Part, PartReply, join_replies, problem_reply, read_parts
from gateway.core.errors import GatewayError
from gateway.core.headers import Headers
from gateway.core.scalars import Duration, Settings
from gateway.plugin_api import Exchange, Plugin, PluginServices, Reply, RouteInfo, Stage

BODY_MAX = 1 << 20
# Checking this much JSON takes the event loop about a millisecond; more goes to a thread.
_INLINE_MAX = 128 << 10


class BatchSettings(Settings):
    """How much one batch may ask for."""

    max: Annotated[int, Field(ge=1, le=100)] = Field(default=20, description="Parts in one batch")
    parallel: Annotated[int, Field(ge=1, le=100)] = Field(default=8, description="Parts that run at once")
    deadline: Annotated[Duration, Field(gt=0)] = Field(default=10.0, description="For all parts together")


class Batch(Plugin):
    """Answers with the replies of the parts."""

    name = "batch"
    stage = Stage.LOCAL
    Policy = BatchSettings
    is_answering = True

    def __init__(self, policy: BatchSettings, route: RouteInfo, services: PluginServices) -> None:
        self._policy = policy
        self._services = services

    async def on_request(self, exchange: Exchange) -> Reply:
        """Run the parts. Raises GatewayError where the batch as a whole cannot be."""
        if exchange.parent is not None:
            raise GatewayError(errors.BATCH_PART_REFUSED, "A batch cannot be part of a batch.")
        if exchange.method != "POST":
            raise GatewayError(errors.METHOD_NOT_ALLOWED, "A batch is a POST.", headers=[(b"allow", b"POST")])
        body = await _read_body(exchange)
        try:
            if len(body) > _INLINE_MAX:
                parts = await self._services.run_in_thread(read_parts, body, self._policy.max)
            else:
                parts = read_parts(body, self._policy.max)
        except BatchInvalid as reason:
            raise GatewayError(errors.BATCH_INVALID, f"{reason}.") from None
        replies: list[PartReply | None] = [None] * len(parts)
        runnable = []
        for index, (_, part) in enumerate(parts):
            if isinstance(part, Part):
                runnable.append((index, part))
            else:
                replies[index] = problem_reply(errors.BATCH_PART_REFUSED, f"{part}.", _part_id(exchange, index))
        await self._run_all(exchange, runnable, replies)
        late = f"The batch has {self._policy.deadline:g} s for all its parts."
        answers = [
            (part_id, reply or problem_reply(errors.BATCH_DEADLINE, late, _part_id(exchange, index)))
            for index, ((part_id, _), reply) in enumerate(zip(parts, replies, strict=True))
        ]
        exchange.verdicts["batch"] = f"{len(parts) - replies.count(None)}/{len(parts)}"
        if sum(len(reply.body) for _, reply in answers) > _INLINE_MAX:
            joined = await self._services.run_in_thread(join_replies, answers)
        else:
            joined = join_replies(answers)
        headers = Headers([(b"content-type", b"application/json"), (b"cache-control", b"no-store")])
        return Reply(200, headers, joined)

    async def _run_all(
        self, exchange: Exchange, parts: list[tuple[int, Part]], replies: list[PartReply | None]
    ) -> None:
        if not parts:
            return
        queue = iter(parts)
        runners = [
            asyncio.create_task(self._run_next(exchange, queue, replies))
            for _ in range(min(self._policy.parallel, len(parts)))
        ]
        try:
            await asyncio.wait(runners, timeout=self._policy.deadline)
        finally:
            # Also where the client has gone: nothing of the batch runs on without it.
            for runner in runners:
                runner.cancel()
            await asyncio.gather(*runners, return_exceptions=True)

    async def _run_next(
        self, exchange: Exchange, queue: Iterator[tuple[int, Part]], replies: list[PartReply | None]
    ) -> None:
        for index, part in queue:
            child = self._child(exchange, index, part)
            try:
                reply = await self._services.dispatch(child)
                body = reply.body if isinstance(reply.body, bytes) else b""
                replies[index] = PartReply(reply.status, tuple(reply.headers), body)
            except GatewayError as error:
                replies[index] = problem_reply(error.kind, error.detail, child.request_id)
            except Exception:
                self._services.log.exception("a part of a batch failed", extra={"request_id": child.request_id})
                kind = errors.INTERNAL_ERROR
                replies[index] = problem_reply(kind, kind.title, child.request_id)

    def _child(self, exchange: Exchange, index: int, part: Part) -> Exchange:
        headers = Headers(part.lines)
        for name in (b"host", b"authorization"):
            value = exchange.headers.get(name)
            if value is not None:
                headers.add(name, value)
        if part.body:
            headers.add(b"content-length", b"%d" % len(part.body))
        child = Exchange(
            method=part.method,
            target=part.target,
            headers=headers,
            body=part.body,
            scheme=exchange.scheme,
            authority=exchange.authority,
            peer_ip=exchange.peer_ip,
            client_ip=exchange.client_ip,
            is_trusted_peer=exchange.is_trusted_peer,
            request_id=_part_id(exchange, index),
            traceparent=exchange.traceparent,
            started_s=self._services.monotonic(),
            parent=exchange,
        )
        child.identity = exchange.identity
        child.bytes_in = len(part.body)
        return child


def _part_id(exchange: Exchange, index: int) -> str:
    return f"{exchange.request_id}.{index + 1}"


async def _read_body(exchange: Exchange) -> bytes:
    body = exchange.body
    if isinstance(body, bytes):
        if len(body) > BODY_MAX:
            raise _too_large()
        return body
    if body.length is not None and body.length > BODY_MAX:
        raise _too_large()
    pieces = []
    size = 0
    while piece := await body.read():
        size += len(piece)
        if size > BODY_MAX:
            raise _too_large()
        pieces.append(piece)
    return b"".join(pieces)


def _too_large() -> GatewayError:
    return GatewayError(errors.BODY_TOO_LARGE, f"A batch may have {BODY_MAX} bytes.", close=True)
