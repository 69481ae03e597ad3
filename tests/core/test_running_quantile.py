"""Hazard: a quantile of another time, or of too little."""

from gateway.core.running_quantile import RunningQuantile


def test_nothing_is_said_of_too_few() -> None:
    quantile = RunningQuantile(0.95, least=3)
    quantile.add(1.0)
    quantile.add(2.0)
    assert quantile.value is None
    quantile.add(3.0)
    assert quantile.value == 3.0
    assert repr(quantile) == "<RunningQuantile q=0.95 of 3: 3.0>"


def test_it_is_the_nearest_rank() -> None:
    quantile = RunningQuantile(0.95, size=100)
    for value in range(100, 0, -1):
        quantile.add(float(value))
    assert quantile.value == 95.0


def test_what_is_older_than_its_size_is_forgotten() -> None:
    quantile = RunningQuantile(0.5, size=10, least=1)
    for value in (*[100.0] * 50, *[1.0] * 10):
        quantile.add(value)
    assert quantile.value == 1.0
