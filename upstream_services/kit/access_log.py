"""The access log: one line of JSON a request, with the request id that came from the gateway."""

import json
import logging
import sys
from datetime import UTC, datetime

from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, StreamResponse

from upstream_services.kit.tenancy import TENANT_HEADER


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON; the fields of a request where the record has them."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, also for a traceback."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        line |= fields if fields is not None else {"message": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id of a W3C Trace Context header ("00-<trace id>-<parent id>-<flags>"); None for what is none."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None


class AccessLogger(AbstractAccessLogger):
    """Writes the line of a request when its reply has ended. `ms` is the time from head to end."""

    def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
        """Called by aiohttp with the seconds that the request took."""
        fields = {
            "request_id": request.headers.get("X-Request-Id"),
            "trace_id": trace_id_of(request.headers.get("traceparent")),
            "tenant": request.headers.get(TENANT_HEADER),
            "method": request.method,
            "path": request.path,
            "status": response.status,
            "bytes": response.body_length,
            "ms": round(time * 1000, 2),
        }
        self.logger.info("request", extra={"fields": fields})


def log_to_stderr() -> None:
    """Sends all logs of the process to standard error as JSON; standard output stays for the ready line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
