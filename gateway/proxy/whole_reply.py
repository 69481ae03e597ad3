"""Head and body of a reply that is all here, as bytes for a client's connection.

The header lines of a kept reply are a block that many replies have in common, within a second. Its head is written once
and remembered with the block; of the next replies only the request id and the times are written anew, which saves two
thirds of a head of eleven lines.
"""

from typing import Final

from gateway.core.headers import HeaderBlock
from gateway.core.milliseconds import milliseconds
from gateway.plugin_api import Exchange, Reply
from gateway.proxy.heads import has_no_body, reply_head

_ID: Final = b"\r\nx-request-id: "


def whole_reply(reply: Reply, exchange: Exchange, body: bytes, *, now_s: float, keep_alive: bool) -> bytes:
    """For a client of HTTP/1.1; `exchange.bytes_out` is counted. body: the reply's. now_s: monotonic clock."""
    block = reply.headers.block
    if (
        block is not None
        and keep_alive
        and exchange.method == "GET"
        and reply.length is None
        and reply.trailers is None
    ):
        returned = block.returned
        if returned is not None:
            exchange.bytes_out = len(body)
            total_ms, total_rest = milliseconds(now_s - exchange.started_s)
            upstream_ms, upstream_rest = milliseconds(exchange.upstream_s)
            varying = (
                f"{exchange.request_id}\r\nserver-timing: total;dur={total_ms}{total_rest}"
                f", upstream;dur={upstream_ms}{upstream_rest}\r\n\r\n"
            )
            return b"".join((returned, varying.encode(), body))
    head, _ = reply_head(reply, exchange, now_s=now_s, is_http10=False, keep_alive=keep_alive)
    if has_no_body(reply.status, exchange.method):
        return head
    exchange.bytes_out = len(body)
    if block is not None and keep_alive:
        _remember(block, reply, head)
    return head + body


def _remember(block: HeaderBlock, reply: Reply, head: bytes) -> None:
    # Without a Date of its own the reply gets one, which is another one each second.
    if b"date" in block.index and reply.length is None and reply.trailers is None:
        block.returned = head[: head.rindex(_ID) + len(_ID)]
