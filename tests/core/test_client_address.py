import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.client_address import TrustedProxies, client_address, parse_address

PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1"])


@pytest.mark.parametrize(
    ("peer_ip", "lines", "expected"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", [b"203.0.113.9"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", [b"1.1.1.1", b"203.0.113.9", b"10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"203.0.113.9, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"203.0.113.9, , 10.0.0.2,"], "203.0.113.9"),
        ("10.0.0.1", [b"garbage"], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", [b"[2001:DB8::9]:4711"], "2001:db8::9"),
        ("10.0.0.1", [b"2001:db8:0:0::9"], "2001:db8::9"),
        ("10.0.0.1", [b"::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("::ffff:198.51.100.1", [b"203.0.113.9"], "198.51.100.1"),
        ("2001:db8:1::5", [b"203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("fe80::1%eth0", [b"203.0.113.9"], "fe80::1"),
        ("", [b"203.0.113.9"], ""),
    ],
)
def test_only_what_a_trusted_proxy_wrote_is_believed(peer_ip: str, lines: list[bytes], expected: str) -> None:
    assert client_address(peer_ip, lines, PROXIES) == expected


def test_nobody_is_trusted_unless_said() -> None:
    assert client_address("127.0.0.1", [b"203.0.113.9"], TrustedProxies()) == "127.0.0.1"


def test_a_mapped_network_is_the_ipv4_network() -> None:
    proxies = TrustedProxies(["::ffff:10.0.0.0/104"])
    assert proxies.is_trusted("10.1.2.3")
    assert not proxies.is_trusted("11.1.2.3")
    assert repr(proxies) == "<TrustedProxies 10.0.0.0/8>"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "1.2.3",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:123456",
        "[::1",
        "[::1]80",
        "[1.2.3.4]",
        "fe80::1%eth0",
        "1.2.3.4 ",
        "01.2.3.4",
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize("text", ["localhost", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_a_network_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like 10\.0\.0\.0/8"):
        TrustedProxies([text])


@given(st.lists(st.binary(max_size=20), max_size=4), st.ip_addresses(v=4))
def test_nothing_left_of_the_first_stranger_matters(forged: list[bytes], client: object) -> None:
    stranger = str(client)
    proxies = TrustedProxies(["10.0.0.0/8"])
    if proxies.is_trusted(stranger):
        return
    lines = [*forged, f"{stranger}, 10.0.0.2".encode()]
    assert client_address("10.0.0.1", lines, proxies) == stranger


@given(st.text(max_size=30))
def test_an_address_is_its_own_canonical_form(text: str) -> None:
    address = parse_address(text)
    assert address is None or parse_address(address) == address
