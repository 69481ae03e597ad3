import re

import pytest

from gateway.core import errors
from gateway.core.errors import ERRORS, ErrorKind, GatewayError, Source

# RFC 9209 section 2.3, the registry of proxy error types.
PROXY_ERRORS = {
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_response",
    "proxy_internal_error",
    "proxy_configuration_error",
    "proxy_loop_detected",
}
KINDS = {name: value for name, value in vars(errors).items() if isinstance(value, ErrorKind)}


def test_every_kind_is_in_the_table_under_its_name() -> None:
    assert {name.lower() for name in KINDS} == set(ERRORS)
    assert len(KINDS) == len(ERRORS)
    for name, kind in KINDS.items():
        assert ERRORS[kind.code] is kind
        assert kind.code == name.lower()


@pytest.mark.parametrize("kind", ERRORS.values(), ids=list(ERRORS))
def test_every_kind_can_be_told_to_a_client(kind: ErrorKind) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.status <= 599
    assert kind.proxy_error in PROXY_ERRORS
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    assert kind.status < 500 or kind.source is not Source.UPSTREAM or kind.code.startswith("upstream_")


def test_the_detail_is_the_title_where_there_is_nothing_to_add() -> None:
    error = GatewayError(errors.NO_ROUTE)
    assert error.detail == errors.NO_ROUTE.title
    assert str(error) == "no_route: No route matches"
    assert str(GatewayError(errors.NO_ROUTE, "Nothing here.")) == "no_route: Nothing here."
