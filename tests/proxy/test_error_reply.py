"""Hazard: an error that says too little, or too much. All of them over sockets: `conformance/test_rfc9457_…`."""

import json

import pytest

from gateway.core.errors import ERRORS, METHOD_NOT_ALLOWED, ErrorKind, GatewayError
from gateway.plugin_api import RouteInfo
from gateway.proxy.error_reply import error_reply
from tests.support.plugins import exchange


@pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS)
def test_rfc9457_3_1_all_members_are_there(kind: ErrorKind) -> None:
    asked = exchange()
    asked.route = RouteInfo("crm", "/crm/*", None, "crm")
    reply = error_reply(GatewayError(kind, "What happened."), asked)
    assert isinstance(reply.body, bytes)
    assert json.loads(reply.body) == {
        "type": f"urn:gateway:error:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "What happened.",
        "code": kind.code,
        "source": kind.source.value,
        "route": "crm",
        "request_id": "r1",
    }
    assert reply.status == kind.status
    assert reply.headers.get(b"content-type") == b"application/problem+json"
    assert reply.headers.get(b"cache-control") == b"no-store"
    assert asked.error_code == kind.code


def test_rfc9209_2_3_proxy_status_says_which_hop_failed() -> None:
    found = {
        code: error_reply(GatewayError(ERRORS[code]), exchange()).headers.get(b"proxy-status")
        for code in ("no_route", "upstream_reset")
    }
    assert found == {
        "no_route": b'gateway; error=http_request_denied; details="no_route"',
        "upstream_reset": b'gateway; error=connection_terminated; next-hop=upstream; details="upstream_reset"',
    }


def test_an_errors_own_lines_and_its_wish_to_close_are_kept() -> None:
    error = GatewayError(METHOD_NOT_ALLOWED, headers=[(b"allow", b"GET")], close=True)
    reply = error_reply(error, exchange())
    assert reply.headers.get(b"allow") == b"GET"
    assert reply.close
    assert not error_reply(GatewayError(METHOD_NOT_ALLOWED), exchange()).close


def test_what_a_client_wrote_cannot_break_out_of_the_json() -> None:
    asked = exchange()
    asked.request_id = 'x", "code": "y'
    reply = error_reply(GatewayError(METHOD_NOT_ALLOWED, '"\r\n\x00'), asked)
    assert isinstance(reply.body, bytes)
    assert json.loads(reply.body)["code"] == "method_not_allowed"
