"""Hazard: somebody who may not has a live gateway explain itself."""

import pytest

from gateway.core.explain_token import is_explain_token, make_explain_token

KEY = "a-key-long-enough"


def made(lifetime_s: float = 60, key: str = KEY, method: str = "GET", path: str = "/a") -> bytes:
    return make_explain_token(key, method, path, now_s=1000.0, lifetime_s=lifetime_s).encode()


def is_good(value: bytes, now_s: float = 1000.0) -> bool:
    return is_explain_token(value, KEY, "GET", "/a", now_s=now_s)


def test_a_token_holds_for_its_request_until_it_expires() -> None:
    assert is_good(made())
    assert is_good(made(), now_s=1059.9)
    assert not is_good(made(), now_s=1060.0)


@pytest.mark.parametrize(
    "value",
    [
        made(key="another-key-long-enough"),
        made(method="POST"),
        made(path="/b"),
        made(path="/a?x"),
        b"",
        b"1",
        made()[:-1],
        made() + b"0",
        made().upper(),
        b"9" + made(),
        b" " + made(),
        made().replace(b".", b".."),
        b"\xff" * 75,
    ],
)
def test_anything_else_does_not(value: bytes) -> None:
    assert not is_good(value)


def test_one_signed_for_longer_than_an_hour_is_never_good() -> None:
    with pytest.raises(ValueError, match="an hour at most"):
        made(lifetime_s=3601)
    with pytest.raises(ValueError, match="an hour at most"):
        made(lifetime_s=0)
    ahead = make_explain_token(KEY, "GET", "/a", now_s=1000.0 + 7200, lifetime_s=60).encode()
    assert not is_good(ahead)
    assert is_good(ahead, now_s=1000.0 + 7200)
