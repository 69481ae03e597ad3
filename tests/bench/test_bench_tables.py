"""Hazard: a table that says a target is reached which is not, or which was not even measured."""

from dataclasses import replace

import pytest

from tests.bench.load import Figures
from tests.bench.machine import build_text
from tests.bench.scaling import render_growth
from tests.bench.table import Line, amount_text, ratio_text, render, work_lines
from tests.bench.work import WORK, Target, Work

FIGURES = Figures(
    cpu_us=40.0, requests_per_s=20_000, p50_ms=1.5, p99_ms=3.25, rss_mib=60, busy=0.8, others=0.01, log_bytes=400
)
ROW = Work("row", "the row", "plain", "1k.json", ("gateway", "nginx"), targets=(Target("nginx", 2.0),))
REDIS = next(work for work in WORK if work.name == "secured-redis")


def cells(table: str, label: str) -> list[str]:
    line = next(line for line in table.splitlines() if f"| {label} " in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("own", "other", "is_below", "text"),
    [
        (36.0, 20.0, False, "1.80 × nginx (≤ 2) yes"),
        (40.0, 20.0, False, "2.00 × nginx (≤ 2) yes"),
        (40.0, 20.0, True, "2.00 × nginx (< 2) NO"),
        (40.1, 20.0, False, "2.00 × nginx (≤ 2) NO"),
        (None, 20.0, False, "? × nginx (≤ 2) not measured"),
        (40.0, None, False, "? × nginx (≤ 2) not measured"),
        (40.0, 0.0, False, "? × nginx (≤ 2) not measured"),
    ],
)
def test_a_ratio_is_judged_before_it_is_rounded(
    own: float | None, other: float | None, is_below: bool, text: str
) -> None:
    assert ratio_text(own, other, "nginx", 2.0, is_below=is_below) == text


def test_an_amount_that_is_missing_is_no_yes() -> None:
    assert amount_text(5.25, "KiB", 6.0) == "5.2 KiB (≤ 6) yes"
    assert amount_text(6.01, "KiB", 6.0) == "6.0 KiB (≤ 6) NO"
    assert amount_text(None, "KiB", 6.0) == "? KiB (≤ 6) not measured"


def test_a_work_shows_each_figure_and_its_target_once() -> None:
    results = {("row", "gateway"): FIGURES, ("row", "nginx"): replace(FIGURES, cpu_us=25.0)}
    table = render(work_lines([ROW], results))
    assert cells(table, "CPU µs/request") == [
        *["the row", "CPU µs/request"],
        *["40.0", "-", "25.0", "-", "-", "-", "-"],
        "1.60 × nginx (≤ 2) yes",
    ]
    assert cells(table, "requests/s")[2:5] == ["20,000", "-", "20,000"]
    assert cells(table, "p50 / p99 ms")[2] == "1.5 / 3.2"
    assert cells(table, "own / others' processor %")[2] == "80 / 1"
    assert table.count("× nginx") == 1
    assert "Not measured" not in table


def test_a_target_may_be_the_gateways_own_figure_at_another_work() -> None:
    results = {
        ("secured-redis", "gateway"): replace(FIGURES, cpu_us=95.0),
        ("secured", "gateway"): replace(FIGURES, cpu_us=50.0),
        ("secured", "HAProxy"): replace(FIGURES, cpu_us=10.0),
    }
    assert work_lines([REDIS], results)[0].targets == ["1.90 × JWT + limit by tenant, one token (≤ 1.8) NO"]


def test_a_failure_is_a_dash_and_its_reason_stands_below_once() -> None:
    reason = "did not start: no such option"
    other = replace(ROW, name="other", title="the other row")
    table = render(work_lines([ROW, other], {("row", "nginx"): reason, ("other", "nginx"): reason}))
    assert cells(table, "CPU µs/request")[2:9] == ["-"] * 7
    assert "? × nginx (≤ 2) not measured" in table
    assert table.endswith("Not measured:\n- nginx: did not start: no such option (the row; the other row)")


def test_lines_of_other_rows_are_laid_out_alike() -> None:
    table = render([Line("1 GiB body", "CPU ms", {"gateway": "900", "Envoy": "600"}, ["a", "b"])])
    assert cells(table, "CPU ms") == ["1 GiB body", "CPU ms", "900", "-", "-", "-", "600", "-", "-", "a; b"]


def test_growth_shows_every_place_of_the_grid_and_what_failed() -> None:
    grid: dict[tuple[str, int, str], Figures | str] = {
        ("gateway", 64, "/plain/10k.json"): FIGURES,
        ("nginx", 4096, "/plain/100k.json"): "of 9 requests 0 had an error status and 2 broke off",
    }
    lines = render_growth(grid).splitlines()
    assert [cell.strip() for cell in lines[4].strip("|").split("|")] == ["64", "-", "40.0", "-", "-", "-", "-"]
    assert lines[-1] == "- nginx, 4,096 connections, 102 KB: of 9 requests 0 had an error status and 2 broke off"


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"CONFIG_ARGS": "'--enable-optimizations' '--with-lto'"}, "built with PGO, with LTO"),
        ({"CONFIG_ARGS": "'--enable-shared'", "PY_CFLAGS_NODIST": None}, "built without PGO, without LTO"),
        ({"CONFIG_ARGS": "", "PY_CFLAGS": "-fprofile-use -flto"}, "built with PGO, with LTO"),
        ({"PGO_PROF_USE_FLAG": "-fprofile-use"}, "built without PGO, without LTO"),
    ],
)
def test_the_interpreters_build_is_what_was_asked_of_its_makefile(variables: dict[str, object], text: str) -> None:
    """Every build has the flag in PGO_PROF_USE_FLAG, whether it was used or not."""
    assert build_text(variables) == text
