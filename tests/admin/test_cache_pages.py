"""What operators read of the cache, and what they may write to it."""

import json
from typing import Any

import pytest

from gateway.admin.cache_pages import cache_rows, read_purge
from gateway.core.kept_replies import Purge


def test_a_route_has_a_row_with_its_hit_ratio() -> None:
    counters = {
        "gateway_cache_requests": [
            ({"route": "crm", "result": "hit-l1"}, 6.0),
            ({"route": "crm", "result": "hit-l2"}, 1.0),
            ({"route": "crm", "result": "coalesced"}, 1.0),
            ({"route": "crm", "result": "miss"}, 2.0),
            ({"route": "crm", "result": "bypass"}, 5.0),
            ({"route": "idle", "result": "miss"}, 0.0),
            ({"route": "by", "result": "bypass"}, 1.0),
        ],
        "gateway_cache_bytes": [({"route": "crm", "layer": "l1"}, 100.0), ({"route": "crm", "layer": "l2"}, 20.0)],
    }
    rows = cache_rows(lambda name: counters[name])
    assert [(row["route"], row["hit_ratio"], row["bytes"]) for row in rows] == [("by", None, 0), ("crm", "80.0%", 120)]
    assert (rows[1]["hit-l1"], rows[1]["stale"], rows[1]["miss"], rows[1]["bypass"]) == (6, 0, 2, 5)
    assert cache_rows(lambda name: []) == []


@pytest.mark.parametrize(
    ("body", "purge"),
    [
        ({"tags": ["a", "b"]}, Purge(tags=("a", "b"))),
        ({"all": True}, Purge(everything=True)),
        (
            {"urls": [{"url": "https://API.example/a/%41?x=%2F", "tenant": "acme"}]},
            Purge(keys=(("t4:acme", "https", "api.example", "/a/A", "x=%2F"),)),
        ),
        ({"urls": [{"url": "http://h:8080"}]}, Purge(keys=(("", "http", "h:8080", "/", ""),))),
        (
            {"urls": [{"url": "http://h/", "tenant": "a", "user": "u"}], "tags": ["t"]},
            Purge(tags=("t",), keys=(("u1:a:u", "http", "h", "/", ""),)),
        ),
    ],
)
def test_a_purge_is_read(body: Any, purge: Purge) -> None:
    assert read_purge(json.dumps(body).encode()) == purge


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "write"),
        (b"{}", "write"),
        (b'{"tag": ["a"]}', "write"),
        (b'{"tags": "a"}', "list of texts"),
        (b'{"tags": [1]}', "list of texts"),
        (b'{"tags": [""]}', "list of texts"),
        (b'{"tags": []}', "names nothing"),
        (b'{"all": false}', "names nothing"),
        (b'{"all": "yes"}', "true or false"),
        (b'{"urls": ["http://h/"]}', "list of mappings"),
        (b'{"urls": [{"tenant": "a"}]}', "of a url, say"),
        (b'{"urls": [{"url": "http://h/", "scope": "a"}]}', "of a url, say"),
        (b'{"urls": [{"url": "http://h/", "tenant": 1}]}', "of a url, say"),
        (b'{"urls": [{"url": "http://h/", "user": "u"}]}', "one of a tenant"),
        (b'{"urls": [{"url": "/a"}]}', "begins with"),
        (b'{"urls": [{"url": "ftp://h/a"}]}', "begins with"),
        (b'{"urls": [{"url": "http://h/a/../b"}]}', "no URL that is served here"),
        (b'{"urls": [{"url": "http://[h/"}]}', "no URL that is served here"),
    ],
)
def test_what_is_no_purge_is_refused_with_what_to_write(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_purge(body)
