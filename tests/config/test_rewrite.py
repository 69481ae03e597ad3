"""The target for the upstream: no request reaches it another way than its route says."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Rewrite
from gateway.config.rewrite import RewriteInvalid, compile_rewrite
from gateway.core.headers import Headers
from gateway.core.routing import normal_form, parse_pattern
from gateway.plugin_api import Exchange


def rewrite(settings: dict[str, str], pattern: str, target: str, params: Mapping[str, str] | None = None) -> str:
    exchange = Exchange(method="GET", target=target, headers=Headers())
    exchange.path = normal_form(target.partition("?")[0])
    exchange.params = params or {}
    return compile_rewrite(Rewrite.model_validate(settings), parse_pattern(pattern))(exchange)


@pytest.mark.parametrize(
    ("settings", "target", "expected"),
    [
        ({"strip": "/api/v1"}, "/api/v1/crm/x", "/crm/x"),
        ({"strip": "/api/v1"}, "/api/v1/crm/x?a=1&b=%2F?", "/crm/x?a=1&b=%2F?"),
        ({"strip": "/api/v1"}, "/api/v1/crm/a%20b%3Fc", "/crm/a%20b%3Fc"),
        ({"strip": "/api/v1"}, "/%61pi/v1/crm/%61", "/crm/a"),
        ({"strip": "/api/v1"}, "/api/v1", "/"),
        ({"strip": "/api/v1"}, "/api/v1?q", "/?q"),
        ({"strip": "/api/v1"}, "/api/v1/", "/"),
        ({"prefix": "/inner"}, "/api/v1/x/", "/inner/api/v1/x/"),
        ({"strip": "/api", "prefix": "/inner"}, "/api/v1/x?y", "/inner/v1/x?y"),
        ({"path": "/fixed"}, "/api/v1/x?y", "/fixed?y"),
    ],
)
def test_strip_prefix_and_path(settings: dict[str, str], target: str, expected: str) -> None:
    assert rewrite(settings, "/api/v1/*", target) == expected


def test_a_template_encodes_what_was_decoded() -> None:
    target = rewrite({"path": "/t/{b}/x/{a}"}, "/{a}/{b}", "/p/q?z", {"a": "1 2?#%", "b": "k:@+"})

    assert target == "/t/k:@+/x/1%202%3F%23%25?z"


@pytest.mark.parametrize(
    ("settings", "pattern", "key"),
    [
        ({"strip": "/api/v2"}, "/api/v1/*", "strip"),
        ({"strip": "/a"}, "/{x}/b", "strip"),
        ({"path": "/{y}"}, "/{x}", "path"),
    ],
)
def test_what_does_not_fit_the_match_is_refused(settings: dict[str, str], pattern: str, key: str) -> None:
    with pytest.raises(RewriteInvalid) as caught:
        compile_rewrite(Rewrite.model_validate(settings), parse_pattern(pattern))
    assert caught.value.key == key


def _escape(text: str, which: list[bool]) -> str:
    return "".join(
        f"%{ord(char):02x}" if is_escaped and char != "/" else char
        for char, is_escaped in zip(text, which, strict=True)
    )


@given(
    rest=st.from_regex(r"(/[a-z0-9_~-]{1,6}){0,4}", fullmatch=True),
    query=st.sampled_from(["", "?", "?a=b", "?/api/v1"]),
    data=st.data(),
)
def test_however_it_is_escaped_the_upstream_sees_the_path_without_its_prefix(
    rest: str, query: str, data: st.DataObject
) -> None:
    path = f"/api/v1{rest}"
    raw = _escape(path, data.draw(st.lists(st.booleans(), min_size=len(path), max_size=len(path))))

    target = rewrite({"strip": "/api/v1"}, "/api/v1/*", raw + query)

    seen, mark, kept = target.partition("?")
    assert normal_form(seen) == (rest or "/")
    assert mark + kept == query
