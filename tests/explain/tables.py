"""Pairs of tables for the tests of `gateway diff`, and what is said of them."""

import json
from collections.abc import Mapping
from typing import Any

from gateway.config.load import load_table
from gateway.config.source import from_memory
from gateway.core.changes import Risk
from gateway.explain.diff import Line, diff
from gateway.explain.rehearsal import Rehearsal

ENVIRON = {"SECRET": "0123456789abcdef" * 4, "OTHER": "fedcba9876543210" * 4}


def rehearsal(table: Mapping[str, Any] | str, files: Mapping[str, str] | None = None) -> Rehearsal:
    """Of a table as data or text."""
    text = table if isinstance(table, str) else json.dumps(table)
    read_file, find_files = from_memory({"routes.yaml": text, **(files or {})})
    return Rehearsal(load_table("routes.yaml", environ=ENVIRON, read_file=read_file, find_files=find_files))


def lines(old: Mapping[str, Any] | str, new: Mapping[str, Any] | str) -> list[Line]:
    """What the change means."""
    return diff(rehearsal(old), rehearsal(new))


def said(old: Mapping[str, Any] | str, new: Mapping[str, Any] | str) -> list[str]:
    """The same as `risk: text`."""
    return [f"{line.risk.name.lower()}: {line.text}" for line in lines(old, new)]


def widens(old: Mapping[str, Any] | str, new: Mapping[str, Any] | str) -> bool:
    """Whether anything of it is a widening."""
    return any(line.risk is Risk.WIDENING for line in lines(old, new))
