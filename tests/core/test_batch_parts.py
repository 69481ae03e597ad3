import json
from typing import Any

import pytest

from gateway.core.batch_parts import Part, PartReply, join_replies, read_parts


def read(part: dict[str, Any]) -> Part:
    [(_, found)] = read_parts(json.dumps({"requests": [{"id": 1, "path": "/a"} | part]}).encode(), 20)
    assert isinstance(found, Part)
    return found


@pytest.mark.parametrize(
    ("part", "body", "content_type"),
    [
        ({"body": {"é": [1, None]}}, b'{"\\u00e9":[1,null]}', b"application/json"),
        ({"body": ""}, b'""', b"application/json"),
        ({"body": False}, b"false", b"application/json"),
        (
            {"body": {}, "headers": {"Content-Type": "application/merge-patch+json"}},
            b"{}",
            b"application/merge-patch+json",
        ),
        ({"body": "a,é", "headers": {"CONTENT-TYPE": "text/csv"}}, "a,é".encode(), b"text/csv"),
        ({"body": None}, b"", None),
        ({}, b"", None),
    ],
)
def test_a_body_is_json_unless_its_type_says_otherwise(
    part: dict[str, Any], body: bytes, content_type: bytes | None
) -> None:
    found = read(part | {"method": "POST"})
    assert found.body == body
    assert dict(found.lines).get(b"content-type") == content_type


def test_a_part_is_a_get_unless_said() -> None:
    assert read({}) == Part(1, "GET", "/a", (), b"")


def test_ids_of_two_kinds_are_two() -> None:
    parts = read_parts(b'{"requests": [{"id": 1, "path": "/"}, {"id": "1", "path": "/"}]}', 20)
    assert [part_id for part_id, _ in parts] == [1, "1"]


def answer(content_type: str | None, body: bytes, **more: str) -> Any:
    lines = [] if content_type is None else [(b"content-type", content_type.encode())]
    joined = join_replies([("a", PartReply(200, (*lines, *((k.encode(), v.encode()) for k, v in more.items())), body))])
    return joined, json.loads(joined)["responses"][0]


@pytest.mark.parametrize(
    ("content_type", "body", "expected", "encoding"),
    [
        ("application/json", b'{"a": 1.10}', {"a": 1.1}, None),
        ("application/problem+json; charset=utf-8", b"[1]", [1], None),
        ("application/json", b"", None, None),
        ("application/json", b'{"broken"', "eyJicm9rZW4i", "base64"),
        ("application/json", b"NaN", "TmFO", "base64"),
        ("application/json", b"1, 2", "MSwgMg==", "base64"),
        ("application/json", b"[" * 50_000 + b"]" * 50_000, None, "base64"),
        ("text/csv", "a,é".encode(), "a,é", None),
        ("text/plain", b"\xff", "/w==", "base64"),
        ("image/png", b"\x89PNG", "iVBORw==", "base64"),
        (None, b"x", "eA==", "base64"),
    ],
)
def test_bodies_by_type(content_type: str | None, body: bytes, expected: Any, encoding: str | None) -> None:
    _, response = answer(content_type, body)
    assert response.get("encoding") == encoding
    if expected is not None or not body:
        assert response["body"] == expected


def test_numbers_are_not_written_anew() -> None:
    joined, _ = answer("application/json", b'{"total": 1.10, "big": 12345678901234567890.00}')
    assert b'{"total": 1.10, "big": 12345678901234567890.00}' in joined


def test_repeated_lines_are_joined_but_cookies_listed() -> None:
    lines = ((b"vary", b"a"), (b"set-cookie", b"a=1, b"), (b"vary", b"b"), (b"set-cookie", b"c=2"))
    [response] = json.loads(join_replies([(1, PartReply(204, lines, b""))]))["responses"]
    assert response == {
        "id": 1,
        "status": 204,
        "headers": {"vary": "a, b", "set-cookie": ["a=1, b", "c=2"]},
        "body": None,
    }
