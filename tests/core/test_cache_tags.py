import pytest

from gateway.core.cache_tags import compile_tags, take_upstream_tags, unknown_placeholder
from gateway.core.headers import Headers
from gateway.core.identity import Identity


@pytest.mark.parametrize("tag", ["crm", "crm:{tenant}", "{user}:{id}:{part}"])
def test_the_callers_and_the_paths_names_are_known(tag: str) -> None:
    assert unknown_placeholder(tag, "/a/{id:int}/{part}/*", has_auth=True) is None


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("", "a tag is not empty"),
        ("a:{tenant}", "the tag a:{tenant} has {tenant}, which is not known here; known: {id}"),
        ("a:{}", "the tag a:{} has {}, which is not known here; known: {id}"),
        ("a:{id", "the braces of the tag a:{id do not match"),
        ("a:{{id}}", "the braces of the tag a:{{id}} do not match"),
    ],
)
def test_others_are_not(tag: str, said: str) -> None:
    assert unknown_placeholder(tag, "/a/{id}", has_auth=False) == said


def caller(tenant: str | None = "acme", user: str | None = "u1") -> Identity:
    return Identity(tenant=tenant, user=user, plan=None, scopes=frozenset(), claims={}, credential="jwt:m")


def test_placeholders_are_filled_and_fixed_tags_stay() -> None:
    tags_of = compile_tags(["crm", "crm:{tenant}", "contact:{tenant}/{id}"])
    assert tags_of(caller(), {"id": "7"}) == ("crm", "crm:acme", "contact:acme/7")
    assert compile_tags(["a", "b"])(None, {}) == ("a", "b")
    assert compile_tags([])(None, {}) == ()


def test_a_tag_that_nobody_is_meant_by_is_left_out() -> None:
    tags_of = compile_tags(["crm:{tenant}", "user:{user}"])
    assert tags_of(caller(user=None), {}) == ("crm:acme",)
    assert tags_of(None, {}) == ()


def test_a_value_is_no_template() -> None:
    assert compile_tags(["{tenant}:{id}"])(caller("{id}"), {"id": "{tenant}"}) == ("{id}:{tenant}",)


def test_the_upstreams_tags_are_taken_off_the_head() -> None:
    headers = Headers(
        [
            (b"surrogate-key", b"a  b"),
            (b"content-type", b"text/plain"),
            (b"surrogate-key", b"c,d"),
            (b"cache-tag", b"e, f g ,,a"),
        ]
    )
    assert take_upstream_tags(headers) == ("a", "b", "c,d", "e", "f g")
    assert headers.lines == [(b"content-type", b"text/plain")]
    assert take_upstream_tags(headers) == ()


@pytest.mark.parametrize(
    "value", [b" ".join(b"t%d" % number for number in range(65)), b"x" * 257, b"a\x7f", b"a\tb".replace(b"\t", b"\x01")]
)
def test_too_many_too_long_or_unreadable_tags_are_none(value: bytes) -> None:
    headers = Headers([(b"surrogate-key", value)])
    assert take_upstream_tags(headers) is None
    assert headers.lines == []
