"""Hazard: one unlucky probe takes an endpoint out, one lucky one brings a dead one back."""

import pytest

from gateway.core.health import Health, HealthRule, ProbeRecord

RULE = HealthRule("/health", every_s=5.0, timeout_s=1.0, healthy_after=2, unhealthy_after=3)


def states(results: str) -> list[Health]:
    """After each of these results: + is good, - is failed."""
    record = ProbeRecord()
    found = []
    for result in results:
        before = record.state
        assert record.note(RULE, is_good=result == "+") is (record.state is not before)
        found.append(record.state)
    return found


W, U = Health.WELL, Health.UNWELL


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("+", [W]),
        ("-", [U]),
        ("+--", [W, W, W]),
        ("+---", [W, W, W, U]),
        ("+--+--", [W] * 6),
        ("-+", [U, U]),
        ("-++", [U, U, W]),
        ("-+-++", [U, U, U, U, W]),
        ("-++---", [U, U, W, W, W, U]),
    ],
)
def test_only_a_row_turns_it_and_the_first_probe_decides_at_once(results: str, expected: list[Health]) -> None:
    assert states(results) == expected


def test_a_doubt_makes_good_probes_count_anew_and_failed_ones_go_on() -> None:
    record = ProbeRecord()
    for is_good in (False, True):
        record.note(RULE, is_good=is_good)
    record.doubt()
    assert not record.note(RULE, is_good=True)
    assert record.note(RULE, is_good=True)
    for _ in range(2):
        record.note(RULE, is_good=False)
    record.doubt()
    assert record.note(RULE, is_good=False)
