"""`GET /explain` of the operators' listener: the table that is in force, asked what it would do."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.config.load import read_table
from gateway.config.settings import TableSources
from gateway.config.source import from_memory
from gateway.explain.explanation import RequestInvalid, explain, read_request
from gateway.explain.rehearsal import Rehearsal

_CALLER = ("tenant", "user", "plan", "scopes", "modules")
PARAMETERS = ("method", "url", "header", "ip", *_CALLER)


class LiveTable:
    """Compiles the table's texts when it is first asked about them, and again when they are others."""

    def __init__(self) -> None:
        self._sources: TableSources | None = None
        self._rehearsal: Rehearsal | None = None

    async def explain(self, sources: TableSources, query: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
        """query: `PARAMETERS` with their values, of which only `header` may have several. Raises ValueError where that
        is no request.
        """
        unknown = [name for name in query if name not in PARAMETERS]
        if unknown:
            raise RequestInvalid(f"{unknown[0]} is no parameter; known: {', '.join(PARAMETERS)}")
        repeated = [name for name, values in query.items() if len(values) > 1 and name != "header"]
        if repeated:
            raise RequestInvalid(f"{repeated[0]} is there twice")
        if "url" not in query:
            raise RequestInvalid("url is missing: /explain?method=GET&url=/a/path")
        given = {name: values[0] for name, values in query.items()}
        request = read_request(
            given.get("method", "GET"),
            given["url"],
            headers=query.get("header", ()),
            peer_ip=given.get("ip", "127.0.0.1"),
            caller={name: given.get(name) for name in _CALLER},
        )
        # One at a time, and away from the loop that keeps the workers.
        return await asyncio.to_thread(self._explain, sources, request)

    def _explain(self, sources: TableSources, request: Any) -> Mapping[str, Any]:
        rehearsal = self._rehearsal
        if rehearsal is None or self._sources is not sources:
            read_file, find_files = from_memory(sources.files)
            rehearsal = Rehearsal(read_table(sources.path, read_file=read_file, find_files=find_files))
            self._rehearsal, self._sources = rehearsal, sources
        return asyncio.run(explain(rehearsal, request))
