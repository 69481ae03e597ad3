"""Hazard: the README promises an operator what the code does not do."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from gateway.cli import make_parser
from gateway.config.compile import check_table
from gateway.config.discover import find_plugins
from gateway.config.model import Route
from gateway.config.snapshot import Snapshot
from gateway.core.errors import ERRORS
from gateway.core.identity import IDENTITY_HEADERS
from gateway.plugin_api import HOOKS

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text()
ENVIRONMENT = {"JWT_SECRET": "long-enough-for-a-test-of-the-readme"}


@cache
def policy_rows() -> dict[str, list[str]]:
    """The cells of the policies table by key, the mark of a later one left in."""
    section = README.split("\n## Policies\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip(): [cell.strip() for cell in row] for row in rows}


def examples() -> list[str]:
    return [cell.strip("`") for row in policy_rows().values() for cell in row[1:3] if cell]


def check(text: str, folder: Path) -> Snapshot:
    path = folder / "routes.yaml"
    path.write_text(text)
    return check_table(str(path), environ=ENVIRONMENT)


def test_the_route_of_one_minute_is_good(tmp_path: Path) -> None:
    """As it stands there, beside the project's own table."""
    include, block = re.findall(r"`(include: .*)`", README)[0], README.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / "billing.yaml").write_text("\n".join(line[3:] for line in block.splitlines()))
    snapshot = check(f"{(TOP / 'routes.yaml').read_text()}\n{include}\n", tmp_path)
    route = next(route for route in snapshot.routes if route.info.id == "billing")
    assert route.info.upstream == "billing"
    assert set(route.info.policies) == {"allow", "auth", "compress", "cors", "limit"}
    assert route.rewrite is not None


def test_the_table_has_every_policy_and_marks_the_later_ones() -> None:
    plugins = {plugin.name: plugin.is_in_force for plugin in find_plugins()}
    own = dict.fromkeys(Route.model_fields.keys() - {"id", "match", "to"}, True)
    expected = {f"`{name}`" + ("" if is_in_force else " (later)") for name, is_in_force in {**plugins, **own}.items()}
    assert policy_rows().keys() == expected


@pytest.mark.parametrize("example", examples())
def test_each_form_of_a_policy_is_good(example: str, tmp_path: Path) -> None:
    action = "" if example.startswith(("batch:", "redirect:", "respond:", "split:")) else "\n  to: crm"
    before = (TOP / "routes.yaml").read_text().split("\nroutes:\n")[0]
    snapshot = check(f"{before}\nroutes:\n- id: shown\n  match: /api/v1/shown/*{action}\n  {example}\n", tmp_path)
    assert [route.info.id for route in snapshot.routes] == ["shown"]


def test_the_error_shown_has_the_members_of_its_kind() -> None:
    shown = json.loads(README.split("```json\n")[1].split("```")[0])
    kind = ERRORS[shown["code"]]
    assert (shown["title"], shown["status"], shown["source"]) == (kind.title, kind.status, kind.source.value)
    assert shown["type"] == f"urn:gateway:error:{kind.code}"


def test_commands_hooks_identity_headers_and_files_are_those_that_there_are() -> None:
    needed = {"token": ["--tenant", "t"], "explain": ["GET", "/"], "diff": ["old.yaml", "new.yaml"]}
    for command in re.findall(r"^\| `gateway ([a-z]+)", README, re.MULTILINE):
        rest = needed.get(command, [])
        assert make_parser().parse_args([command, *rest]).run is not None
    flags = set(re.findall(r"`(--[a-z-]+)`", README.split("| `gateway serve` |")[1].splitlines()[0]))
    assert {
        f"--{name.replace('_', '-')}" for name in vars(make_parser().parse_args(["serve"])) if name != "run"
    } == flags
    assert set(re.findall(r"^\| `([a-z_]+)\(", README.split("## Plugins")[1], re.MULTILINE)) == {*HOOKS, "__init__"}
    assert {name.lower().encode() for name in re.findall(r"`(X-[A-Za-z-]+)`", README)} == IDENTITY_HEADERS
    for name in re.findall(r"`((?:gateway|plugins|deploy)/[a-z_./]*)`", README):
        assert (TOP / name).exists(), name
