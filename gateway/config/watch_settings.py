"""`gateway.watch`: going back by itself where a new table makes its routes fail."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from gateway.core.scalars import Duration, Settings
from gateway.core.schema_hints import written

_RULE = re.compile(r"error_rate\s*>\s*(\d{1,2})%")


def _rollback_if(value: Any) -> float:
    found = _RULE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('write it like "error_rate > 5%", with a whole number below 100')
    return int(found[1]) / 100


class Watch(Settings):
    """rollback_if is read as a fraction."""

    for_: Annotated[Duration, Field(gt=0)] = Field(60.0, alias="for", description="How long a new table is watched.")
    rollback_if: Annotated[
        float,
        BeforeValidator(_rollback_if, json_schema_input_type=str),
        written(r"^error_rate\s*>\s*\d{1,2}%$", "error_rate > 5%"),
    ] = Field(description='Which share of 5xx among the requests of the changed routes is too much: "error_rate > 5%".')
