import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.tracing import IdSource, next_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def ids() -> IdSource:
    return IdSource()


def test_an_incoming_trace_is_continued_with_a_span_of_ours():
    made = next_traceparent(f"00-{TRACE}-{SPAN}-01".encode(), ids().hex).decode()
    version, trace, span, flags = made.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert re.fullmatch("[0-9a-f]{16}", span)
    assert span != SPAN


@pytest.mark.parametrize(("flags", "passed_on"), [("00", "00"), ("01", "01"), ("03", "03"), ("ff", "03"), ("04", "00")])
def test_only_flags_that_are_known_pass(flags, passed_on):
    assert next_traceparent(f"00-{TRACE}-{SPAN}-{flags}".encode(), ids().hex).endswith(f"-{passed_on}".encode())


@pytest.mark.parametrize("incoming", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-holds"])
def test_a_later_version_is_continued_as_00(incoming):
    assert next_traceparent(incoming.encode(), ids().hex).startswith(f"00-{TRACE}-".encode())


@pytest.mark.parametrize(
    "incoming",
    [
        None,
        b"",
        b"garbage",
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{TRACE}-{SPAN}-01-".encode(),
        f"01-{TRACE}-{SPAN}-01more".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE}-{SPAN}-0".encode(),
        f"00-{TRACE}-{SPAN}-01\n".encode(),
        f" 00-{TRACE}-{SPAN}-01".encode(),
    ],
)
def test_without_a_valid_trace_a_new_one_begins(incoming):
    made = next_traceparent(incoming, ids().hex)
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", made)
    assert TRACE.encode() not in made


@given(st.binary(max_size=80))
def test_the_result_is_always_valid(incoming):
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", next_traceparent(incoming, ids().hex))


@given(st.lists(st.integers(4, 8192), max_size=30))
def test_no_random_digit_is_given_twice(counts):
    blocks = iter(range(1, 1000))
    source = IdSource(lambda size: next(blocks).to_bytes(2, "big") * (size // 2))
    seen: dict[str, int] = {}
    for count in counts:
        digits = source.hex(count)
        assert len(digits) == count
        seen[digits[:4]] = seen.get(digits[:4], 0) + count
    assert all(used <= 8192 for used in seen.values())


def test_a_block_is_drawn_once_for_many_ids():
    drawn = []
    source = IdSource(lambda size: drawn.append(size) or bytes(size))
    for _ in range(256):
        assert len(source.request_id()) == 32
    assert drawn == [4096]
    source.request_id()
    assert drawn == [4096, 4096]
    assert repr(source) == "<IdSource 8160 digits left>"


def test_a_request_id_and_a_new_trace_share_no_digit():
    source = IdSource(lambda size: bytes(number % 251 for number in range(size)))
    digits = IdSource(lambda size: bytes(number % 251 for number in range(size))).hex(80)
    assert source.new_ids() == (digits[:32], f"00-{digits[32:64]}-{digits[64:]}-01".encode())
    assert source.new_ids()[0] != digits[:32]
