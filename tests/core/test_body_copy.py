"""The body passes unchanged; a copy of it is there only where it is whole and small enough."""

from gateway.core.body_copy import BodyCopy


def test_the_body_passes_and_is_whole_at_its_end() -> None:
    whole: list[bytes] = []
    copy = BodyCopy(10, whole.append, lambda: whole.append(b"too large"))
    assert [copy.feed(b"abc"), copy.flush(), copy.feed(b"def")] == [b"abc", b"", b"def"]
    assert whole == []
    assert copy.finish() == b""
    assert whole == [b"abcdef"]


def test_exactly_as_large_as_it_may_be() -> None:
    whole: list[bytes] = []
    copy = BodyCopy(3, whole.append, lambda: whole.append(b"too large"))
    copy.feed(b"abc")
    copy.finish()
    assert whole == [b"abc"]


def test_what_is_too_large_passes_and_is_said_once() -> None:
    said: list[object] = []
    copy = BodyCopy(4, said.append, lambda: said.append("too large"))
    assert [copy.feed(b"abc"), copy.feed(b"def"), copy.feed(b"g"), copy.finish()] == [b"abc", b"def", b"g", b""]
    assert said == ["too large"]


def test_what_breaks_off_is_no_copy() -> None:
    whole: list[bytes] = []
    BodyCopy(10, whole.append, lambda: None).feed(b"abc")
    assert whole == []
