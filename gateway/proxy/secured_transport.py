"""The transport of a connection to an upstream inside TLS, which stops reading the socket where it stops reading."""

import asyncio
import ssl
from typing import Any


class SecuredTransport(asyncio.Transport):
    """`inner` is TLS's transport, `outer` the socket's below it.

    TLS alone goes on reading the socket while its reader is paused. An end of the stream that comes meanwhile ends the
    connection, and what TLS still held back is lost: for a slow client, the last 256 KiB of a reply.
    """

    def __init__(self, inner: asyncio.Transport, outer: asyncio.Transport) -> None:
        super().__init__()
        self._inner = inner
        self._outer = outer
        self.write = inner.write  # type: ignore[method-assign]  # no call in between: it is what is called most
        self.writelines = inner.writelines  # type: ignore[method-assign]

    def pause_reading(self) -> None:
        """Take nothing more, from the socket either."""
        self._inner.pause_reading()
        if not self._outer.is_closing():
            self._outer.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if not self._outer.is_closing():
            self._outer.resume_reading()
        self._inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of TLS's transport."""
        return self._inner.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another reader."""
        self._inner.set_protocol(protocol)

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._inner.is_closing()

    def get_write_buffer_size(self) -> int:
        """Bytes that have not left yet."""
        return self._inner.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """TLS has no half of an end."""
        return False

    def close(self) -> None:
        """End in order: what was written leaves, then the closure alert."""
        # The other side's closure alert has to be seen, or the close waits for its time limit.
        if not self._outer.is_closing():
            self._outer.resume_reading()
        self._inner.close()

    def abort(self) -> None:
        """End at once."""
        self._inner.abort()

    def __repr__(self) -> str:
        return f"<SecuredTransport {'closing' if self.is_closing() else 'open'}>"


async def secure(
    loop: asyncio.AbstractEventLoop,
    outer: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    name: str,
) -> SecuredTransport:
    """TLS as the client over a connection that stands. name: whom the other side has to prove to be.

    protocol is not told; it gets what is read. Raises OSError, of which ssl.SSLError.
    """
    inner = await loop.start_tls(outer, protocol, context, server_hostname=name)
    if inner is None or inner.is_closing():
        raise ConnectionResetError("the connection was closed amid the handshake")
    return SecuredTransport(inner, outer)
