import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.memo import Memo


def test_a_value_is_made_once() -> None:
    made = []

    def make(key: bytes) -> int:
        made.append(key)
        return len(key)

    memo = Memo(make)
    assert [memo[b"abc"], memo[b"abc"], memo[b"de"]] == [3, 3, 2]
    assert made == [b"abc", b"de"]


def test_what_make_raises_is_raised_each_time_and_not_remembered() -> None:
    def make(key: bytes) -> int:
        raise ValueError(key)

    memo = Memo(make)
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            memo[b"bad"]
    assert not memo


def test_a_long_key_is_not_remembered() -> None:
    memo = Memo(len, key_max=4)
    assert memo[b"12345"] == 5
    assert not memo


def test_what_is_long_may_be_said() -> None:
    memo: Memo[tuple[str, str], str] = Memo("".join, key_max=4, size_of=lambda pair: len(pair[0]) + len(pair[1]))
    assert [memo["ab", "cd"], memo["ab", "cde"]] == ["abcd", "abcde"]
    assert list(memo) == [("ab", "cd")]


def test_keys_are_not_shown() -> None:
    memo = Memo(len)
    assert memo[b"secret"] == 6
    assert repr(memo) == "<Memo of 1>"


@given(st.lists(st.binary(max_size=3)))
def test_it_is_bounded_and_right(keys: list[bytes]) -> None:
    memo = Memo(bytes.hex, entries_max=4)
    for key in keys:
        assert memo[key] == key.hex()
        assert len(memo) <= 4
