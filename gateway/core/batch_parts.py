"""The JSON of a batch: its parts read and checked, their replies joined.

What may not stand in a part is what would let it pass for somebody else, reach somewhere else, or be framed otherwise
than the batch it came in.
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from gateway.core.errors import ErrorKind
from gateway.core.headers import HeaderLine, Headers, is_field_value, is_token
from gateway.core.owned_headers import is_part_of_message, is_set_by_gateway
from gateway.core.paths import PathNotCanonical, normal_form

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
TARGET_MAX = 8192
HEADERS_MAX = 16 << 10
ID_MAX = 128

_KEYS = frozenset({"id", "method", "path", "headers", "body"})
_VISIBLE = re.compile(r"[\x21-\x7e]+")
# The caller is the caller of the batch. Replies are put into JSON, so they may not be compressed.
_FROM_BATCH_ONLY = frozenset({b"authorization", b"cookie", b"accept-encoding"})
# What the operators' listener serves is never asked for in a batch, whatever routes there are.
_ADMIN_PATHS = frozenset({"/metrics", "/healthz", "/readyz", "/config", "/routes"})


class BatchInvalid(ValueError):  # noqa: N818 - names the state of the batch
    """The batch cannot be read; the message names the place, such as `requests[3].path`."""


class PartRefused(ValueError):  # noqa: N818 - names the state of the part
    """One part asks for what a part may not; the others run."""


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch. target: origin form. lines: its headers, names in lower case. body: encoded."""

    id: str | int
    method: str
    target: str
    lines: tuple[HeaderLine, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class PartReply:
    """What came of a part, its body whole."""

    status: int
    lines: tuple[HeaderLine, ...]
    body: bytes


def read_parts(body: bytes, parts_max: int) -> list[tuple[str | int, Part | PartRefused]]:
    """The parts in order with their ids, or why one is refused. Raises BatchInvalid where the whole cannot be run."""
    batch = _load(body)
    if not isinstance(batch, dict) or not isinstance(batch.get("requests"), list):
        raise BatchInvalid('the body must be {"requests": [...]}')
    if unknown := sorted(batch.keys() - {"requests"}):
        raise BatchInvalid(f"{_shown(unknown[0])} is not a key of a batch; it has requests only")
    requests: list[Any] = batch["requests"]
    if not requests:
        raise BatchInvalid("requests is empty")
    if len(requests) > parts_max:
        raise BatchInvalid(f"requests has {len(requests)} parts; at most {parts_max} are taken")
    parts: dict[tuple[type, str | int], tuple[str | int, Part | PartRefused]] = {}
    for index, request in enumerate(requests):
        where = f"requests[{index}]"
        _check_shape(request, where)
        part_id = request["id"]
        if (type(part_id), part_id) in parts:
            raise BatchInvalid(f"{where}.id: {json.dumps(part_id)} stands twice")
        try:
            parts[type(part_id), part_id] = part_id, _read_part(request, where)
        except PartRefused as reason:
            parts[type(part_id), part_id] = part_id, reason
    return list(parts.values())


def _load(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise BatchInvalid("the body is nested too deep") from None
    except ValueError as error:
        raise BatchInvalid(f"the body is not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_shape(request: Any, where: str) -> None:
    if not isinstance(request, dict):
        raise BatchInvalid(f"{where} must be an object")
    if unknown := sorted(request.keys() - _KEYS):
        raise BatchInvalid(
            f"{where}: {_shown(unknown[0])} is not a key of a part; known are {', '.join(sorted(_KEYS))}"
        )
    part_id = request.get("id")
    if isinstance(part_id, bool) or not isinstance(part_id, str | int) or len(str(part_id)) > ID_MAX:
        raise BatchInvalid(f"{where}.id must be a text or a whole number of at most {ID_MAX} characters")
    if not isinstance(request.get("method", "GET"), str):
        raise BatchInvalid(f"{where}.method must be a text")
    if not isinstance(request.get("path"), str):
        raise BatchInvalid(f"{where}.path must be a text")
    headers = request.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise BatchInvalid(f"{where}.headers must be an object of texts")


def _read_part(request: dict[str, Any], where: str) -> Part:
    method = request.get("method", "GET")
    if method not in METHODS:
        raise PartRefused(f"{where}.method: a part may be {', '.join(sorted(METHODS))}")
    target = request["path"]
    _check_target(target, where)
    lines = [_read_line(name, value, f"{where}.headers") for name, value in request.get("headers", {}).items()]
    names = [name for name, _ in lines]
    if len(set(names)) != len(names):
        raise PartRefused(f"{where}.headers: a name stands twice")
    if sum(len(name) + len(value) for name, value in lines) > HEADERS_MAX:
        raise PartRefused(f"{where}.headers have more than {HEADERS_MAX} bytes")
    body = b""
    if request.get("body") is not None:
        if method in ("GET", "HEAD"):
            raise PartRefused(f"{where}.body: a {method} has none")
        body = _encode_body(request["body"], Headers(lines).get(b"content-type"), where)
        if b"content-type" not in names:
            lines.append((b"content-type", b"application/json"))
    return Part(request["id"], method, target, tuple(lines), body)


def _check_target(target: str, where: str) -> None:
    if not target.startswith("/") or target.startswith("//"):
        raise PartRefused(f"{where}.path must start with one slash: a part goes where the batch went")
    if len(target) > TARGET_MAX:
        raise PartRefused(f"{where}.path is longer than {TARGET_MAX} characters")
    # On a connection the parser sees to this; a part must not bring a line break into the upstream's request.
    if not _VISIBLE.fullmatch(target) or "#" in target:
        raise PartRefused(f"{where}.path has characters that must be percent-encoded")
    if _is_admin_path(target.partition("?")[0]):
        raise PartRefused(f"{where}.path: the operators' pages cannot be asked for in a batch")


def _is_admin_path(raw_path: str) -> bool:
    try:
        return normal_form(raw_path).removesuffix("/") in _ADMIN_PATHS
    except PathNotCanonical:
        # The part's own exchange ends with the error that it would get alone.
        return False


def _read_line(name: str, value: str, where: str) -> HeaderLine:
    line = _encode(name, where).lower(), _encode(value, where)
    if not is_token(line[0]):
        raise PartRefused(f"{where}: {_shown(name)} is not a header name")
    if is_part_of_message(line[0]) or is_set_by_gateway(line[0]) or line[0].replace(b"_", b"-") in _FROM_BATCH_ONLY:
        raise PartRefused(f"{where}: {name} cannot be given by a part")
    if not is_field_value(line[1]):
        raise PartRefused(f"{where}.{name} has line breaks, control characters or blanks at its ends")
    return line


def _encode_body(body: Any, content_type: bytes | None, where: str) -> bytes:
    if content_type is None or _is_json(content_type):
        return json.dumps(body, separators=(",", ":")).encode()
    if not isinstance(body, str):
        raise PartRefused(f"{where}.body must be a text, since its content-type is not JSON")
    return _encode(body, f"{where}.body")


def _encode(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise PartRefused(f"{where} has half of a surrogate pair, which is no character") from None


def _is_json(content_type: bytes) -> bool:
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type == b"application/json" or media_type.endswith(b"+json")


def _shown(text: str) -> str:
    return json.dumps(text if len(text) <= 40 else text[:40] + "…")


def problem_reply(kind: ErrorKind, detail: str, request_id: str) -> PartReply:
    """A part's own problem+json (RFC 9457), where it had no exchange that could have made one."""
    problem = {
        "type": f"urn:gateway:error:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": kind.code,
        "source": kind.source.value,
        "route": None,
        "request_id": request_id,
    }
    return PartReply(kind.status, ((b"content-type", b"application/problem+json"),), json.dumps(problem).encode())


def join_replies(replies: list[tuple[str | int, PartReply]]) -> bytes:
    """The answer to the batch.

    A JSON body stands as it is, to the digit; text as a text; anything else in base64, with `"encoding": "base64"`; no
    body as null. Lines of one name are joined by commas (RFC 9110 section 5.3), but Set-Cookie, which is a list.
    """
    return b'{"responses":[' + b",".join(_reply_json(part_id, reply) for part_id, reply in replies) + b"]}"


def _reply_json(part_id: str | int, reply: PartReply) -> bytes:
    headers: dict[str, Any] = {}
    content_type = b""
    for name, value in reply.lines:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if name == b"set-cookie":
            headers.setdefault(key, []).append(text)
        else:
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        if name == b"content-type":
            content_type = value
    head = json.dumps({"id": part_id, "status": reply.status, "headers": headers}).encode()
    return head[:-1] + b', "body": ' + _body_json(reply.body, content_type) + b"}"


def _body_json(body: bytes, content_type: bytes) -> bytes:
    if not body:
        return b"null"
    try:
        text = body.decode()
        if _is_json(content_type):
            # Read only to be sure that it is JSON; written anew, 1.10 would become 1.1.
            json.loads(text, parse_constant=_refuse_constant)
            return body
        if content_type.lower().startswith(b"text/") or _is_json(content_type):
            return json.dumps(text).encode()
    except (ValueError, RecursionError):
        pass
    return json.dumps(base64.b64encode(body).decode()).encode() + b', "encoding": "base64"'
