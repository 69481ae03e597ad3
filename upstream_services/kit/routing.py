"""Every path of a service, from its declarations: what the router serves and what the document describes."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from upstream_services.kit.endpoints import Endpoints
from upstream_services.kit.lists import Lists
from upstream_services.kit.operations import Operation
from upstream_services.kit.resource import Action, Resource

Kind = Literal["list", "create", "bulk", "csv", "get", "patch", "delete", "restore", "action", "operation"]


@dataclass(frozen=True, kw_only=True)
class Path:
    """One method of one path, and where it comes from: a resource, one of its actions, or an operation."""

    kind: Kind
    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    resource: Resource[Any] | None = None
    owner: Resource[Any] | None = None
    action: Action | None = None
    operation: Operation | None = None

    @property
    def route(self) -> web.RouteDef:
        """What aiohttp's router takes."""
        add = {"GET": web.get, "POST": web.post, "PATCH": web.patch, "DELETE": web.delete, "PUT": web.put}[self.method]
        if self.method != "GET":
            return add(self.path, self.handler)
        # aiohttp answers HEAD by running the GET, which for a stream would never end.
        is_stream = self.operation is not None and self.operation.media_type != "application/json"
        return add(self.path, self.handler, allow_head=not is_stream)


def paths_of(service_name: str, resources: Sequence[Resource[Any]], operations: Iterable[Operation]) -> list[Path]:
    """Every path of a service, in the order that the router needs: the literal before `{id}`."""
    by_table = {resource.table.__tablename__: resource for resource in resources}
    found: list[Path] = []
    for one in operations:
        path = f"/{service_name}/{one.path.strip('/')}"
        found.append(Path(kind="operation", method=one.method, path=path, handler=one.handler, operation=one))
    for resource in resources:
        found += _of_resource(f"/{service_name}", resource, by_table)
    return found


def _of_resource(prefix: str, resource: Resource[Any], by_table: Mapping[str, Resource[Any]]) -> list[Path]:
    here, lists = f"{prefix}/{resource.name}", Lists(resource)
    rows, one = Endpoints(resource, here), f"{here}/{{id}}"
    table: list[tuple[Kind, str, str, Any]] = [
        ("list", "GET", here, lists.whole),
        ("csv", "GET", f"{here}.csv", lists.export),
    ]
    if not resource.read_only:
        table += [("create", "POST", here, rows.create), ("bulk", "POST", f"{here}/bulk", rows.bulk)]
    table += [("get", "GET", one, rows.get)]
    if not resource.read_only:
        table += [
            ("patch", "PATCH", one, rows.patch),
            ("delete", "DELETE", one, rows.delete),
            ("restore", "POST", f"{one}/restore", rows.restore),
        ]
    found = [Path(kind=k, method=m, path=p, handler=h, resource=resource) for k, m, p, h in table]
    for column in resource.nested_in:
        owner = by_table[resource.references[column]]
        path, handler = f"{prefix}/{owner.name}/{{id}}/{resource.name}", lists.nested(owner, column)
        found.append(Path(kind="list", method="GET", path=path, handler=handler, resource=resource, owner=owner))
    for action in resource.actions.values():
        path, handler = f"{one}/{action.name}", rows.action(action)
        found.append(Path(kind="action", method="POST", path=path, handler=handler, resource=resource, action=action))
    return found
