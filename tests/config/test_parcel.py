"""Hazard: the table that a worker unpacks is another one than the supervisor found good."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from gateway.config.compile import no_upstream
from gateway.config.describe import describe_routes
from gateway.config.load import LoadedTable, read_table
from gateway.config.offline import offline_services
from gateway.config.parcel import pack, unpack
from gateway.config.partial import admit, settle
from gateway.config.reload import check_for_serving
from tests.config.test_partial import TABLE as PARTIAL
from tests.config.test_partial import answer, change
from tests.config.test_project_table import TABLE as PROJECT
from tests.config.whole_table import ENVIRON, WHOLE

KEY = "0123456789abcdef0123456789abcdef"
PLAIN = "version: 1\nroutes: [{id: a, match: /a, auth: none, respond: {text: hello}}]\n"


def read(text: str, **environ: str) -> LoadedTable:
    loaded = read_table("t.yaml", environ=environ, read_file=lambda _: text, find_files=lambda _: [])
    assert loaded.problems == ()
    return loaded


@pytest.mark.parametrize(
    ("text", "environ"),
    [(PROJECT.read_text(), {"JWT_SECRET": KEY}), (yaml.safe_dump(WHOLE), ENVIRON), (PARTIAL, {}), (PLAIN, {})],
)
def test_what_is_unpacked_is_what_was_packed(text: str, environ: dict[str, str]) -> None:
    loaded = read(text, **environ)
    again = unpack(pack(loaded))
    assert again.table == loaded.table.model_copy(update={"tests": ()})
    for name in ("path", "version", "plugins", "routes", "default_policies", "sections", "broken_sections"):
        assert getattr(again, name) == getattr(loaded, name), name
    one, other = (admit(each, offline_services(each), no_upstream) for each in (loaded, again))
    assert [row.as_dict() for row in describe_routes(other)] == [row.as_dict() for row in describe_routes(one)]
    # Where its file and line stand in the log of an exchange.
    assert [route.position for route in other.routes] == [route.position for route in one.routes]


def test_what_only_people_read_stays_behind() -> None:
    text = PROJECT.read_text()
    loaded = read(text, JWT_SECRET=KEY)
    again = unpack(pack(loaded))
    assert (again.files, again.warnings, again.table.tests) == ({}, (), ())
    assert len(pack(loaded)) < 2 * len(text)


def test_broken_routes_are_set_aside_before_it_travels() -> None:
    text = change("{id: hr, match:", "{id: hr, too: hr, match:", PARTIAL)
    loaded = read_table("t.yaml", environ={}, read_file=lambda _: text, find_files=lambda _: [])
    settled, _ = settle(loaded, offline_services(loaded), no_upstream)
    again = unpack(pack(settled))
    snapshot = admit(again, offline_services(again), no_upstream)
    assert [entry.route for entry in snapshot.quarantined] == ["hr"]
    assert answer(snapshot, "/hr/7") == "route_quarantined"
    assert answer(snapshot, "/crm/7") == "crm"


class NotPacked:
    def __reduce__(self) -> Any:
        raise TypeError("it holds a socket")


class NotUnpacked:
    def __reduce__(self) -> Any:
        return int, ("no number",)


class UnpackedAsAnother:
    def __reduce__(self) -> Any:
        return UnpackedAsAnother, ()


@pytest.mark.parametrize("setting", [lambda: 1, NotPacked(), NotUnpacked(), UnpackedAsAnother()])
def test_settings_that_cannot_be_packed_leave_the_texts(setting: object) -> None:
    assert pack(replace(read(PLAIN), sections={"odd": setting})) == ""


def test_the_supervisor_packs_and_shows_no_secret() -> None:
    table = check_for_serving("t.yaml", environ=ENVIRON, read_file=lambda _: yaml.safe_dump(WHOLE))
    assert unpack(table.sources.parcel).version == table.version
    assert table.sources.parcel not in repr(table)
