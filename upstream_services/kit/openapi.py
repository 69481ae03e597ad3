"""The OpenAPI 3.1 document of a service, made of the same declarations that its router is made of."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from upstream_services.kit.idempotency import HEADER as IDEMPOTENCY_KEY
from upstream_services.kit.pagination import CURSOR_MAX, DEFAULT_LIMIT, MAX_LIMIT
from upstream_services.kit.resource import Resource
from upstream_services.kit.routing import Path
from upstream_services.kit.tenancy import TENANT_HEADER
from upstream_services.kit.validation import bulk_of

_REF = "#/components/schemas/{model}"
_READ = (401, 422, 503)
_READ_ONE = (401, 404, 503)
_WRITE = (400, 401, 404, 409, 412, 413, 415, 422, 502, 503)

Model = type[BaseModel]

PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable and for programs, `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


class _Schemas:
    """The models that the document refers to, gathered while it is made."""

    def __init__(self) -> None:
        self.used: dict[tuple[Model, JsonSchemaMode], None] = {}
        self.refs: dict[tuple[Model, JsonSchemaMode], str] = {}

    def ref(self, model: Model, mode: JsonSchemaMode) -> dict[str, Any]:
        """A reference to a model; its name is filled in at the end."""
        self.used[model, mode] = None
        return {"$ref": (model, mode)}

    def resolve(self, node: Any, names: Any) -> Any:
        """The document with every reference by its name."""
        if isinstance(node, dict):
            target = node.get("$ref")
            return names[target] if isinstance(target, tuple) else {k: self.resolve(v, names) for k, v in node.items()}
        return [self.resolve(item, names) for item in node] if isinstance(node, list) else node


def document(name: str, version: str, paths: Sequence[Path]) -> dict[str, Any]:
    """The document of the service `name`."""
    schemas, found = _Schemas(), {}
    for path in paths:
        item = found.setdefault(path.path, {})
        item[path.method.lower()] = _operation(path, schemas)
        if names := re.findall(r"\{(\w+)\}", path.path):
            item["parameters"] = [
                {"name": one, "in": "path", "required": True, "schema": _UUID if one == "id" else _TOKEN}
                for one in names
            ]
    names, definitions = models_json_schema(list(schemas.used), ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "tags": [{"name": tag} for tag in dict.fromkeys(_tag(path) for path in paths)],
        "paths": schemas.resolve(found, names),
        "components": {
            "schemas": {"Problem": PROBLEM, **definitions.get("$defs", {})},
            "parameters": {"Tenant": _header(TENANT_HEADER, "set by the gateway from the token", required=True)},
        },
    }


_UUID = {"type": "string", "format": "uuid"}
_TOKEN = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"}


def _tag(path: Path) -> str:
    return path.resource.name if path.resource else path.path.split("/")[2]


def _header(name: str, description: str, *, required: bool = False) -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"} if required else {"type": "string"}
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def _query(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema} | ({"description": description} if description else {})


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation(path: Path, schemas: _Schemas) -> dict[str, Any]:
    made = _MAKERS[path.kind](path, schemas)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    codes = made.pop("problems")
    made["responses"] |= {str(code): {"description": "problem", "content": problem} for code in codes}
    if path.operation is None or not path.operation.is_open:
        made.setdefault("parameters", []).append({"$ref": "#/components/parameters/Tenant"})
    return {"operationId": _id(path), "tags": [_tag(path)], **made}


def _id(path: Path) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", path.path.lower().replace("{id}", "one")).strip("_")
    return f"{path.method.lower()}_{words}"


def _resource(path: Path) -> Resource[Any]:
    if path.resource is None:
        raise ValueError(f"{path.path} is of no resource")
    return path.resource


def _list_parameters(resource: Resource[Any]) -> list[dict[str, Any]]:
    sorts = [sign + name for name in resource.all_sortable for sign in ("", "-")]
    names = ",".join(resource.shape.model_fields)
    found = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}),
        _query("after", {"type": "string", "maxLength": CURSOR_MAX}, "`next` of the page before"),
        _query("sort", {"type": "string", "enum": sorts, "default": "-created_at"}),
        _query("fields", {"type": "string"}, f"some of {names}, with commas between them"),
        _query("ids", {"type": "string"}, f"up to {MAX_LIMIT} ids with commas between them: these rows, in this order"),
        _query("deleted", {"type": "boolean", "default": False}, "those that were deleted instead"),
    ]
    if resource.table.__search__:
        found.append(_query("q", {"type": "string"}, f"words that {', '.join(resource.table.__search__)} start with"))
    for name, adapter in resource.filter_types.items():
        several = {"type": "array", "items": _schema(adapter)}
        found.append(_query(name, several, "again for any of several"))
    for name, adapter in resource.range_types.items():
        found += [_query(f"{name}_{bound}", _schema(adapter)) for bound in ("min", "max")]
    return found


def _schema(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    return adapter.json_schema(ref_template=_REF)


_ETAG = {"ETag": {"schema": {"type": "string"}}}
_NOT_MODIFIED = {"304": {"description": "the client has it"}}
_IF_MATCH = _header("If-Match", "the ETag that was read; another version is 412")


def _row(path: Path, schemas: _Schemas, status: int = 200, description: str = "the row") -> dict[str, Any]:
    schema = schemas.ref(_resource(path).shape, "serialization")
    return {str(status): {"description": description, "headers": _ETAG, "content": _json(schema)}}


def _body(schemas: _Schemas, model: Model) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": _json(schemas.ref(model, "validation"))}}


def _list(path: Path, schemas: _Schemas) -> dict[str, Any]:
    resource = _resource(path)
    page = schemas.ref(resource.page_shape, "serialization")
    of = f" of a {path.owner.noun}" if path.owner else ""
    return {
        "summary": f"List {resource.name}{of}",
        "parameters": _list_parameters(resource),
        "responses": {"200": {"description": "a page", "headers": _ETAG, "content": _json(page)}, **_NOT_MODIFIED},
        "problems": (*_READ, 404) if path.owner else _READ,
    }


def _csv(path: Path, _schemas: _Schemas) -> dict[str, Any]:
    resource = _resource(path)
    return {
        "summary": f"All {resource.name} as CSV",
        "parameters": _list_parameters(resource),
        "responses": {"200": {"description": "CSV", "content": {"text/csv": {"schema": {"type": "string"}}}}},
        "problems": _READ,
    }


def _create(path: Path, schemas: _Schemas) -> dict[str, Any]:
    resource = _resource(path)
    made: dict[str, Any] = {"summary": f"Create a {resource.noun}", **_body(schemas, resource.create), "parameters": []}
    made["responses"] = _row(path, schemas, 201, "it was created")
    made["responses"]["201"]["headers"] = _ETAG | {"Location": {"schema": {"type": "string"}}}
    if resource.is_idempotent:
        made["parameters"].append(_header(IDEMPOTENCY_KEY, "the same again makes no second one"))
        made["responses"] |= _row(path, schemas, 200, "what this key made")
    return made | {"problems": (400, 401, 409, 413, 415, 422, 503)}


def _bulk(path: Path, schemas: _Schemas) -> dict[str, Any]:
    resource = _resource(path)
    items = {"type": "array", "items": schemas.ref(resource.shape, "serialization")}
    reply = {"type": "object", "required": ["items"], "properties": {"items": items}}
    return {
        "summary": f"Create several {resource.name}, all or none",
        **_body(schemas, bulk_of(resource.create)),
        "responses": {"201": {"description": "they were created", "content": _json(reply)}},
        "problems": (400, 401, 409, 413, 415, 422, 503),
    }


def _get(path: Path, schemas: _Schemas) -> dict[str, Any]:
    responses = _row(path, schemas) | _NOT_MODIFIED
    return {"summary": f"One {_resource(path).noun}", "responses": responses, "problems": _READ_ONE}


def _patch(path: Path, schemas: _Schemas) -> dict[str, Any]:
    resource = _resource(path)
    return {
        "summary": f"Change a {resource.noun}",
        "parameters": [_IF_MATCH],
        **_body(schemas, resource.patch),
        "responses": _row(path, schemas),
        "problems": _WRITE,
    }


def _delete(path: Path, _schemas: _Schemas) -> dict[str, Any]:
    return {
        "summary": f"Delete a {_resource(path).noun}; it can be restored",
        "parameters": [_IF_MATCH],
        "responses": {"204": {"description": "it was deleted"}},
        "problems": (401, 404, 409, 412, 503),
    }


def _restore(path: Path, schemas: _Schemas) -> dict[str, Any]:
    return {
        "summary": f"Restore a {_resource(path).noun} that was deleted",
        "parameters": [_IF_MATCH],
        "responses": _row(path, schemas),
        "problems": (401, 404, 409, 412, 422, 503),
    }


def _action(path: Path, schemas: _Schemas) -> dict[str, Any]:
    action = path.action
    if action is None:
        raise ValueError(f"{path.path} is no action")
    made: dict[str, Any] = {"summary": action.summary, "parameters": [_IF_MATCH]}
    if action.body is not None:
        made |= _body(schemas, action.body)
    reply = action.reply
    made["responses"] = (
        _row(path, schemas)
        if reply is None
        else {"200": {"description": "done", "content": _json(schemas.ref(reply, "serialization"))}}
    )
    return made | {"problems": _WRITE}


def _other(path: Path, schemas: _Schemas) -> dict[str, Any]:
    operation = path.operation
    if operation is None:
        raise ValueError(f"{path.path} is no operation")
    made: dict[str, Any] = {"summary": operation.summary}
    if operation.body is not None:
        made |= _body(schemas, operation.body)
    if operation.request_media_type is not None:
        content = {operation.request_media_type: {"schema": {"type": "string"}}}
        made["requestBody"] = {"required": True, "content": content}
    if operation.query is not None:
        known = operation.query.model_json_schema(ref_template=_REF)
        needed = known.get("required", ())
        made["parameters"] = [
            _query(name, schema) | {"required": name in needed} for name, schema in known["properties"].items()
        ]
    answer: dict[str, Any] = {"description": "done"}
    if operation.reply is not None:
        answer["content"] = _json(schemas.ref(operation.reply, "serialization"))
    elif operation.media_type != "application/json":
        answer["content"] = {operation.media_type: {"schema": {"type": "string"}}}
    made["responses"] = {str(operation.status): answer}
    if operation.method == "GET" and operation.reply is not None:
        made["responses"] |= _NOT_MODIFIED
    return made | {"problems": _WRITE}


_MAKERS: dict[str, Callable[[Path, _Schemas], dict[str, Any]]] = {
    "list": _list, "csv": _csv, "create": _create, "bulk": _bulk, "get": _get, "patch": _patch, "delete": _delete,
    "restore": _restore, "action": _action, "operation": _other,
}  # fmt: skip
