"""Hazard: a webhook is forged, lost, told twice unseen, or makes the service reach into its own house."""

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from upstream_services.kit.settings import parse
from upstream_services.marketing.address_guard import AddressGuard, ForbiddenAddressError
from upstream_services.marketing.api import SERVICE
from upstream_services.marketing.webhooks import CLIENT, signature

from .conftest import StartService
from .marketing_work import Work


class Receiver:
    """Somebody's server, which keeps what it is sent and answers `answers` in turn, then 204."""

    def __init__(self, *answers: web.Response) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers = list(answers)

    async def take(self, request: web.Request) -> web.Response:
        """Takes what is sent."""
        self.requests.append((dict(request.headers), await request.read()))
        return self.answers.pop(0) if self.answers else web.Response(status=204)


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    """The receiver's address while it runs."""
    app = web.Application()
    app.router.add_route("*", "/in", receiver.take)
    async with TestServer(app) as server:
        yield str(server.make_url("/in"))


async def webhook(work: Work, url: str, *events: str) -> tuple[dict[str, Any], str]:
    """A webhook, and its secret."""
    made = await work.post("webhooks", 201, url=url, events=list(events or ("subscriber.subscribed",)))
    assert "secret" not in made
    return made, (await work.post(f"webhooks/{made['id']}/rotate-secret"))["secret"]


async def test_what_happened_is_told_and_signed(work: Work, other: str) -> None:
    receiver = Receiver()
    async with listening(receiver) as url:
        made, secret = await webhook(work, url)
        await work.client.post("/marketing/subscribers", json={"email": "e@x.example"}, headers={"X-Tenant-Id": other})
        (asha,) = await work.subscribers("asha")
        await work.post(f"subscribers/{asha['id']}/unsubscribe")  # which it did not ask for
        await work.jobs_end()
    ((headers, body),) = receiver.requests
    told = json.loads(body)
    assert (told["type"], told["data"]) == (
        "subscriber.subscribed",
        {"subscriber_id": asha["id"], "email": "asha@x.example"},
    )
    # By hand, as whoever receives it would: Standard Webhooks.
    key = base64.urlsafe_b64decode(secret.removeprefix("whsec_") + "=")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    seen = await work.get(f"webhooks/{made['id']}")
    assert (seen["last_status"], seen["last_error"]) == (204, None)


async def test_what_was_not_taken_is_told_again_under_the_same_id(work: Work) -> None:
    receiver = Receiver(web.Response(status=500), web.Response(status=429))
    async with listening(receiver) as url:
        await webhook(work, url)
        await work.subscribers("asha")
        await work.jobs_end()
    assert len(receiver.requests) == 3
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    (job,) = await work.items("jobs", name="webhooks.tell")
    assert (job["state"], job["failures"]) == ("done", 2)


async def test_what_is_never_taken_is_a_dead_letter_and_can_be_sent_again(work: Work) -> None:
    receiver = Receiver(*(web.Response(status=500) for _ in range(3)))
    async with listening(receiver) as url:
        made, _ = await webhook(work, url)
        await work.post(f"webhooks/{made['id']}/test")
        await work.jobs_end()
        (dead,) = await work.items("jobs", state="dead")
        assert dead["error"] == "RefusedError: it answered 500"
        assert (await work.get(f"webhooks/{made['id']}"))["last_status"] == 500
        await work.post(f"jobs/{dead['id']}/retry")
        await work.jobs_end()
    assert len(receiver.requests) == 4
    assert json.loads(receiver.requests[-1][1])["type"] == "webhook.test"


async def test_a_redirect_is_not_followed(work: Work) -> None:
    receiver = Receiver(*(web.Response(status=307, headers={"Location": "/in"}) for _ in range(3)))
    async with listening(receiver) as url:
        made, _ = await webhook(work, url)
        await work.post(f"webhooks/{made['id']}/test")
        await work.jobs_end()
    assert len(receiver.requests) == 3
    assert (await work.get(f"webhooks/{made['id']}"))["last_error"] == "it answered 307"


async def test_one_that_is_switched_off_is_told_nothing(work: Work) -> None:
    receiver = Receiver()
    async with listening(receiver) as url:
        made, _ = await webhook(work, url)
        await work.client.patch(f"/marketing/webhooks/{made['id']}", json={"is_active": False})
        await work.subscribers("asha")
        refused = await work.client.post(f"/marketing/webhooks/{made['id']}/test")
        assert (refused.status, (await refused.json())["code"]) == (409, "inactive")
        await work.jobs_end()
    assert receiver.requests == []


async def test_the_secret_is_shown_by_rotating_it_only(work: Work) -> None:
    made, first = await webhook(work, "https://hooks.x.example/in")
    second = (await work.post(f"webhooks/{made['id']}/rotate-secret"))["secret"]
    assert first != second and first.startswith("whsec_")
    for reply in (await work.get("webhooks"), await work.get(f"webhooks/{made['id']}")):
        assert "whsec_" not in json.dumps(reply)


INTERNAL = (
    "http://127.0.0.1/", "http://127.1.2.3:8080/", "http://10.0.0.7/", "http://172.16.0.1/", "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/", "http://0.0.0.0/", "http://[::1]/", "http://[::]/",
    "http://[fe80::1]/", "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::a00:1]/",
    "http://[2002:a00:1::]/", "http://224.0.0.1/", "http://255.255.255.255/", "http://localhost/", "http://db/",
    "http://redis.internal/", "http://a.localhost/", "http://user:word@x.example/",
)  # fmt: skip


@pytest.mark.parametrize("url", INTERNAL)
async def test_an_internal_address_is_no_address_of_a_webhook(start_service: StartService, url: str) -> None:
    client = await start_service(SERVICE)
    made = await client.post("/marketing/webhooks", json={"url": "https://x.example/", "events": ["form.submitted"]})
    patched = await client.patch(made.headers["Location"], json={"url": url})
    created = await client.post("/marketing/webhooks", json={"url": url, "events": ["form.submitted"]})
    for reply in (patched, created):
        assert (reply.status, (await reply.json())["errors"][0]["field"]) == (422, "url")


class Liar(AbstractResolver):
    """Says that every name is this machine, as a name server of an attacker may."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        """127.0.0.1."""
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_name_that_resolves_to_an_internal_address_is_not_connected_to(
    start_service: StartService, tenant: str, unused_tcp_port: int
) -> None:
    receiver = Receiver()
    client = await start_service(SERVICE)
    work = Work(client, tenant, None)  # type: ignore[arg-type]
    connector: Any = client.app[CLIENT].connector
    await connector._resolver.close()
    connector._resolver = Liar()
    async with listening(receiver) as url:
        port = url.split(":")[2].split("/")[0]
        made = await work.post("webhooks", 201, url=f"http://innocent.example:{port}/in", events=["form.submitted"])
        started = await work.post(f"webhooks/{made['id']}/test")
        while (await work.get(f"webhooks/{made['id']}"))["last_error"] is None:
            pass
    assert receiver.requests == []
    assert "127.0.0.1 is an internal address" in (await work.get(f"webhooks/{made['id']}"))["last_error"]
    assert started["name"] == "webhooks.tell"


def test_what_counts_is_the_address_that_is_connected_to() -> None:
    guard = AddressGuard("10.1.0.0/16, ::1/128")
    info = lambda host: (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, 80))  # noqa: E731
    with pytest.raises(ForbiddenAddressError):
        guard.make_socket(info("10.2.0.1"))
    guard.make_socket(info("10.1.0.1")).close()
    assert guard.may_reach(ip_address("::1")) and guard.may_reach(ip_address("::ffff:10.1.0.1"))
    assert not guard.may_reach(ip_address("127.0.0.1"))
    assert guard.may_reach(ip_address("93.184.216.34"))
    with pytest.raises(ValueError, match="does not appear"):
        AddressGuard("10.1")


def test_a_setting_that_is_no_network_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("marketing", 0, SERVICE.flags, ["--webhook-allow", "10.1"], {})
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "--webhook-allow" in told and "10.1" in told


@given(st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_no_ipv6_form_of_an_internal_address_gets_past(address: Any) -> None:
    guard, number = AddressGuard(), int(address)
    for form in (number | 0xFFFF << 32, number | 0x64FF9B << 96, (0x2002 << 112) | number << 80):
        assert not guard.may_reach(ip_address(form.to_bytes(16)))


def test_the_signature_is_of_id_time_and_body() -> None:
    secret = "whsec_" + base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    first = signature(secret, "m1", 1, b"x")
    others = (
        signature(secret, "m2", 1, b"x"),
        signature(secret, "m1", 2, b"x"),
        signature(secret, "m1", 1, b"y"),
        signature(secret.replace("A", "B"), "m1", 1, b"x"),
    )
    assert first not in others
    assert first.startswith("v1,")
