from collections.abc import Callable

import pytest

from gateway.core.reply_framing import (
    ReplyRefused,
    check_coding,
    check_reason,
    check_status,
    content_length,
    keep_alive_s,
)


def test_what_is_right_passes() -> None:
    check_reason(b"")
    check_reason(b"Not\tFound \xe9")
    for version in ("1.0", "1.1"):
        for status in (100, 200, 599):
            check_status(version, status)
    assert content_length(b"0") == 0
    assert content_length(b"007") == 7
    assert content_length(b"9" * 15) == 10**15 - 1
    check_coding(b"Chunked", "1.1", is_repeated=False)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda: check_reason(b"O\0K"), "control character"),
        (lambda: check_reason(b"O\rK"), "control character"),
        (lambda: check_status("2.0", 200), "version is 2.0"),
        (lambda: check_status("0.9", 200), "version is 0.9"),
        (lambda: check_status("1.1", 99), "status is 99"),
        (lambda: check_status("1.1", 600), "status is 600"),
        (lambda: content_length(b""), "no number"),
        (lambda: content_length(b"+5"), "no number"),
        (lambda: content_length(b"5, 5"), "no number"),
        (lambda: content_length(b"\xb2"), "no number"),
        (lambda: content_length(b"1" * 16), "at most 15 digits"),
        (lambda: check_coding(b"gzip, chunked", "1.1", is_repeated=False), "not chunked"),
        (lambda: check_coding(b"identity", "1.1", is_repeated=False), "not chunked"),
        (lambda: check_coding(b"chunked", "1.1", is_repeated=True), "twice"),
        (lambda: check_coding(b"chunked", "1.0", is_repeated=False), "HTTP/1.0"),
    ],
)
def test_what_is_wrong_is_said(check: Callable[[], object], said: str) -> None:
    with pytest.raises(ReplyRefused, match=said):
        check()


def test_keep_alive_may_say_how_long() -> None:
    values = [b"timeout=5", b"max=3, timeout = 75", b"max=3", b"timeout=soon", b""]
    assert [keep_alive_s(value) for value in values] == [5.0, 75.0, None, None, None]
