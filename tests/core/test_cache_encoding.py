import pytest

from gateway.core.cache_encoding import VERSION, decode, encode
from gateway.core.cache_reply import StoredReply

STORED = StoredReply(
    status=200,
    headers=((b"etag", b'W/"a"'), (b"x", b""), (b"x", b"\xff")),
    body=b"body",
    response_time_s=1.25,
    initial_age_s=2.5,
    lifetime_s=3.75,
    must_revalidate=True,
    no_cache=False,
    stale_s=4.0,
    stale_if_error_s=5.0,
    vary=(b"accept", b"x"),
    etag=b'"a"',
    last_modified=None,
    is_recoded=True,
    tags=("crm:1", "ä"),
)


def test_there_and_back() -> None:
    assert decode(encode(STORED)) == STORED


def test_whatever_breaks_off_before_its_body_is_refused() -> None:
    data = encode(STORED)
    for length in range(len(data) - len(STORED.body)):
        with pytest.raises(ValueError):
            decode(data[:length])


@pytest.mark.parametrize("version", [0, VERSION + 1, 255])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="version"):
        decode(bytes([version]) + encode(STORED)[1:])


def test_what_nobody_wrote_is_refused() -> None:
    data = bytearray(encode(STORED))
    for position, byte in ((1, 8), (2, 0xFF), (4, 0x7F)):
        broken = bytearray(data)
        broken[position] = byte
        if position == 4:
            broken[5] = 0xF0  # infinity
            broken[6:12] = bytes(6)
        with pytest.raises(ValueError):
            decode(bytes(broken))


def test_tags_are_utf_8() -> None:
    data = encode(STORED)
    with pytest.raises(ValueError):
        decode(data.replace("ä".encode(), b"\xff\xff"))


def test_a_header_line_without_a_value_is_refused() -> None:
    data = encode(StoredReply(status=200, headers=(), body=b"", response_time_s=0, initial_age_s=0, lifetime_s=0))
    # The lists vary, tags and headers have no item yet; the third count is the headers'.
    head = data[: -4 - 4 - 2]
    with pytest.raises(ValueError, match="no value"):
        decode(head + b"\x00\x01" + b"\x00\x00\x00\x01x" + bytes(8))


def test_too_many_lines_are_refused() -> None:
    headers = ((b"a", b"b"),) * 40_000
    huge = StoredReply(status=200, headers=headers, body=b"", response_time_s=0, initial_age_s=0, lifetime_s=0)
    with pytest.raises(ValueError, match="cannot be encoded"):
        encode(huge)
