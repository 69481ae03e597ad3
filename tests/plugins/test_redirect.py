from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugins.redirect import Redirect
from tests.support.plugins import build, exchange


def location(policy: Any, target: str, pattern: str = "/old/*") -> tuple[int, str]:
    answer = build(Redirect, policy, pattern=pattern).on_request(exchange(target=target))
    assert answer.body == b""
    return answer.status, (answer.headers.get(b"location") or b"").decode("latin-1")


@pytest.mark.parametrize(
    ("to", "target", "expected"),
    [
        ("/new/", "/old/a/b", "/new/a/b"),
        ("/new/", "/old/a/b/", "/new/a/b/"),
        ("/new/", "/old", "/new/"),
        ("/new/", "/old/", "/new/"),
        ("/new/", "/old/a%20b%2bc?x=1&y=%2F", "/new/a%20b%2bc?x=1&y=%2F"),
        ("/", "/old/a", "/a"),
        ("/new", "/old/a", "/new"),
        ("/new?from=old", "/old/a?x=1", "/new?from=old&x=1"),
        ("https://new.example/v2/", "/old/a?x=1", "https://new.example/v2/a?x=1"),
        ("https://new.example", "/old/a", "https://new.example"),
    ],
)
def test_the_rest_and_the_query_are_kept(to: str, target: str, expected: str) -> None:
    assert location(to, target) == (308, expected)


def test_without_a_star_the_place_is_fixed() -> None:
    assert location("/new/", "/old/a", "/old/{id}") == (308, "/new/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_status_is_the_operators_choice(status: int) -> None:
    assert location({"to": "/new", "status": status}, "/old") == (status, "/new")


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("new", "not a place"),
        ("//evil.example/", "not a place"),
        ("/\\evil.example", "not a place"),
        ("javascript:alert(1)", "not a place"),
        ("ftp://a.example/", "not a place"),
        ("https://user@a.example/", "not a place"),
        ("/a b", "not a place"),
        ("/a\r\nx: y", "not a place"),
        ("/{id}", "not a place"),
        ({"to": "/a", "status": 304}, "308"),
        ({"status": 308}, "to"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build(Redirect, policy)


@given(st.text("/\\.:@%ae", max_size=12))
def test_no_request_is_sent_to_another_host(rest: str) -> None:
    _, place = location("/", "/old/" + rest)
    assert place.startswith("/")
    assert not place.startswith(("//", "/\\"))
