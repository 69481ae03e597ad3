"""The bench of the services must not call fast what was slow, refused or never asked."""

from random import Random

import pytest

from tests.bench.services import RUNS, Seen, deep_ratio, drive, main, slow_statements, table, verdicts
from tests.bench.services_data import Known, Person

PEOPLE = [
    Person("t1", "1", "Asha Rao", "asha@x.example", "owner-1"),
    Person("t2", "2", "Yash Iyer", "y@x.example", "o"),
]


def seen(*latencies_ms: float, **failures: int) -> Seen:
    found = Seen(failures=dict(failures))
    for number, latency_ms in enumerate(latencies_ms):
        found.records.add(float(number), latency_ms / 1000)
    return found


def of(first: Seen, deep: Seen) -> dict[str, dict[str, Seen]]:
    return {"pages": dict(zip(RUNS["pages"], (first, deep), strict=True))}


def test_a_run_is_fast_when_all_were_answered_and_95_of_100_soon() -> None:
    assert seen(*[10.0] * 95, *[900.0] * 5).is_fast
    assert not seen(*[10.0] * 94, *[50.1] * 6).is_fast
    assert not seen(*[10.0] * 100, refused=1).is_fast
    assert not seen().is_fast


def test_what_is_said_of_the_deep_page_is_its_median_over_the_first_ones() -> None:
    runs = of(seen(10, 10, 10), seen(12, 12, 40))
    assert deep_ratio(runs["pages"]) == pytest.approx(1.2)
    assert verdicts(runs)[1]
    text, is_reached = verdicts(of(seen(10), seen(13)))
    assert ("1.30 × the first page's median (≤ 1.25) NO" in text, is_reached) == (True, False)
    text, is_reached = verdicts(of(seen(), seen(13)))
    assert ("page at 90 %: not measured" in text, is_reached) == (True, False)


def test_the_table_names_what_failed() -> None:
    lines = table(
        {"pages": {"first page": seen(1.0, 2.0, 60.0), "page at 90 %": seen(4.0, TimeoutError=2)}}
    ).splitlines()
    assert lines[2] == "| pages | first page | 3 | 2.0 | 60.0 | 60.0 | NO |"
    assert lines[3] == "| pages | page at 90 % | 3 | 4.0 | 4.0 | 4.0 | NO (2 × TimeoutError) |"


async def test_a_service_that_is_away_has_no_figure() -> None:
    known = Known(PEOPLE, {"t1": "a", "t2": "b"})
    found = await drive("http://127.0.0.1:1", known, RUNS["pages"], 0.05, seed=1)
    for kind in found.values():
        assert len(kind.records) == 0
        assert not kind.is_fast
        assert sum(kind.failures.values()) == 10


def test_each_kind_of_request_asks_what_its_name_says() -> None:
    known, rng = Known(PEOPLE, {"t1": "a", "t2": "b"}), Random(1)
    asked = {kind: ask(PEOPLE[0], known, rng) for kinds in RUNS.values() for kind, ask in kinds.items()}
    assert asked["page at 90 %"] == "/crm/contacts?after=a"
    assert asked["details"] == "/crm/contacts/1"
    assert asked["list, owner_id="] == "/crm/contacts?owner_id=owner-1"
    assert len(set(asked.values())) == len(asked)


def test_slow_statements_are_told_once(tmp_path) -> None:  # type: ignore[no-untyped-def]
    log = tmp_path / "log"
    log.write_text(
        '{"message": "slow query", "statement": "S"}\nplain\n{"message": "slow query", "statement": "S"}\n{"ms": 1}\n'
    )
    assert slow_statements(log) == ["S"]


def test_a_small_run_fills_starts_and_measures(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--rows", "2000", "--seconds", "0.2"])
    told = capsys.readouterr()
    assert code in (0, 1)  # how fast it is here is not what this is about
    assert "of 200 tenants in" in told.err
    assert "| details | details | 40 |" in told.out
    assert "503" not in told.out
    assert " 404" not in told.out
