"""What `gateway history` shows, and how `gateway rollback` asks a running gateway."""

import http.client
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

from gateway.workers.history import History
from gateway.workers.ports import address_text

_TIMEOUT_S = 60.0


def history_rows(history: History) -> list[dict[str, str]]:
    """The newest first: version, time (UTC) and what changed."""
    return [
        {
            "version": entry.version,
            "time": datetime.fromtimestamp(entry.time_s, UTC).isoformat(sep=" ", timespec="seconds"),
            "changes": entry.summary,
        }
        for entry in reversed(history.entries())
    ]


def ask_rollback(host: str, port: int, version: str | None) -> tuple[bool, str]:
    """Whether the gateway with that admin listener serves an earlier table now, and what to tell the operator."""
    # An admin listener on all addresses is on this machine's own as well.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    query = f"?{urlencode({'version': version})}" if version else ""
    try:
        connection.request("POST", f"/rollback{query}")
        reply = connection.getresponse()
        outcome = json.loads(reply.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return False, f"gateway rollback: no gateway answers at http://{address_text(host, port)}: {reason}"
    finally:
        connection.close()
    if reply.status != 200:
        problems = [problem["text"] for problem in outcome.get("problems", [])]
        return False, "\n".join([f"gateway rollback: {outcome.get('detail', reply.reason)}", *problems])
    return True, f"version {outcome['version']} is served: {outcome['detail']}"
