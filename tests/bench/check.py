"""Whether a proxy does the work at all, before anybody measures how fast."""

import gzip
import http.client

from tests.bench.work import Work

_TIMEOUT_S = 5.0


class CheckFailed(Exception):  # noqa: N818 - what happened to the check
    """The proxy's answer is not what the work is about."""


def request_headers(work: Work, credential: str) -> dict[str, str]:
    """What each request of the work carries beside Host."""
    headers = {}
    if work.entry == "gzip":
        headers["Accept-Encoding"] = "gzip"
    if work.callers:
        headers["Authorization"] = credential
    return headers


def check(work: Work, port: int, body: bytes, credential: str) -> int:
    """The right status and body, a request id, compressed where asked; a limit, and nothing without a good token.

    Returns the bytes of the body as it came. Raises CheckFailed.
    """
    headers = request_headers(work, credential)
    status, fields, received = _get(port, work.path, headers)
    if status != 200:
        raise CheckFailed(f"status {status} in place of 200")
    coding = fields.get("content-encoding", "identity")
    if (coding == "gzip") != (work.entry == "gzip"):
        raise CheckFailed(f"content-encoding {coding}")
    if (gzip.decompress(received) if coding == "gzip" else received) != body:
        raise CheckFailed(f"another body, of {len(received)} bytes")
    if "x-request-id" not in fields:
        raise CheckFailed("no request id")
    if work.callers:
        if not any("ratelimit" in name for name in fields):
            raise CheckFailed("nothing says that a limit is in force")
        head, _, signature = credential.rpartition(".")
        forged = f"{head}.{signature[::-1]}"
        for wrong in ({}, {**headers, "Authorization": forged}):
            status, _, _ = _get(port, work.path, wrong)
            if status != 401:
                raise CheckFailed(f"status {status} in place of 401, {'with a forged' if wrong else 'without a'} token")
    return len(received)


def _get(port: int, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        # http.client would add an Accept-Encoding of its own.
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise CheckFailed(f"no reply: {type(error).__name__}") from None
    finally:
        connection.close()
