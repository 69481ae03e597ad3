"""The scalars of routes.yaml as pydantic types: every number has a unit (durations, sizes, rates, percents).

Each type reads the text form and holds a plain number or tuple: `Duration` seconds, `Size` bytes, `Percent` a fraction,
`Flow` a `Throughput`.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.core.rate_limit import Window
from gateway.core.throughput import Throughput

_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB)")
_RATE = re.compile(r"(\d+)/(s|min|h|d)")
_FLOW = re.compile(r"([1-9]\d*(?:B|KiB|MiB|GiB))/([1-9]\d*(?:ms|s|m|h))")
_PERCENT = re.compile(r"(\d+)%")
_CLAIM = re.compile(r"claim:([A-Za-z0-9_:/-]+(?:\.[A-Za-z0-9_:/-]+)*)")
_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NUMBER_AND_UNIT = re.compile(r"(\d+)\s*(/?)\s*([A-Za-z]+)")
_OTHER_NAMES = {
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), ("ms",)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("s",)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), ("m", "min")),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), ("h",)),
    **dict.fromkeys(("d", "day", "days"), ("d",)),
    **dict.fromkeys(("b", "byte", "bytes"), ("B",)),
    **dict.fromkeys(("k", "kb", "ki", "kib"), ("KiB",)),
    **dict.fromkeys(("mb", "mi", "mib"), ("MiB",)),
    **dict.fromkeys(("g", "gb", "gi", "gib"), ("GiB",)),
}
_PERIOD_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class Settings(BaseModel):
    """Base of every section and policy: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _read(pattern: re.Pattern[str], value: Any, kind: str, example: str) -> re.Match[str]:
    match = pattern.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        shown = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
        raise PydanticCustomError(
            kind,
            "{shown} is not {article} {kind}: write it like {example}{hint}",
            {
                "shown": shown,
                "article": "an" if kind == "id" else "a",
                "kind": kind,
                "example": example,
                "hint": _nearest(pattern, value),
            },
        )
    return match


def _nearest(pattern: re.Pattern[str], value: Any) -> str:
    """What was probably meant by a number whose unit is written in another way."""
    parts = _NUMBER_AND_UNIT.fullmatch(value) if isinstance(value, str) else None
    for unit in _OTHER_NAMES.get(parts[3].lower(), ()) if parts else ():
        if parts and pattern.fullmatch(meant := f"{parts[1]}{parts[2]}{unit}"):
            return f"; did you mean {meant}?"
    return ""


def parse_duration(value: Any) -> float:
    """`250ms`, `30s`, `5m`, `24h`, `7d` -> seconds."""
    match = _read(_DURATION, value, "duration", "30s, 250ms, 5m, 24h or 7d")
    return int(match[1]) * _SECONDS[match[2]]


def parse_duration_or_none(value: Any) -> float | None:
    """As `parse_duration`; `none` -> None, which is: no limit."""
    return None if value == "none" else parse_duration(value)


def parse_size(value: Any) -> int:
    """`512B`, `32KiB`, `10MiB`, `1GiB` -> bytes."""
    match = _read(_SIZE, value, "size", "10MiB, 32KiB or 512B")
    return int(match[1]) * _BYTES[match[2]]


def parse_rate(value: Any) -> Window:
    """`60/min`, `10/s`, `1000/h`, `5/d` -> a window."""
    match = _read(_RATE, value, "rate", "60/min, 10/s, 1000/h or 5/d")
    try:
        return Window(int(match[1]), _PERIOD_MS[match[2]])
    except ValueError:
        raise PydanticCustomError(
            "rate", "{shown} is out of range: 1/d at least, about 50 million a day at most", {"shown": repr(value)}
        ) from None


def parse_flow_or_none(value: Any) -> Throughput | None:
    """`2KiB/10s`, `1MiB/1m` -> so many bytes in each so many seconds; `none` -> None, which is: no least."""
    if value == "none":
        return None
    match = _read(_FLOW, value, "flow", "2KiB/10s or 1MiB/1m, or none")
    return Throughput(parse_size(match[1]), parse_duration(match[2]))


def parse_percent(value: Any) -> float:
    """`20%` -> 0.2; 100% at most."""
    match = _read(_PERCENT, value, "percent", "20%")
    if int(match[1]) > 100:
        raise PydanticCustomError("percent", "{shown} is more than 100%", {"shown": value})
    return int(match[1]) / 100


def parse_claim(value: Any) -> str:
    """`claim:dotted.name` -> `dotted.name`."""
    return _read(_CLAIM, value, "claim", "claim:tenant_id or claim:account.id")[1]


def parse_id(value: Any) -> str:
    """A name: `[a-z][a-z0-9-]{0,62}`."""
    return _read(_ID, value, "id", "crm-write: a small letter, then small letters, digits and -")[0]


def _form(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "examples": list(examples)})


Duration = Annotated[float, BeforeValidator(parse_duration), _form(_DURATION.pattern, "30s")]
DurationOrNone = Annotated[
    float | None, BeforeValidator(parse_duration_or_none), _form(f"(none|{_DURATION.pattern})", "30s", "none")
]
Size = Annotated[int, BeforeValidator(parse_size), _form(_SIZE.pattern, "10MiB")]
Rate = Annotated[Window, BeforeValidator(parse_rate), _form(_RATE.pattern, "60/min")]
FlowOrNone = Annotated[
    Throughput | None, BeforeValidator(parse_flow_or_none), _form(f"(none|{_FLOW.pattern})", "2KiB/10s", "none")
]
Percent = Annotated[float, BeforeValidator(parse_percent), _form(r"0*(?:100|\d{1,2})%", "20%")]
Claim = Annotated[str, BeforeValidator(parse_claim), _form(_CLAIM.pattern, "claim:tenant_id")]
Id = Annotated[str, BeforeValidator(parse_id), _form(_ID.pattern, "crm-write")]
