"""Conditional requests on single resources (RFC 9110, section 13): ETag, If-None-Match, If-Match."""

from aiohttp import web

from upstream_services.kit.errors import Problem
from upstream_services.kit.model import Row


def etag_value(row: Row) -> str:
    """The opaque part of a row's strong ETag: any write changes the version, so equal tags mean equal replies."""
    return f"{row.id.hex}-{row.version}"


def etag_header(row: Row) -> str:
    """The ETag field of a row."""
    return f'"{etag_value(row)}"'


def is_not_modified(request: web.Request, row: Row) -> bool:
    """Whether If-None-Match says that the client has this version (weak comparison, RFC 9110 section 13.1.2)."""
    tags = request.if_none_match
    return tags is not None and any(tag.value in ("*", etag_value(row)) for tag in tags)


def require_match(request: web.Request, row: Row) -> None:
    """Raises a 412 problem where If-Match names another version.

    A weak tag is accepted although section 13.1.1 wants the strong comparison: a proxy that compresses replies weakens
    our tags on the way out, and the version in it still names one state of the row.
    """
    tags = request.if_match
    if tags is not None and not any(tag.value in ("*", etag_value(row)) for tag in tags):
        raise Problem(412, "version_mismatch", "the record has changed since you read it")
