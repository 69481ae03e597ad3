import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.headers import HeaderBlock, Headers, connection_options, is_field_value, is_token

names = st.sampled_from([b"a", b"b", b"cookie"])
lines = st.lists(st.tuples(names, st.binary(max_size=3)), max_size=8)
changes = st.lists(
    st.tuples(st.sampled_from(["add", "set", "remove", "get"]), names, st.binary(max_size=3)), max_size=8
)


@given(lines, changes, st.booleans())
def test_after_any_changes_it_is_what_its_lines_say(
    start: list[tuple[bytes, bytes]], todo: list[tuple[str, bytes, bytes]], is_shared: bool
) -> None:
    if is_shared:
        start = list(dict(start).items())
        block = HeaderBlock(list(start), dict(start))
        headers = Headers.of_block(block)
    else:
        headers = Headers(start)
        headers.texts = [b": ".join(line) for line in start]
    model = list(start)
    for action, name, value in todo:
        if action == "add":
            headers.add(name, value)
            model.append((name, value))
        elif action == "set":
            headers.set(name, value)
            model = [line for line in model if line[0] != name] + [(name, value)]
        elif action == "remove":
            headers.remove(name)
            model = [line for line in model if line[0] != name]
        else:
            headers.get(name)
        assert list(headers) == model
        for asked in (b"a", b"b", b"cookie"):
            values = [value for key, value in model if key == asked]
            assert headers.get_all(asked) == values
            assert headers.get(asked) == (values[-1] if values else None)
            assert headers.get_list(asked) == (b", ".join(values) if values else None)
            assert headers.is_repeated(asked) == (len(values) > 1)
            assert (asked in headers) == bool(values)
        assert len(headers) == len(model)
        if headers.texts is not None:
            assert headers.texts == [b": ".join(line) for line in model[: len(headers.texts)]]
        if headers.block is not None:
            assert model == start
    if is_shared:
        # What one message changes, no other one sees.
        assert (block.lines, block.index) == (start, dict(start))


def test_a_copy_is_independent() -> None:
    headers = Headers([(b"a", b"1")])
    copy = headers.copy()
    assert copy == headers
    copy.set(b"a", b"2")
    assert headers.get(b"a") == b"1"
    assert copy != headers


def test_values_are_not_shown() -> None:
    assert repr(Headers([(b"authorization", b"Bearer s3cret"), (b"a", b"1")])) == "<Headers authorization, a>"


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([], set()),
        ([b"close"], {b"close"}),
        ([b"keep-alive"], {b"keep-alive"}),
        ([b"X-A", b"close"], {b"x-a", b"close"}),
        ([b"Close , X-Secret,,\t"], {b"close", b"x-secret"}),
    ],
)
def test_connection_options_of_all_lines(values: list[bytes], options: set[bytes]) -> None:
    assert connection_options(Headers([(b"connection", value) for value in values])) == options


@pytest.mark.parametrize(
    ("value", "is_good"), [(b"x-a!~", True), (b"", False), (b"a b", False), (b"a:", False), (b"\xe4", False)]
)
def test_tokens(value: bytes, is_good: bool) -> None:
    assert is_token(value) == is_good


@pytest.mark.parametrize(
    ("value", "is_good"),
    [(b"a\tb \xe4", True), (b"", True), (b" a", False), (b"a\r\nb: c", False), (b"\0", False), (b"\x7f", False)],
)
def test_field_values(value: bytes, is_good: bool) -> None:
    assert is_field_value(value) == is_good
