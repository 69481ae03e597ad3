import base64
import json
from typing import Any

import pytest

from gateway.core.errors import GatewayError
from gateway.core.tokens import ClaimRules, check_claims, find_claim, parse_claims, parse_token, read_scopes, read_text


def encode(value: Any) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def compact(header: Any, payload: bytes = b"e30", signature: bytes = b"c2ln") -> bytes:
    return b".".join((encode(header), payload, signature))


def test_a_token_is_taken_apart() -> None:
    token = parse_token(compact({"alg": "HS256", "kid": "k1", "typ": "JWT"}))
    assert (token.algorithm, token.kid, token.signature) == ("HS256", "k1", b"sig")
    assert token.signing_input == compact({"alg": "HS256", "kid": "k1", "typ": "JWT"}).rpartition(b".")[0]
    assert parse_claims(token.payload) == {}
    assert repr(token) == "CompactToken(algorithm='HS256', kid='k1')"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a.b",
        b"a.b.c.d",
        compact({"alg": "HS256"}) + b".",
        compact({"alg": "HS256"}).replace(b".", b"=.", 1),
        compact({"alg": "HS256"}, signature=b"c2l\n"),
        compact({"alg": "HS256"}, signature=b"c2lnA"),
        compact({"alg": "HS256"}, signature=b"c2h"),  # a second spelling of c2g
        compact({"alg": "HS256"}, signature=b"+/=="),
        compact({}),
        compact({"alg": None}),
        compact({"alg": ["HS256"]}),
        compact({"alg": "HS256", "kid": 7}),
        compact({"alg": "HS256", "crit": []}),
        compact(["alg"]),
        compact(b'{"alg":"HS256","alg":"none"}'),
        compact(b'{"alg":"HS256","x":NaN}'),
        compact(b'{"alg":"HS256"'),
        compact('{"alg":"HS256"}'.encode("utf-16")),
        compact(b"\xef\xbb\xbf" + b'{"alg":"HS256"}'),
        compact(b"[" * 3000 + b"]" * 3000),
        compact(b'{"alg":"HS256","n":' + b"9" * 5000 + b"}"),
    ],
)
def test_rfc7515_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(GatewayError, match="token_malformed"):
        parse_token(raw)


def test_dates_hold_to_the_second_with_leeway_on_both_ends() -> None:
    rules = ClaimRules(leeway_s=5.0)
    claims = {"exp": 100, "nbf": 50}
    assert check_claims(claims, rules, 45.0) == 105.0
    assert check_claims(claims, rules, 104.9) == 105.0
    for now_s, code in ((44.9, "token_not_yet_valid"), (105.0, "token_expired")):
        with pytest.raises(GatewayError, match=code):
            check_claims(claims, rules, now_s)


def test_a_claim_of_the_whole_name_comes_before_the_dotted_path() -> None:
    claims = {"https://a.example/tenant": "whole", "a": {"b": {"c": 1}}, "a.b": "literal", "n": None}
    assert find_claim(claims, "https://a.example/tenant") == "whole"
    assert find_claim(claims, "a.b") == "literal"
    assert find_claim(claims, "a.b.c") == 1
    assert find_claim(claims, "a.x.c") is None
    assert find_claim({"a": "text"}, "a.b") is None
    assert read_text(claims, "n") is None


@pytest.mark.parametrize("value", [" a", "a ", "", "a\tb", "a\u202eb", "a\u0085", "\ud800", 7, ["a"], {}, True])
def test_what_cannot_be_a_header_line_is_refused(value: Any) -> None:
    with pytest.raises(GatewayError, match="claim tenant is not a plain string"):
        read_text({"tenant": value}, "tenant")


@pytest.mark.parametrize(
    ("value", "scopes"),
    [(None, set()), ("", set()), ("a  b ", {"a", "b"}), (["a", "b", "a"], {"a", "b"}), ([], set())],
)
def test_scopes_as_a_string_or_a_list(value: Any, scopes: set[str]) -> None:
    assert read_scopes({"scope": value}, "scope") == scopes


@pytest.mark.parametrize("value", [["a b"], 'a"b', "a\\b", "a\nb", "ä", [1], {"a": 1}, 7])
def test_what_is_no_scope_is_refused(value: Any) -> None:
    with pytest.raises(GatewayError, match="token_malformed"):
        read_scopes({"scope": value}, "scope")
