import pytest

from gateway.core.store_url import StoreUrl, parse_store_url


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("memory://", StoreUrl("memory")),
        ("redis://h", StoreUrl("single", (("h", 6379),))),
        ("redis://h/", StoreUrl("single", (("h", 6379),))),
        ("redis://[::1]:7000/3", StoreUrl("single", (("::1", 7000),), database=3)),
        ("redis://:pw@h", StoreUrl("single", (("h", 6379),), password="pw")),
        ("rediss://me:p%40%2Fw@h:1/2", StoreUrl("single", (("h", 1),), 2, "", "me", "p@/w", is_tls=True)),
        ("rediss://h?ssl_ca_certs=/a/b.pem", StoreUrl("single", (("h", 6379),), is_tls=True, ca_file="/a/b.pem")),
        ("redis+sentinel://a,b:1/main", StoreUrl("sentinel", (("a", 26379), ("b", 1)), master="main")),
        (
            "redis+sentinel://me:pw@a/main/4",
            StoreUrl("sentinel", (("a", 26379),), 4, "main", "me", "pw"),
        ),
        ("redis+cluster://a,b:1", StoreUrl("cluster", (("a", 6379), ("b", 1)))),
        ("redis+cluster://me:pw@a,b:1/", StoreUrl("cluster", (("a", 6379), ("b", 1)), username="me", password="pw")),
    ],
)
def test_each_form_is_read(text: str, read: StoreUrl) -> None:
    assert parse_store_url(text) == read


def test_no_repr_shows_the_password() -> None:
    assert "s3cret" not in repr(parse_store_url("redis://user:s3cret@h"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memcached://h:1", "a store is memory://, redis://host"),
        ("memory:///x", "a store is"),
        ("s3cret", "a store is"),
        ("redis:/user:s3cret@h", "a store is"),
        ("redis://", "lacks a host"),
        ("redis://:s3cret@", "lacks a host"),
        ("redis://h:s3cret", "lacks a host, or a port"),
        ("redis://h:70000", "port is no number up to 65535; write it like redis://host:6379/0"),
        ("redis://[::1", "write it like redis://host:6379/0"),
        ("redis://a,b:1:2", "lacks a host, or a port"),
        ("redis://user:s3cret/word@h:1/0", "write it like redis://host:6379/0"),
        ("redis://user:s3cret@word@h", "%-encode the marks in its password"),
        ("redis://user:s3cret#word@h", "%-encode"),
        ("redis://user:s3cret word@h", "%-encode"),
        ("redis://h/zero", "database is not a number"),
        ("redis://h/0/1", "nothing may follow"),
        ("redis://h/0?socket_timeout=5", "only option of a store's URL is ssl_ca_certs"),
        ("redis://h?ssl_ca_certs=/a", "for rediss:// only"),
        ("rediss://h?ssl_ca_certs=", "names no file; write it like rediss://host:6379/0"),
        ("redis+sentinel://h:1", "lacks the name of the master"),
        ("redis+sentinel://h:1//0", "lacks the name of the master"),
        ("redis+sentinel://h:1/main/x", "database is not a number"),
        ("redis+sentinel://h,,b/main", "lacks a host"),
        ("redis+cluster://h/0", "a cluster has one database only"),
        ("redis+cluster://u:s3cret@", "write it like redis+cluster://host:6379,host:6379"),
    ],
)
def test_a_bad_url_is_refused_without_being_shown(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_store_url(text)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
