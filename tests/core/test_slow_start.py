"""Hazard: an endpoint that has just started gets everything at once, or never gets its full share back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.slow_start import FIRST_SHARE, share


@pytest.mark.parametrize(("elapsed_s", "expected"), [(0.0, 0.1), (2.9, 0.1), (15.0, 0.5), (30.0, 1.0), (99.0, 1.0)])
def test_the_share_grows_in_a_straight_line(elapsed_s: float, expected: float) -> None:
    assert share(elapsed_s, 30.0) == pytest.approx(expected)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0.001, 1000))
def test_it_never_shrinks_and_stays_between_its_bounds(one: float, more: float, slow_start_s: float) -> None:
    assert FIRST_SHARE <= share(one, slow_start_s) <= share(one + more, slow_start_s) <= 1.0
