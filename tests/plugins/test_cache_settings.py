"""What may stand under `cache`, and what is refused when the table is loaded."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from plugins.cache_settings import CacheSettings, Policy


def read(policy: Any) -> CacheSettings:
    settings: CacheSettings = TypeAdapter(Policy).validate_python(policy)
    return settings


def test_the_short_form_is_a_duration() -> None:
    assert read("3m") == read({"ttl": "3m"})
    assert read("3m").ttl == 180.0


def test_what_is_left_out() -> None:
    settings = read({"scope": "tenant"})
    assert (settings.ttl, settings.override, settings.stale, settings.stale_if_error) == (None, False, 0.0, 0.0)
    assert (settings.layers, settings.max_size, settings.negative, settings.warm) == (("l1", "l2"), 1 << 20, {}, None)


def test_the_long_form() -> None:
    settings = read(
        {
            "ttl": "180s",
            "override": True,
            "scope": "user",
            "vary": ["X-Plan", "accept-language", "x-plan"],
            "stale": "30s",
            "stale_if_error": "1h",
            "negative": {404: "5s", 503: "1s"},
            "heuristic": True,
            "tags": ["crm:{tenant}"],
            "max_size": "64KiB",
            "layers": ["l2"],
            "warm": ["/a?x=1"],
        }
    )
    assert settings.vary == ("x-plan", "accept-language")
    assert settings.negative == {404: 5.0, 503: 1.0}
    assert settings.warm is not None
    assert (settings.warm.paths, settings.warm.every, settings.warm.after) == (("/a?x=1",), None, 900.0)
    long = read({"warm": {"paths": ["/a"], "every": "10m", "after": "1h"}}).warm
    assert long is not None
    assert (long.every, long.after) == (600.0, 3_600.0)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"ttl": 180}, "write it like 30s"),
        ({"scope": "everybody"}, "public"),
        ({"override": True}, "override needs a ttl"),
        ({"vary": ["a b"]}, "not a header name"),
        ({"vary": ["ü"]}, "not a header name"),
        ({"vary": "accept"}, "valid tuple"),
        ({"negative": {200: "5s"}}, "300 to 599"),
        ({"negative": {404: 5}}, "write it like 30s"),
        ({"negative": {"all": "5s"}}, "valid integer"),
        ({"layers": []}, "at least 1"),
        ({"layers": ["l3"]}, "l1"),
        ({"max_size": 10}, "size"),
        ({"warm": []}, "at least 1"),
        ({"warm": ["a"]}, "is not a path"),
        ({"warm": ["/a b"]}, "is not a path"),
        ({"warm": ["/a#b"]}, "is not a path"),
        ({"warm": {"paths": ["/a"], "every": "0s"}}, "greater than 0"),
        ({"time": "3m"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(policy: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(policy)
    assert said in str(caught.value)
