"""RFC 9110 section 10.2.2: Location and Content-Location name what the client can ask for, behind a rewrite too."""

import pytest

from tests.support.gateway import rig
from tests.support.origin import answer

TABLE = """
version: 1
defaults: {auth: none}
upstreams: {origin: {endpoints: ["${env:ORIGIN}"]}}
routes:
- {id: stripped, match: /api/v1/*, to: origin, rewrite: {strip: /api/v1}}
- {id: moved, match: /new/*, to: origin, rewrite: {strip: /new, prefix: /old}}
- {id: plain, match: /plain/*, to: origin}
"""


@pytest.mark.parametrize(
    ("path", "status", "given", "passed"),
    [
        ("/api/v1/crm", "201 Created", "/crm/contacts/7", "/api/v1/crm/contacts/7"),
        ("/api/v1/crm", "302 Found", "/crm/contacts/7?a=b#c", "/api/v1/crm/contacts/7?a=b#c"),
        ("/api/v1/crm", "302 Found", "{origin}/crm/contacts/7", "/api/v1/crm/contacts/7"),
        ("/api/v1/crm", "302 Found", "https://elsewhere.example/crm", "https://elsewhere.example/crm"),
        ("/api/v1/crm", "302 Found", "//elsewhere.example/crm", "//elsewhere.example/crm"),
        ("/api/v1/crm", "302 Found", "contacts/7", "contacts/7"),
        ("/new/things", "201 Created", "/old/things/1", "/new/things/1"),
        ("/new/things", "201 Created", "/older/things/1", "/older/things/1"),
        ("/plain/things", "201 Created", "/things/1", "/things/1"),
    ],
)
async def test_rfc9110_10_2_2_location_is_the_clients(path: str, status: str, given: str, passed: str) -> None:
    async with rig(TABLE) as r:
        given = given.format(origin=r.origin.url)
        r.origin.script = answer(b"", status, (f"Location: {given}", f"Content-Location: {given}"))
        reply = await r.exchange("POST", path)
        assert (reply.get("Location"), reply.get("Content-Location")) == (passed, passed)
