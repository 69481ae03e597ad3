"""An attempt that the upstream failed, as the forwarder judges it."""

from collections.abc import Sequence

from gateway.core.errors import ErrorKind, GatewayError
from gateway.core.headers import HeaderLine


class UpstreamError(GatewayError):
    """An attempt that the upstream failed.

    cause: as operators list it under `retry.on`. is_sent: whether the request may have reached the upstream. is_stale:
    the connection was pooled and ended before a byte of reply came, as if it had been closed while it was idle.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        cause: str,
        *,
        is_sent: bool = True,
        is_stale: bool = False,
        headers: Sequence[HeaderLine] = (),
    ) -> None:
        super().__init__(kind, detail, headers=headers)
        self.cause = cause
        self.is_sent = is_sent
        self.is_stale = is_stale
