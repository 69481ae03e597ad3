"""Hazard: every endpoint is ejected and nobody is left, or one that fails for days comes back every half minute."""

import pytest

from gateway.core.ejection import EjectionRecord, EjectRule, IllegalTransitionError, may_eject

RULE = EjectRule(errors=3, for_s=30.0, at_most=0.5)


@pytest.mark.parametrize(
    ("endpoints", "ejected", "in_rotation", "at_most", "expected"),
    [
        (1, 0, 1, 1.0, False),  # the only one
        (2, 0, 2, 0.5, True),
        (2, 0, 2, 0.1, True),  # a share of less than one is one
        (2, 0, 2, 0.0, True),
        (2, 0, 1, 1.0, False),  # the other one is unhealthy
        (3, 0, 3, 0.5, True),
        (3, 1, 2, 0.5, False),  # half of three is one
        (4, 1, 3, 0.5, True),
        (4, 2, 2, 0.5, False),
        (4, 3, 1, 1.0, False),  # the last one, whatever at_most says
        (100, 28, 72, 0.29, True),  # 0.29 is a little less than 29 hundredths
        (100, 29, 71, 0.29, False),
    ],
)
def test_the_ceiling(endpoints: int, ejected: int, in_rotation: int, at_most: float, expected: bool) -> None:
    assert may_eject(endpoints, ejected, in_rotation, at_most) is expected


def test_it_stays_out_longer_each_time_up_to_ten_times_and_quiet_is_forgiven() -> None:
    record = EjectionRecord()
    now_s = 0.0
    times = []
    for _ in range(6):
        out_s = record.eject(now_s, RULE)
        now_s += out_s
        record.bring_back(now_s)
        times.append(out_s)
    assert times == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]
    # Three times `for` without being ejected take three doublings back: 6 of them to 3.
    assert record.eject(now_s + 95.0, RULE) == 240.0


def test_a_success_breaks_the_row_and_what_comes_while_it_is_out_is_not_counted() -> None:
    record = EjectionRecord()
    record.failed("reset")
    record.failed("connect")
    assert (record.failures, record.cause) == (2, "connect")
    record.succeeded()
    assert record.failures == 0
    record.failed("503")
    record.eject(0.0, RULE)
    record.failed("reset")
    assert (record.failures, record.cause) == (0, "503")


def test_transitions_that_there_are_not_raise_and_change_nothing() -> None:
    record = EjectionRecord()
    with pytest.raises(IllegalTransitionError):
        record.bring_back(0.0)
    record.eject(0.0, RULE)
    before = repr(record)
    with pytest.raises(IllegalTransitionError):
        record.eject(1.0, RULE)
    assert repr(record) == before
