"""Whole resources in and out, by jobs: a CSV file that becomes rows, rows that become a CSV, XLSX or PDF file.

    import_contacts, contacts_import = importing(contacts)      # POST /contacts/import with text/csv: 202
    export_contacts, contacts_export = exporting(contacts)      # POST /contacts/export {"format": "xlsx"}: 202

The first of each goes into `Service(jobs=)`, the second into `Service(operations=)`.
"""

import csv
import io
from typing import Any, Literal

from aiohttp import web
from multidict import MultiDict
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from upstream_services.kit import documents
from upstream_services.kit.endpoints import Endpoints
from upstream_services.kit.errors import Problem, problem_of
from upstream_services.kit.jobs.declare import Job, JobOut, accepted, job
from upstream_services.kit.jobs.run import Run
from upstream_services.kit.listing import read_wish
from upstream_services.kit.lists import EXPORT_PAGE, Lists
from upstream_services.kit.operations import Operation, operation
from upstream_services.kit.resource import Resource
from upstream_services.kit.tenancy import tenant_of
from upstream_services.kit.validation import Body, faults

IMPORT_MAX_BYTES = 10 * 1024 * 1024
IMPORT_ROWS_MAX = 50_000
BATCH = 200  # rows of one transaction of an import
ERRORS_MAX = 1000
EXPORT_ROWS_MAX = {"csv": 1_000_000, "xlsx": 200_000, "pdf": 2000}

Fault = dict[str, Any]


class ExportIn(Body):
    """What to export: a format, and the parameters of the list, such as {"status": "active", "sort": "name"}."""

    format: Literal["csv", "xlsx", "pdf"] = "csv"
    parameters: dict[str, str] = {}


async def _read_csv(request: web.Request) -> bytes:
    if request.content_type != "text/csv":
        raise Problem(415, "not_csv", f"the body must be text/csv, not {request.content_type}")
    content = bytearray()
    async for part in request.content.iter_any():
        content += part
        if len(content) > IMPORT_MAX_BYTES:
            raise Problem(413, "too_large", f"an import has at most {IMPORT_MAX_BYTES // 2**20} MiB")
    return bytes(content)


def rows_of(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its head, without cells that are empty. Raises a 422 problem."""
    try:
        text = content.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if not reader.fieldnames or len(set(reader.fieldnames)) != len(reader.fieldnames):
            raise Problem(422, "invalid_csv", "the first line must name the columns, each once")
        rows = [{name: cell for name, cell in row.items() if cell} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem(422, "invalid_csv", f"not CSV in UTF-8: {error}") from None
    if any(None in row for row in rows):
        raise Problem(422, "invalid_csv", "a line has more cells than the first")
    if len(rows) > IMPORT_ROWS_MAX:
        raise Problem(422, "invalid_csv", f"an import has at most {IMPORT_ROWS_MAX} rows")
    return rows


def importing(resource: Resource[Any]) -> tuple[Job, Operation]:
    """The import of a resource: each row under the rules of a create; rows at fault are told and left out."""
    endpoints = Endpoints(resource, "")

    @job(f"{resource.name}.import")
    async def import_rows(run: Run, _given: Any) -> dict[str, Any]:
        rows = rows_of(await run.given_file())
        errors: list[Fault] = []
        for start in range(0, len(rows), BATCH):
            errors += await _import_batch(run, endpoints, rows, start)
            await run.progress(min(start + BATCH, len(rows)), len(rows))
        if errors:
            told = [(error["row"], error["field"], error["message"]) for error in errors]
            await run.attach("errors.csv", "text/csv", documents.csv(("row", "field", "message"), told))
        bad = {error["row"] for error in errors}
        return {"rows": len(rows), "imported": len(rows) - len(bad), "errors": errors[:ERRORS_MAX]}

    @operation("POST", f"{resource.name}/import", status=202, reply=JobOut, request_media_type="text/csv")
    async def start_import(request: web.Request) -> web.Response:
        """Create rows of a CSV file, whose first line names the fields, by a job."""
        content = await _read_csv(request)
        rows_of(content)
        return await accepted(request, import_rows, file=("rows.csv", "text/csv", content))

    return import_rows, start_import


async def _import_batch(run: Run, endpoints: Endpoints[Any], rows: list[dict[str, str]], start: int) -> list[Fault]:
    step, errors = f"rows-{start}", []
    async with run.once(step) as session:
        if session is None:
            return list(await run.noted(step) or [])
        for number, cells in enumerate(rows[start : start + BATCH], start + 2):  # as an editor counts lines
            try:
                values = endpoints.resource.create.model_validate(cells, strict=False).model_dump()
                async with session.begin_nested():  # a row that PostgreSQL refuses takes no other with it
                    row = endpoints.resource.table()
                    await endpoints.prepare(session, row, values)
                    session.add(row)
                    await session.flush()
            except ValidationError as error:
                errors += [{"row": number, **fault} for fault in faults(error)]
            except (Problem, IntegrityError) as error:
                problem = problem_of(error)
                if problem is None:
                    raise
                named = problem.errors or [{"field": "row", "message": problem.detail}]
                errors += [{"row": number, **fault} for fault in named]
        await run.note(session, step, errors)
    return errors


def exporting(resource: Resource[Any]) -> tuple[Job, Operation]:
    """The export of a resource: what the list would show, whole, as a file of the job."""
    lists = Lists(resource)

    @job(f"{resource.name}.export", input=ExportIn)
    async def export_rows(run: Run, given: ExportIn) -> dict[str, Any]:
        wish = read_wish(resource, run.tenant, MultiDict(given.parameters))
        page, found = wish.page._replace(limit=EXPORT_PAGE), []
        while True:
            async with run.transaction() as session:
                rows, page_after = await lists.page_of_rows(session, wish, page)
            found += rows
            await run.progress(len(found))
            if page_after is None or len(found) >= EXPORT_ROWS_MAX[given.format]:
                break
            page = page._replace(after=page_after)
        found = found[: EXPORT_ROWS_MAX[given.format]]
        made = _MAKERS[given.format](resource, wish.names, found)
        await run.attach(f"{resource.name}.{given.format}", documents.MEDIA_TYPES[given.format], made)
        return {"rows": len(found), "is_whole": page_after is None}

    @operation("POST", f"{resource.name}/export", body=ExportIn, status=202, reply=JobOut)
    async def start_export(request: web.Request, body: ExportIn) -> web.Response:
        """Make a file of the list by a job."""
        read_wish(resource, tenant_of(request), MultiDict(body.parameters))  # says now what is wrong with it
        return await accepted(request, export_rows, body)

    return export_rows, start_export


_MAKERS: dict[str, Any] = {
    "csv": lambda _resource, names, rows: documents.csv(names, rows),
    "xlsx": lambda resource, names, rows: documents.xlsx(names, rows, title=resource.name),
    "pdf": lambda resource, names, rows: documents.pdf(resource.name.capitalize(), names, rows),
}
