import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.core import scalars
from gateway.core.rate_limit import Window
from gateway.core.throughput import Throughput

GOOD: list[tuple[str, str, Any]] = [
    ("Duration", "250ms", 0.25),
    ("Duration", "30s", 30.0),
    ("Duration", "5m", 300.0),
    ("Duration", "24h", 86_400.0),
    ("Duration", "7d", 604_800.0),
    ("Duration", "0s", 0.0),
    ("DurationOrNone", "none", None),
    ("DurationOrNone", "1s", 1.0),
    ("Size", "512B", 512),
    ("Size", "32KiB", 32_768),
    ("Size", "10MiB", 10_485_760),
    ("Size", "1GiB", 1_073_741_824),
    ("Rate", "10/s", Window(10, 1_000)),
    ("Rate", "60/min", Window(60, 60_000)),
    ("Rate", "1000/h", Window(1_000, 3_600_000)),
    ("Rate", "5/d", Window(5, 86_400_000)),
    ("FlowOrNone", "2KiB/10s", Throughput(2048, 10.0)),
    ("FlowOrNone", "1MiB/1m", Throughput(1_048_576, 60.0)),
    ("FlowOrNone", "none", None),
    ("Percent", "20%", 0.2),
    ("Percent", "100%", 1.0),
    ("Claim", "claim:account.id", "account.id"),
    ("Claim", "claim:https://a/b", "https://a/b"),
    ("Id", "crm-write", "crm-write"),
]
BAD: list[tuple[str, Any]] = [
    *[("Duration", value) for value in (30, 1.5, "30", "30 s", "-1s", "1.5s", "none", "", None, "1s\n", True, [])],
    *[("DurationOrNone", value) for value in ("None", 0, "")],
    *[("Size", value) for value in (1024, "1KB", "1.5MiB", "10", "MiB")],
    *[("Rate", value) for value in ("60", "60/m", "0/s", "60/minute", 60, "99999999999999/d")],
    *[("FlowOrNone", value) for value in ("2KiB", "2KiB/s", "0B/10s", "2KiB/0s", "2KB/10s", "2/10s", "2KiB/10", 240)],
    *[("Percent", value) for value in (20, "101%", "20", "0.2", "-1%")],
    *[("Claim", value) for value in ("tenant_id", "claim:", "claim:a..b", "claim:.a")],
    *[("Id", value) for value in ("Crm", "1a", "a_b", "a" * 64, "", "a\n", 7)],
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_what_is_written_is_read(kind: str, text: str, value: Any) -> None:
    assert TypeAdapter(getattr(scalars, kind)).validate_python(text) == value


@pytest.mark.parametrize(("kind", "value"), BAD)
def test_what_is_not_is_refused_with_an_example(kind: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(getattr(scalars, kind)).validate_python(value)
    (fault,) = caught.value.errors()
    assert any(said in fault["msg"] for said in ("write it like", "out of range", "more than 100%"))


@pytest.mark.parametrize("kind", ["Duration", "DurationOrNone", "Size", "Rate", "FlowOrNone", "Percent", "Claim", "Id"])
def test_the_schema_agrees_with_the_reader(kind: str) -> None:
    adapter = TypeAdapter(getattr(scalars, kind))
    pattern = re.compile(adapter.json_schema()["pattern"])
    for name, text, _ in GOOD:
        if name == kind:
            assert pattern.search(text)
    for name, value in BAD:
        if name == kind and isinstance(value, str) and "\n" not in value and value not in {"0/s", "101%"}:
            assert not pattern.search(value) or value.startswith("999")


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_are_their_number_of_their_unit(number: int, unit: str) -> None:
    assert scalars.parse_duration(f"{number}{unit}") == number * scalars.parse_duration(f"1{unit}")


def test_settings_refuse_unknown_keys_and_changes() -> None:
    class Example(scalars.Settings):
        ttl: scalars.Duration

    with pytest.raises(ValidationError, match="extra"):
        Example.model_validate({"ttl": "1s", "tll": "1s"})
    example = Example.model_validate({"ttl": "1s"})
    with pytest.raises(ValidationError, match="frozen"):
        example.ttl = 2.0
