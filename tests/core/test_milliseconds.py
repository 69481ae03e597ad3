from hypothesis import given
from hypothesis import strategies as st

from gateway.core.milliseconds import decimal, milliseconds


def test_three_digits_after_the_point() -> None:
    assert ["".join(milliseconds(seconds)) for seconds in (0.0, 0.0000004, 0.0123456, 1.0005, 86_400.0)] == [
        "0.000",
        "0.000",
        "12.346",
        "1000.500",
        "86400000.000",
    ]


@given(st.floats(min_value=0, max_value=1e6))
def test_it_is_the_number_to_half_a_microsecond(seconds: float) -> None:
    whole, _, digits = "".join(milliseconds(seconds)).partition(".")
    assert whole.isdecimal() and len(digits) == 3
    assert abs(float(f"{whole}.{digits}") - seconds * 1000) <= 0.0005 + seconds * 1e-9


@given(st.integers(-10, 2000) | st.integers())
def test_a_whole_number_is_written_as_ever(number: int) -> None:
    assert decimal(number) == str(number)
