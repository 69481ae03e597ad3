"""Every error of a service is RFC 9457 problem+json: `type, title, status, detail, code, request_id, errors`.

`errors`, for input, is a list of `{"field": "lines.0.quantity", "message": "..."}`: a form can show each at its field.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from asyncpg import DataError, InterfaceError, PostgresError
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

log = logging.getLogger(__name__)

FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"
DATA_CLASS = "22"  # a value that PostgreSQL's type cannot hold
# SQLSTATE classes of a database that is away, shutting down, overloaded or that chose this transaction as a deadlock's
# victim.
UNAVAILABLE_CLASSES = ("08", "40", "53", "55", "57")

# What a statement raises; while it connects, the driver's own errors come through.
DATABASE_ERRORS = (OSError, SQLAlchemyError, PostgresError, InterfaceError)


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer that is an error. `code` is stable and for programs, `detail` is for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = errors, headers


def invalid(field: str, message: str) -> Problem:
    """422 for one input field."""
    return Problem(422, "invalid", f"{field}: {message}", errors=[{"field": field, "message": message}])


@contextmanager
def within(place: str) -> Iterator[None]:
    """Puts `place` before the fields that a problem names: those of one item of many."""
    try:
        yield
    except Problem as problem:
        errors = [{**error, "field": f"{place}.{error['field']}"} for error in problem.errors]
        detail = f"{place}: {problem.detail}"
        raise Problem(problem.status, problem.code, detail, errors=errors, headers=problem.headers) from None


def not_found(what: str) -> Problem:
    """404; also the answer for a row of another tenant, which must look like a row that never was."""
    return Problem(404, "not_found", f"there is no such {what}")


def conflict(detail: str, code: str = "conflict") -> Problem:
    """409: the request is well formed but the record is in a state that forbids it."""
    return Problem(409, code, detail)


def problem_reply(request: web.BaseRequest, problem: Problem) -> web.Response:
    """The HTTP form of a problem."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request.headers.get("X-Request-Id"),
    }
    if problem.errors:
        body["errors"] = list(problem.errors)
    return web.Response(
        status=problem.status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers=problem.headers,
    )


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _of_integrity(error: IntegrityError) -> Problem | None:
    """The races that the rules of a resource cannot see: the database's own constraints have the last word."""
    state = _sqlstate(error)
    constraint = getattr(getattr(error.orig, "__cause__", None), "constraint_name", None) or ""
    if state == FOREIGN_KEY_VIOLATION:
        return conflict("other records refer to this one, or it refers to one that is gone", "in_use")
    if state == UNIQUE_VIOLATION:
        field = constraint.rpartition("_unique_")[2] or "value"
        return Problem(
            409, "not_unique", f"{field} is already taken", errors=[{"field": field, "message": "is already taken"}]
        )
    return None


def is_unavailable(error: BaseException) -> bool:
    """Whether an exception says that the database is away, rather than that something is wrong with what was asked."""
    match error:
        case DBAPIError():
            return error.connection_invalidated or _sqlstate(error)[:2] in UNAVAILABLE_CLASSES
        case PostgresError():  # raised by the driver itself, while it connects
            return (error.sqlstate or "")[:2] in UNAVAILABLE_CLASSES
        case PoolTimeoutError() | OSError() | InterfaceError():  # TimeoutError is an OSError
            return True
    return False


def _unavailable(detail: str) -> Problem:
    return Problem(503, "database_unavailable", detail, headers={"Retry-After": "1"})


def problem_of(error: Exception) -> Problem | None:
    """The problem that stands for an exception; None for one that is a defect of the service (a 500)."""
    match error:
        case Problem():
            return error
        case web.HTTPException():
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            code = error.reason.lower().replace(" ", "_")
            return Problem(error.status, code, error.text or error.reason, headers=allow)
        case IntegrityError():
            return _of_integrity(error)
        case DBAPIError() if _sqlstate(error)[:2] == DATA_CLASS or isinstance(error.orig.__cause__, DataError):
            return Problem(422, "invalid", "a value is out of the range that can be kept")
        case DBAPIError() if is_unavailable(error):
            return _unavailable("the database does not answer")
        case PoolTimeoutError():
            return _unavailable("all database connections are busy")
        case OSError():  # TimeoutError is one
            return _unavailable("the database did not answer in time")
        case PostgresError() | InterfaceError() if is_unavailable(error):
            return _unavailable("the database does not answer")
    return None


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into problem+json, and keeps tracebacks in the log."""
    try:
        return await handler(request)
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            log.exception("%s %s failed", request.method, request.path)
            problem = Problem(500, "internal_error", "the service failed; the log of this request id says why")
        elif isinstance(error, web.HTTPException) and error.status < 400:
            raise
        return problem_reply(request, problem)
