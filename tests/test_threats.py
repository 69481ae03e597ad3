"""Hazard: the threat model names tests that are gone, and so says what nobody shows."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MODEL = (TESTS.parent / "gateway" / "THREATS.md").read_text()
NAMED = sorted(set(re.findall(r"`([a-z_/0-9]+\.py)(?:::(test_\w+))?`", MODEL.replace("`tests/", "`../tests/"))))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_the_threat_model_names_exists(path: str, name: str) -> None:
    file = TESTS / path if name or "test_" in path else TESTS.parent / "gateway" / path
    assert file.is_file()
    assert not name or re.search(rf"^(?:async )?def {name}\(", file.read_text(), re.MULTILINE)


def test_every_line_of_a_table_names_what_shows_it() -> None:
    rows = [
        line for line in MODEL.splitlines() if line.startswith("| ") and not line.startswith(("| what is", "| ---"))
    ]
    assert rows
    assert [row for row in rows if "test_" not in row.split("|")[3]] == []
