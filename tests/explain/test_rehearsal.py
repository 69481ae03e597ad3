"""Hazard: a rehearsal takes a caller for known whom the gateway would refuse, or asks a store, a clock or a network."""

import jwt
import pytest

from gateway.config.table_test import Caller
from gateway.explain.rehearsal import Outcome, Rehearsal, Request
from tests.explain.material import ENVIRON, TABLE, load

KEYED = TABLE.replace("keys: {}", "keys: {ci: {sha256: " + "0" * 64 + ", tenant: m1}}")
NOW_S = 1_800_000_000


async def run(request: Request, table: str = TABLE) -> Outcome:
    return await Rehearsal(load(table), lambda: float(NOW_S)).run(request)


def signed(secret: str = ENVIRON["SECRET"], **claims: object) -> tuple[tuple[str, str], ...]:
    payload = {"tenant_id": "t1", "scope": "crm.read", "exp": NOW_S + 60, **claims}
    return (("Authorization", f"Bearer {jwt.encode(payload, secret, algorithm='HS256')}"),)


async def test_a_real_token_is_verified_by_the_real_clock_and_key() -> None:
    assert (await run(Request("GET", "/api/crm/x", headers=signed()))).summary["upstream"] == "crm"
    for headers, code in (
        (signed(exp=NOW_S), "token_expired"),
        (signed(secret="another-secret-of-the-same-length"), "token_signature_wrong"),
        (signed(tenant_id=None), "token_claim_missing"),
    ):
        assert (await run(Request("GET", "/api/crm/x", headers=headers))).summary["code"] == code


async def test_who_is_vouched_for_is_known_as_if_a_credential_of_that_profile_said_so() -> None:
    outcome = await run(Request("GET", "/api/crm/x", caller=Caller(tenant="t1", scopes=("crm.read",))))
    identity = outcome.exchange.identity
    assert identity is not None
    assert (identity.credential, identity.tenant, identity.user) == ("jwt:main", "t1", None)
    outcome = await run(Request("GET", "/api/x", authority="api.example", caller=Caller(tenant="m1")), KEYED)
    identity = outcome.exchange.identity
    assert identity is not None
    assert (identity.credential, outcome.summary["upstream"]) == ("api_key:machines", "crm")


async def test_a_caller_that_no_token_can_name_is_refused() -> None:
    for caller in (Caller(user="u1"), Caller(tenant="a\nb"), Caller(tenant="t1", scopes=('"',))):
        outcome = await run(Request("GET", "/api/crm/x", caller=caller))
        assert outcome.summary["status"] == 401
        assert outcome.exchange.identity is None


async def test_on_a_route_without_auth_nobody_is_known() -> None:
    outcome = await run(Request("GET", "/open", caller=Caller(tenant="t1")))
    assert (outcome.exchange.identity, outcome.summary["status"], outcome.sent) == (None, 203, None)


async def test_the_lines_for_the_upstream_are_those_of_the_real_head() -> None:
    headers = (("Accept", "a/b"), ("Connection", "x-mine"), ("X-Mine", "1"), ("X-Plan", "pro"), ("TE", "trailers"))
    outcome = await run(Request("GET", "/api/crm/7", headers=headers, caller=Caller(tenant="t1", plan="free")))
    lines = dict(outcome.sent or ())
    assert (lines["accept"], lines["x-plan"], lines["x-key"]) == ("a/b", "free", ENVIRON["KEY"])
    assert not {"host", "x-mine", "content-length"} & lines.keys()


@pytest.mark.parametrize(("trusted", "address"), [("127.0.0.1/32", "192.0.2.1"), ("10.0.0.0/8", "127.0.0.1")])
async def test_an_address_is_believed_from_trusted_proxies_only(trusted: str, address: str) -> None:
    table = f"{TABLE}gateway: {{trusted_proxies: [{trusted}]}}\n".replace(
        "limit: 5/min", "limit: {rate: 5/min, by: ip}"
    )
    request = Request("POST", "/api/crm/x", headers=(("X-Forwarded-For", "192.0.2.1"),), caller=Caller(tenant="t1"))
    assert (await run(request, table)).summary["keys"]["limit"] == f"route:writes:ip:{address}"


async def test_a_plugin_that_fails_is_an_internal_error_and_no_traceback() -> None:
    table = f"{TABLE}- {{id: bad, match: /bad, auth: none, limit: none, respond: {{text: a}}, faulty: on_request}}\n"
    outcome = await run(
        Request("GET", "/bad"), table.replace("version: 1\n", "version: 1\nplugins: [tests.support.faulty_plugin]\n")
    )
    assert (outcome.summary["status"], outcome.summary["code"]) == (500, "internal_error")
