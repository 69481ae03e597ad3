"""Hazard: a stream that is silent, tells another tenant's changes, or keeps the service from stopping."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientResponse, WSMsgType

from upstream_services.crm import streams
from upstream_services.kit import changes
from upstream_services.kit.keys import CHANGES

from .conftest import Client


async def next_event(stream: ClientResponse) -> tuple[str, dict[str, Any]]:
    """The name and the data of the next event."""
    name = (await stream.content.readline()).decode().removeprefix("event: ").strip()
    data = json.loads((await stream.content.readline()).decode().removeprefix("data: "))
    assert await stream.content.readline() == b"\n"
    return name, data


async def test_changes_are_told_in_order_and_to_their_tenant_only(crm: Client, tenant: str, other: str) -> None:
    async with crm.get("/crm/events") as stream, crm.get("/crm/events", headers={"X-Tenant-Id": other}) as strange:
        assert stream.content_type == "text/event-stream"
        assert await next_event(stream) == ("hello", {"service": "crm", "tenant": tenant})
        assert (await next_event(strange))[1]["tenant"] == other

        contact = await (await crm.post("/crm/contacts", json={"name": "A"})).json()
        deal = await (await crm.post("/crm/deals", json={"contact_id": contact["id"], "title": "T"})).json()
        await crm.patch(f"/crm/contacts/{contact['id']}", json={"name": "B"})
        await crm.delete(f"/crm/contacts/{contact['id']}")  # refused: it has a deal
        await crm.delete(f"/crm/deals/{deal['id']}")
        await crm.post(f"/crm/deals/{deal['id']}/restore")
        expected = [
            ("contact.created", contact["id"], 1),
            ("deal.created", deal["id"], 1),
            ("contact.updated", contact["id"], 2),
            ("deal.deleted", deal["id"], 2),
            ("deal.restored", deal["id"], 3),
        ]
        for kind, row_id, version in expected:
            assert await next_event(stream) == (kind, {"type": kind, "id": row_id, "version": version})

        theirs = await (await crm.post("/crm/contacts", json={"name": "C"}, headers={"X-Tenant-Id": other})).json()
        assert (await next_event(strange))[1]["id"] == theirs["id"]


async def test_a_quiet_stream_shows_that_it_lives(crm: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.01)
    async with crm.get("/crm/events") as stream:
        await next_event(stream)
        assert await stream.content.readline() == b": still here\n"


async def test_a_listener_that_is_too_slow_is_let_go(crm: Client, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "QUEUE_MAX", 1)
    with crm.app[CHANGES].listen(tenant) as queue:
        async with crm.get("/crm/events") as stream:
            await next_event(stream)
            for _ in range(2):
                await crm.post("/crm/contacts", json={"name": "A"})
                assert (await next_event(stream))[0] == "contact.created"
            assert await queue.get() is None
        assert "listeners=" in repr(crm.app[CHANGES])


async def test_streams_end_and_come_back_when_the_database_connection_is_lost(crm: Client) -> None:
    feed = crm.app[CHANGES]
    async with crm.get("/crm/events") as stream:
        await next_event(stream)
        connected = asyncio.Event()
        connect = feed.connect

        async def notice() -> None:
            await connect()
            connected.set()

        feed.connect = notice  # type: ignore[method-assign]
        feed._connection.terminate()
        assert await stream.content.read() == b""
    await connected.wait()
    async with crm.get("/crm/events") as stream:
        await next_event(stream)
        await crm.post("/crm/contacts", json={"name": "A"})
        assert (await next_event(stream))[0] == "contact.created"


async def test_echo_of_text_and_bytes(crm: Client) -> None:
    async with crm.ws_connect("/crm/echo", protocols=("chat.v2", "chat.v1"), max_msg_size=0) as socket:
        assert socket.protocol == "chat.v2"
        await socket.send_str("namaste")
        assert (await socket.receive_str()) == "namaste"
        for size in (0, 1, 2**20, 3 * 2**20):
            await socket.send_bytes(b"x" * size)
            assert len(await socket.receive_bytes()) == size
        await socket.close(code=4001)
        assert socket.close_code == 4001


async def test_echo_refuses_messages_over_its_bound(crm: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_MESSAGE_BYTES", 1000)
    async with crm.ws_connect("/crm/echo") as socket:
        assert socket.protocol is None
        await socket.send_bytes(b"x" * 1001)
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1009


async def test_streams_do_not_hold_up_a_stop(crm: Client) -> None:
    async with crm.get("/crm/events") as stream, crm.ws_connect("/crm/echo") as socket:
        await next_event(stream)
        stopping = asyncio.create_task(crm.server.runner.cleanup())  # type: ignore[union-attr]
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1001
        assert await stream.content.read() == b""
        await asyncio.wait_for(stopping, 5)
