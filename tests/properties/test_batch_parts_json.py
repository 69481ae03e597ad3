"""No batch breaks out of its parts: whatever stands in it, heads stay clean and the answer stays JSON."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.batch_parts import METHODS, BatchInvalid, Part, PartRefused, PartReply, join_replies, read_parts
from gateway.core.headers import HOP_BY_HOP
from gateway.core.identity import IDENTITY_HEADERS

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["X-A", "host", "x_tenant_id", "Content-Type", "Connection", "a\r\nb", "é", ""]) | st.text(
    max_size=6
)
texts = st.sampled_from(["application/json", "text/csv", "a\r\nx-b: c", " "]) | st.text(max_size=8)
parts = st.fixed_dictionaries(
    {"id": st.integers(0, 9) | st.text(max_size=3), "path": st.just("/a") | st.text(max_size=8).map("/".__add__)},
    optional={
        "method": st.sampled_from([*sorted(METHODS), "TRACE"]),
        "headers": st.dictionaries(names, texts, max_size=3),
        "body": values,
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(parts | values, min_size=1, max_size=4) | values)
def test_a_part_that_is_taken_has_a_clean_head(requests: Any) -> None:
    try:
        found = read_parts(json.dumps({"requests": requests}).encode(), 20)
    except BatchInvalid:
        return
    assert [part_id for part_id, _ in found] == [request["id"] for request in requests]
    for _, part in found:
        if isinstance(part, PartRefused):
            continue
        assert isinstance(part, Part)
        assert part.method in METHODS
        assert part.target.isascii()
        assert part.target.isprintable()
        assert " " not in part.target
        for name, value in part.lines:
            assert name == name.lower()
            assert name.replace(b"_", b"-") not in HOP_BY_HOP | IDENTITY_HEADERS | {b"host", b"content-length"}
            assert not set(name + value) & {0, 10, 13}


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read_parts(body, 20)
    except BatchInvalid:
        pass


replies = st.builds(
    PartReply,
    st.integers(200, 599),
    st.lists(
        st.tuples(st.sampled_from([b"content-type", b"x-a", b"set-cookie"]), st.binary(max_size=8))
        | st.just((b"content-type", b"application/json"))
        | st.just((b"content-type", b"text/plain")),
        max_size=4,
    ).map(tuple),
    st.binary(max_size=20) | values.map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers() | st.text(max_size=4), replies), max_size=4))
def test_the_answer_is_json_whatever_the_parts_replied(drawn: list[tuple[int | str, PartReply]]) -> None:
    responses = json.loads(join_replies(drawn))["responses"]
    assert [response["id"] for response in responses] == [part_id for part_id, _ in drawn]
    assert [response["status"] for response in responses] == [reply.status for _, reply in drawn]
    for response in responses:
        assert response.keys() - {"encoding"} == {"id", "status", "headers", "body"}
