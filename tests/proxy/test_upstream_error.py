from gateway.core.errors import UPSTREAM_BUSY
from gateway.proxy.upstream_error import UpstreamError


def test_it_is_the_clients_error_and_says_what_became_of_the_request() -> None:
    error = UpstreamError(UPSTREAM_BUSY, "All are busy", "busy", is_sent=False, headers=[(b"retry-after", b"1")])
    assert (error.kind, error.detail, error.cause) == (UPSTREAM_BUSY, "All are busy", "busy")
    assert (error.is_sent, error.is_stale) == (False, False)
    assert error.headers == ((b"retry-after", b"1"),)
    assert not error.close


def test_what_is_not_said_is_taken_for_sent() -> None:
    assert UpstreamError(UPSTREAM_BUSY, "x", "reset").is_sent
