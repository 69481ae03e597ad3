"""Plugins that operators add, and plugins that do not keep to the contract."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.discover import PluginInvalid, check_names, find_plugins, import_plugins
from gateway.config.load import load_table
from gateway.config.problems import TableInvalid
from tests.config.sample_plugins import PLUGINS, Stamp

HEAD = """\
from gateway.plugin_api import Plugin, Stage

class Extra(Plugin):
    name = "extra"
    stage = Stage.EDGE
    Policy = str
"""
INIT = "    def __init__(self, policy, route, services):\n        pass\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A module to write, importable under its file name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / f"operator_plugin_{abs(hash(request.node.name))}.py"
    yield path
    sys.modules.pop(path.stem, None)


def test_the_built_in_plugins_are_found_and_the_example_is_not() -> None:
    names = [plugin.name for plugin in find_plugins()]

    assert {"auth", "allow", "limit", "compress", "cors", "headers", "redirect", "respond"} <= set(names)
    assert len(set(names)) == len(names)
    assert not any(plugin.__module__ == "plugins.example" for plugin in find_plugins())


@pytest.mark.parametrize("suffix", ["", ".Extra"])
def test_a_plugin_of_the_operator_by_module_or_class(module: Path, suffix: str) -> None:
    module.write_text(HEAD + INIT)

    assert [plugin.name for plugin in import_plugins(module.stem + suffix)] == ["extra"]
    assert "extra" in [plugin.name for plugin in find_plugins([module.stem + suffix])]


def test_the_table_names_plugins_and_then_has_their_keys(module: Path, tmp_path: Path) -> None:
    module.write_text(HEAD + INIT)
    table = tmp_path / "routes.yaml"
    table.write_text(
        f"version: 1\nplugins: [{module.stem}]\nroutes: [{{id: a, match: /a, respond: x, extra: y, auth: none}}]\n"
    )

    assert load_table(str(table), PLUGINS).routes[0].policies["extra"] == "y"


def test_a_plugin_that_is_not_there_is_a_problem_at_its_name(tmp_path: Path) -> None:
    table = tmp_path / "routes.yaml"
    table.write_text("version: 1\nplugins: [no_such_module]\n")

    with pytest.raises(TableInvalid) as caught:
        load_table(str(table), PLUGINS)
    assert str(caught.value) == (
        f"{table}:2:11: plugin_invalid: \"no_such_module\" cannot be imported: No module named 'no_such_module'"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (HEAD + "    def on_reqest(self, exchange): ...\n", "Extra.on_reqest is no hook; did you mean on_request"),
        (HEAD + "    def on_everything(self, exchange): ...\n", "Extra.on_everything is no hook; hooks are on_request"),
        (HEAD + "    def wrap_upsteam(self, call): ...\n", "Extra.wrap_upsteam is no hook; did you mean wrap_upstream"),
        (HEAD + "    async def on_response(self, exchange): ...\n", "Extra.on_response must be a plain function"),
        (HEAD.replace('    name = "extra"\n', ""), "Extra has no valid name"),
        (HEAD.replace("Stage.EDGE", "10"), "Extra has no valid stage"),
        (HEAD.replace("    Policy = str\n", ""), "Extra has no valid Policy"),
        (HEAD + "    Section = str\n", "Extra needs section_name and Section both, or neither"),
        ("x = 1\n", "holds no class that is derived from gateway.plugin_api.Plugin"),
        ("import no_such_thing\n", "No module named 'no_such_thing'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def x(:\n", "SyntaxError"),
    ],
)
def test_what_is_wrong_with_a_plugin(module: Path, body: str, message: str) -> None:
    module.write_text(body)

    with pytest.raises(PluginInvalid) as caught:
        import_plugins(module.stem)
    assert message in str(caught.value)


def test_what_is_wrong_with_a_plugin_is_said_each_time(module: Path) -> None:
    module.write_text(HEAD + INIT + "    async def on_response(self, exchange): ...\n")

    for _ in range(2):
        with pytest.raises(PluginInvalid, match="must be a plain function"):
            import_plugins(module.stem)


def test_a_class_that_the_module_does_not_have(module: Path) -> None:
    module.write_text(HEAD + INIT)

    with pytest.raises(PluginInvalid, match="has no Missing"):
        import_plugins(f"{module.stem}.Missing")


@pytest.mark.parametrize(("name", "section"), [("to", ""), ("stamp", ""), ("new", "routes"), ("new", "auth")])
def test_each_key_and_section_has_one_owner(name: str, section: str) -> None:
    taken = type("Taken", (Stamp,), {"name": name, "section_name": section, "Section": str})

    with pytest.raises(PluginInvalid, match="is taken by"):
        check_names((*PLUGINS, taken))
