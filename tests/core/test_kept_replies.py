"""Hazard: a purge that is read as something else than was sent, a coding sent to who does not take it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.cache_reply import StoredReply
from gateway.core.kept_replies import Purge, Sought, Ticket, Variant, scope_text, upstream_coding

texts = st.text(max_size=10)


def stored(*headers: tuple[bytes, bytes], body: bytes = b"", is_recoded: bool = False) -> StoredReply:
    return StoredReply(
        status=200,
        headers=headers,
        body=body,
        response_time_s=0.0,
        initial_age_s=0.0,
        lifetime_s=60.0,
        is_recoded=is_recoded,
    )


@given(st.lists(texts).map(tuple), st.lists(st.tuples(texts, texts, texts, texts, texts)).map(tuple), st.booleans())
def test_a_purge_comes_out_as_it_went_in(tags: tuple[str, ...], keys: tuple[tuple[str, ...], ...], all_: bool) -> None:
    purge = Purge(tags, keys, all_)  # type: ignore[arg-type]
    assert Purge.decode(purge.encode()) == purge
    assert Purge.of(json.loads(json.dumps(purge._asdict()))) == purge


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "1", "{}", '{"tags": 1, "keys": [], "everything": false}'),
        '{"tags": [1], "keys": [], "everything": false}',
        '{"tags": [], "keys": [["a"]], "everything": false}',
        '{"tags": [], "keys": [[1, 2, 3, 4, 5]], "everything": false}',
        "[" * 100_000,
    ],
)
def test_what_is_no_purge_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        Purge.decode(text)


def test_scopes_are_spelled_apart() -> None:
    spelled = [
        scope_text(),
        scope_text("a"),
        scope_text("a", "b"),
        scope_text("a:b"),
        scope_text("a", ""),
        scope_text(""),
    ]
    assert len(set(spelled)) == len(spelled)


@pytest.mark.parametrize(
    ("value", "coding"),
    [(b"gzip", "gzip"), (b"BR", "br"), (b"aes128gcm", None), (b"aes128gcm, gzip", "aes128gcm, gzip")],
)
def test_a_coding_that_the_upstream_chose_for_a_client_is_known(value: bytes, coding: str | None) -> None:
    assert upstream_coding(stored((b"content-encoding", value))) == coding
    assert upstream_coding(stored((b"content-encoding", value), is_recoded=True)) is None
    assert upstream_coding(stored()) is None


def test_a_variant_counts_its_body_and_its_lines() -> None:
    small, large = Variant(b"n", stored()), Variant(b"n", stored((b"a", b"b" * 100), body=b"c" * 1_000))
    assert large.size - small.size == 1_101
    assert "200" in repr(large)


def test_a_ticket_knows_its_key() -> None:
    sought = Sought(("", "http", "h", "/", ""), "g", (), lambda vary: b"n", lambda kept: True, (), True, True)
    ticket = Ticket(sought, b"n", 3)
    assert ticket.key == sought.key
    assert repr(ticket) == "<Ticket open>"
    ticket.is_over = True
    assert repr(ticket) == "<Ticket over>"
