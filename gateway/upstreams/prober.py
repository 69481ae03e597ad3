"""One probe: a GET over a connection of its own, so that a full pool or a kept connection that died says nothing of the
endpoint's health.
"""

import asyncio
import ssl
from typing import Final

from gateway.core.health import HealthRule
from gateway.upstreams.endpoint import Endpoint

_LINE_MAX: Final = 4096


async def probe(endpoint: Endpoint, rule: HealthRule) -> str:
    """What is wrong with the endpoint, in an operator's words; "" where it answers 200 to 399 in time."""
    try:
        async with asyncio.timeout(rule.timeout_s):
            return await _ask(endpoint, rule.path)
    except TimeoutError:
        return f"no answer within {rule.timeout_s:g} s"
    except ssl.SSLError as error:
        return f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or error}"
    except ConnectionRefusedError:
        return "connection refused"
    except OSError as error:
        return f"no connection: {error.strerror or type(error).__name__}"
    except ValueError:
        return "its answer is no HTTP"


async def _ask(endpoint: Endpoint, path: str) -> str:
    """Raises OSError, TimeoutError or ValueError where there is no answer."""
    server_name = endpoint.server_name if endpoint.tls is not None else None
    reader, writer = await asyncio.open_connection(
        endpoint.next_address(), endpoint.port, ssl=endpoint.tls, server_hostname=server_name, limit=_LINE_MAX
    )
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {endpoint.name}\r\nUser-Agent: gateway-probe\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n".encode()
        )
        line = await reader.readline()
    finally:
        writer.transport.abort()
    if not line:
        return "it closed the connection without an answer"
    version, _, rest = line.partition(b" ")
    status = int(rest[:3])
    if not version.startswith(b"HTTP/1.") or not 100 <= status <= 599:
        raise ValueError(line)
    return "" if 200 <= status < 400 else f"status {status}"
