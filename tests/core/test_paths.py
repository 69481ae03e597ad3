import pytest

from gateway.core.paths import Param, PathNotCanonical, normal_form, parse_pattern


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/.well-known/jwks.json", "/.well-known/jwks.json"),
        ("/a/...", "/a/..."),
        ("/%61%2D%7e", "/a-~"),
        ("/deals/7%3aconvert", "/deals/7:convert"),
        ("/a%20b%2b", "/a%20b+"),
        ("/%c3%a9", "/%C3%A9"),
        ("/%3b%3f%23%25", "/%3B%3F%23%25"),
        ('/a|b"c', "/a%7Cb%22c"),
        ("/a%7cb%22c", "/a%7Cb%22c"),
        ("/%252e%252e", "/%252e%252e"),
    ],
)
def test_there_is_one_normal_form(raw: str, expected: str) -> None:
    assert normal_form(raw) == expected
    assert normal_form(expected) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "no leading slash"),
        ("*", "no leading slash"),
        ("a/b", "no leading slash"),
        ("//a", "empty segment"),
        ("/a//b", "empty segment"),
        ("/a//", "empty segment"),
        ("//", "empty segment"),
        ("/.", "dot segment"),
        ("/..", "dot segment"),
        ("/a/./b", "dot segment"),
        ("/a/../b", "dot segment"),
        ("/a/%2e%2E/b", "dot segment"),
        ("/a/.%2e", "dot segment"),
        ("/a%2fb", "encoded slash"),
        ("/a%5Cb", "encoded backslash"),
        ("/a\\b", "backslash"),
        ("/a;b=c", "path parameter"),
        ("/a/..;/b", "path parameter"),
        ("/a#b", "fragment"),
        ("/a?b", "question mark"),
        ("/a%00", "control character"),
        ("/a%7f", "control character"),
        ("/a%0d%0a", "control character"),
        ("/a b", "not encoded"),
        ("/a\r\nb", "not encoded"),
        ("/é", "not encoded"),
        ("/a%", "two hex digits"),
        ("/a%4", "two hex digits"),
        ("/a%zz", "two hex digits"),
        ("/%c0%af", "not UTF-8"),
        ("/%ff", "not UTF-8"),
    ],
)
def test_what_two_servers_may_read_differently_is_refused(raw: str, reason: str) -> None:
    with pytest.raises(PathNotCanonical, match=reason) as caught:
        normal_form(raw)
    assert caught.value.reason in str(caught.value)


def test_patterns_are_read() -> None:
    assert parse_pattern("/").segments == ()
    assert parse_pattern("/*").is_prefix
    pattern = parse_pattern("/a/{id}/b/{line_no:int}/*")
    assert pattern.segments == ("a", Param("id", False), "b", Param("line_no", True))
    assert pattern.is_prefix
    assert pattern.names == ("id", "line_no")
    assert pattern.text == "/a/{id}/b/{line_no:int}/*"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "must start with /"),
        ("", "must start with /"),
        ("/a/", "leave out the slash"),
        ("/a//b", "empty segment"),
        ("/a/*/b", "alone at the end"),
        ("/a*", "alone at the end"),
        ("/{id}/{id}", "stands twice"),
        ("/{id:float}", r"write \{id\} or \{id:int\}"),
        ("/{Id}", "no parameter"),
        ("/x{id}", "whole segment"),
        ("/{id", "no parameter"),
        ("/{}", "no parameter"),
        ("/a/../b", "dot segment"),
        ("/a%2Fb", "encoded slash"),
        ("/%61", "write a instead of %61"),
        ("/a%c3%a9", "write a%C3%A9"),
        ("/a|b", "write a%7Cb"),
        ("/a b", "not encoded"),
        ("/a;b", "path parameter"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_pattern(text)
