"""TLS before the lanes: a connection is a lane's from the end of its handshake on.

Connections are accepted here and not by the event loop's server: so the handshakes under way are bounded, their
failures are counted, and new certificates are one attribute store, for connections that stand keep theirs.
"""

import asyncio
import logging
import socket
import ssl
import sys
from collections.abc import Callable

from gateway.observe.metrics import WorkerMetrics

# How long the rest of a reply, and the client's own closure alert, may take once the connection is being closed.
_CLOSE_TIMEOUT_S = 30.0
# Where the process has no descriptor left, say: until then others may have ended.
_ACCEPT_AGAIN_S = 0.1

_log = logging.getLogger("gateway")


def report_unraisable(found: "sys.UnraisableHookArgs") -> None:
    """For `sys.unraisablehook`. The `ssl` module reports a server name that is not ASCII there, with a traceback for
    whatever a client sends; its handshake has failed and is counted.
    """
    if not isinstance(found.exc_value, UnicodeDecodeError) or not isinstance(found.object, bytes):
        sys.__unraisablehook__(found)


class TlsListener:
    """lane: makes the protocol of a client connection. context: for the next handshake. handshakes_max: further clients
    are refused while so many are under way. handshake_timeout_s: for all of one, however it trickles.
    """

    def __init__(
        self,
        lane: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        loop: asyncio.AbstractEventLoop,
        metrics: WorkerMetrics,
        *,
        handshakes_max: int,
        handshake_timeout_s: float,
    ) -> None:
        self.context = context
        self._lane = lane
        self._loop = loop
        self._handshakes: set[asyncio.Task[None]] = set()
        self._handshakes_max = handshakes_max
        self._handshake_timeout_s = handshake_timeout_s
        self._accepting: asyncio.Task[None] | None = None
        self._outcomes = {
            outcome: metrics.counter(
                "gateway_tls_handshakes", "TLS handshakes of clients, by outcome.", outcome=outcome
            )
            for outcome in ("done", "failed", "timeout", "refused")
        }

    def start(self, listening: socket.socket) -> None:
        """Begin to accept. listening: a socket that listens; it is closed by `close`."""
        listening.setblocking(False)
        self._accepting = self._loop.create_task(self._accept(listening))

    async def close(self) -> None:
        """Accept no more, and end the handshakes under way: nothing has been asked there yet."""
        tasks = [*self._handshakes, *([self._accepting] if self._accepting is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        with listening:
            while True:
                try:
                    client, _ = await self._loop.sock_accept(listening)
                except ConnectionError:
                    continue
                except OSError as error:
                    _log.error("no connection can be accepted: %s", error.strerror)
                    await asyncio.sleep(_ACCEPT_AGAIN_S)
                    continue
                if len(self._handshakes) >= self._handshakes_max:
                    self._outcomes["refused"].inc()
                    client.close()
                    continue
                handshake = self._loop.create_task(self._shake_hands(client))
                self._handshakes.add(handshake)
                handshake.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._lane,
                client,
                ssl=self.context,
                ssl_handshake_timeout=self._handshake_timeout_s,
                ssl_shutdown_timeout=_CLOSE_TIMEOUT_S,
            )
        except OSError as error:
            # Of all that goes wrong, this alone is the loop's own doing.
            self._outcomes["timeout" if isinstance(error, ConnectionAbortedError) else "failed"].inc()
        else:
            self._outcomes["done"].inc()

    def __repr__(self) -> str:
        return f"<TlsListener handshakes={len(self._handshakes)}/{self._handshakes_max}>"
