"""Hazard: a tool that reads the list of problems breaks over one of them."""

import json

from gateway.config.check_report import as_json, codes_json, codes_text, fix_of
from gateway.config.codes import CODES
from gateway.config.problems import Place, Problem

PLACE = Place("a.yaml", 2, 3)


def test_a_fix_is_always_there() -> None:
    own = Problem.at(PLACE, "bad_size", "é", "error", "this")
    general = Problem.at(PLACE, "bad_size", "a")
    of_others = Problem.at(PLACE, "acme_odd", "a")
    assert [problem["fix"] for problem in json.loads(as_json([own, general, of_others]))] == [
        "this",
        CODES["bad_size"].fix,
        "do what the message says",
    ]
    assert "é" in as_json([own])
    assert fix_of("bad_size").startswith("write a whole number with its unit")


def test_the_codes_as_text_and_as_json_say_the_same() -> None:
    listed = json.loads(codes_json())
    lines = codes_text().splitlines()
    assert [entry["code"] for entry in listed] == [line.split()[0] for line in lines] == list(CODES)
    assert all(entry["meaning"] in line and entry["fix"] in line for entry, line in zip(listed, lines, strict=True))
