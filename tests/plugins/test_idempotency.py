import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.errors import UPSTREAM_RESET, GatewayError
from gateway.core.identity import Identity
from gateway.plugin_api import BodyStream, Exchange, PolicyError, Reply, StoreDown
from plugins import idempotency
from plugins.idempotency import Idempotency
from tests.support.plugins import LentServices, Pieces, build, exchange, reply

KEY = {"Idempotency-Key": '"k1"'}


class Upstream:
    """Counts its calls; answers with `replies`, then with 201 and the number of the call; `gate` holds it up."""

    def __init__(self, *replies: Reply | Exception) -> None:
        self.replies = list(replies)
        self.calls: list[Exchange] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()

    async def __call__(self, made: Exchange) -> Reply:
        self.calls.append(made)
        self.called.set()
        await self.gate.wait()
        body = made.body
        if not isinstance(body, bytes):
            while await body.read():
                pass
        answer = self.replies.pop(0) if self.replies else reply(201, {"X-Call": str(len(self.calls))}, b"made")
        if isinstance(answer, Exception):
            raise answer
        return answer


Send = Callable[..., Awaitable[Reply]]


def sender(upstream: Upstream, services: Any = None, policy: Any = "optional") -> Send:
    plugin = build(Idempotency, policy, services)
    call = plugin.wrap_upstream(upstream)

    async def send(
        body: bytes | BodyStream = b"{}",
        headers: dict[str, str] | None = None,
        *,
        method: str = "POST",
        target: str = "/api/x",
        identity: Identity | None = None,
        client_ip: str = "192.0.2.1",
        seen: list[Exchange] | None = None,
    ) -> Reply:
        made = exchange(method, target, KEY if headers is None else headers, body, client_ip=client_ip)
        made.identity = identity
        if seen is not None:
            seen.append(made)
        plugin.on_request(made)
        return await call(made)

    return send


def identity(tenant: str, user: str | None = "u1") -> Identity:
    return Identity(tenant=tenant, user=user, plan=None, scopes=frozenset(), claims={}, credential="jwt:test")


async def refused(sent: Awaitable[Reply]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await sent
    return caught.value


async def test_a_repetition_gets_the_kept_reply_and_its_mark() -> None:
    upstream, services = Upstream(), LentServices()
    send = sender(upstream, services)
    seen: list[Exchange] = []
    first = await send(seen=seen)
    again = await send(seen=seen)
    assert len(upstream.calls) == 1
    assert (first.status, first.body) == (again.status, again.body) == (201, b"made")
    assert list(again.headers) == [*first.headers, (b"idempotency-replayed", b"true")]
    assert [made.verdicts["idempotency"] for made in seen] == ["first", "replayed"]
    counts = {dict(key[1:])["verdict"]: count for key, count in services.metrics.counts.items() if count}
    assert counts == {"first": 1, "replayed": 1}


async def test_a_quoted_key_and_a_bare_one_are_the_same() -> None:
    upstream = Upstream()
    send = sender(upstream)
    await send()
    await send(headers={"Idempotency-Key": "k1"})
    assert len(upstream.calls) == 1


async def test_another_body_target_or_user_is_another_request() -> None:
    upstream = Upstream()
    send = sender(upstream)
    await send(identity=identity("t1"))
    for other in (
        send(b"{ }", identity=identity("t1")),
        send(target="/api/y", identity=identity("t1")),
        send(identity=identity("t1", "u2")),
        send(Pieces(b"{", b"!"), identity=identity("t1")),
    ):
        error = await refused(other)
        assert error.kind.code == "idempotency_key_reused"
        assert error.kind.status == 422
    assert len(upstream.calls) == 1
    await send(Pieces(b"{", b"}"), identity=identity("t1"))
    assert len(upstream.calls) == 1


async def test_keys_are_a_tenants_own_and_an_addresss_where_nobody_is_known() -> None:
    upstream = Upstream()
    send = sender(upstream)
    await send(identity=identity("t1"))
    await send(identity=identity("t2"))
    await send(client_ip="192.0.2.1")
    await send(client_ip="192.0.2.2")
    await send(method="PATCH")
    assert len(upstream.calls) == 5
    await send(identity=identity("t1"), client_ip="192.0.2.9")
    assert len(upstream.calls) == 5


async def test_what_needs_no_key_goes_by_untouched() -> None:
    upstream = Upstream()
    send = sender(upstream, policy="required")
    for method in ("GET", "PUT", "DELETE"):
        await send(method=method)
        await send(method=method, headers={})
    assert len(upstream.calls) == 6
    send = sender(upstream)
    await send(headers={})
    await send(headers={})
    assert len(upstream.calls) == 8


async def test_required_without_a_key_and_a_malformed_key_are_400() -> None:
    upstream = Upstream()
    assert (await refused(sender(upstream, policy="required")(headers={}))).kind.code == "idempotency_key_missing"
    error = await refused(sender(upstream)(headers={"Idempotency-Key": "a b"}))
    assert (error.kind.code, error.kind.status) == ("idempotency_key_malformed", 400)
    assert upstream.calls == []


async def test_while_the_first_is_under_way_a_repetition_is_409_and_another_body_422() -> None:
    upstream = Upstream()
    upstream.gate.clear()
    send = sender(upstream)
    first = asyncio.ensure_future(send())
    await upstream.called.wait()
    error = await refused(send())
    assert (error.kind.code, error.kind.status) == ("idempotency_in_flight", 409)
    assert error.headers == ((b"retry-after", b"1"),)
    assert (await refused(send(b"other"))).kind.code == "idempotency_key_reused"
    # Of a body that is still to come nobody knows yet.
    assert (await refused(send(Pieces(b"other")))).kind.code == "idempotency_in_flight"
    upstream.gate.set()
    assert (await first).status == 201
    assert (await send()).headers.get(b"idempotency-replayed") == b"true"
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("outcome", [reply(500), reply(429), GatewayError(UPSTREAM_RESET), ValueError("a fault")])
async def test_what_is_not_final_frees_the_key(outcome: Reply | Exception) -> None:
    upstream = Upstream(outcome)
    send = sender(upstream)
    seen: list[Exchange] = []
    if isinstance(outcome, Exception):
        with pytest.raises(type(outcome)):
            await send(seen=seen)
    else:
        assert (await send(seen=seen)).status == outcome.status
    assert seen[0].verdicts["idempotency"] == "freed"
    again = await send()
    assert again.status == 201
    assert b"idempotency-replayed" not in again.headers
    assert len(upstream.calls) == 2


async def test_a_reply_that_breaks_off_frees_the_key() -> None:
    class Broken(Pieces):
        async def read(self) -> bytes:
            raise GatewayError(UPSTREAM_RESET)

    upstream = Upstream(reply(200, body=Broken()))
    send = sender(upstream)
    assert (await refused(send())).kind is UPSTREAM_RESET
    assert (await send()).status == 201


async def test_a_streamed_reply_is_kept_whole() -> None:
    upstream = Upstream(reply(200, body=Pieces(b"one", b"two")))
    send = sender(upstream)
    assert (await send()).body == (await send()).body == b"onetwo"


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_reply_that_is_too_large_streams_and_is_not_carried_out_again(is_known: bool) -> None:
    pieces = [bytes(600_000), b"x" * 600_000, b"end"]
    body = Pieces(*pieces, length=1_200_003 if is_known else None)
    upstream = Upstream(reply(200, body=body))
    send = sender(upstream)
    first = await send()
    assert not isinstance(first.body, bytes)
    assert first.body.length == body.length
    read = b""
    while piece := await first.body.read():
        read += piece
    assert read == b"".join(pieces)
    error = await refused(send())
    assert (error.kind.code, error.kind.status) == ("idempotency_reply_not_kept", 409)
    assert len(upstream.calls) == 1


async def test_a_stream_of_events_is_not_gathered() -> None:
    events = Pieces(b"data: 1\n\n")
    upstream = Upstream(reply(200, {"Content-Type": "text/event-stream"}, events))
    assert (await sender(upstream)()).body is events


async def test_an_upstream_that_did_not_read_the_body_leaves_the_key_free() -> None:
    async def hasty(made: Exchange) -> Reply:
        assert not isinstance(made.body, bytes)
        await made.body.read()
        return reply(400)

    plugin = build(Idempotency, "optional")
    call = plugin.wrap_upstream(hasty)
    for _ in range(2):
        body = Pieces(b"one", b"two")
        made = exchange("POST", headers=KEY, body=body)
        plugin.on_request(made)
        assert (await call(made)).status == 400
        assert made.verdicts["idempotency"] == "freed"
        assert made.body is body, "the lane's own, to which it looks at the end"


async def test_a_known_length_is_read_whole_with_its_last_byte() -> None:
    async def exact(made: Exchange) -> Reply:
        assert not isinstance(made.body, bytes)
        await made.body.read()
        return reply(201)

    plugin = build(Idempotency, "optional")
    call = plugin.wrap_upstream(exact)
    made = exchange("POST", headers=KEY, body=Pieces(b"four", length=4))
    plugin.on_request(made)
    await call(made)
    assert made.verdicts["idempotency"] == "first"


async def test_a_client_that_left_does_not_lose_the_result() -> None:
    upstream = Upstream()
    upstream.gate.clear()
    send = sender(upstream)
    first = asyncio.ensure_future(send())
    await upstream.called.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await refused(send())).kind.code == "idempotency_in_flight"
    upstream.gate.set()
    while True:
        try:
            again = await send()
            break
        except GatewayError:
            await asyncio.sleep(0)
    assert again.headers.get(b"idempotency-replayed") == b"true"
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("outcome", ["large", "error"])
async def test_what_nobody_waits_for_is_let_go(outcome: str) -> None:
    body = Pieces(b"x", length=2_000_000)
    upstream = Upstream(reply(200, body=body) if outcome == "large" else GatewayError(UPSTREAM_RESET))
    upstream.gate.clear()
    plugin = build(Idempotency, "optional")
    call = plugin.wrap_upstream(upstream)
    made = exchange("POST", headers=KEY)
    plugin.on_request(made)
    sent = asyncio.ensure_future(call(made))
    await upstream.called.wait()
    sent.cancel()
    await asyncio.wait([sent])
    closing = plugin.close()
    assert closing is not None
    upstream.gate.set()
    await closing
    assert body.is_closed is (outcome == "large")
    assert made.verdicts["idempotency"] == ("first" if outcome == "large" else "freed")
    assert plugin.close() is None


async def test_what_does_not_end_is_given_up_with_its_table_and_keeps_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "CLOSE_S", 0.0)
    upstream, services = Upstream(), LentServices()
    upstream.gate.clear()
    plugin = build(Idempotency, "optional", services)
    made = exchange("POST", headers=KEY)
    plugin.on_request(made)
    sent = asyncio.ensure_future(plugin.wrap_upstream(upstream)(made))
    await upstream.called.wait()
    closing = plugin.close()
    assert closing is not None
    await closing
    with pytest.raises(asyncio.CancelledError):
        await sent
    again = sender(upstream, services)
    assert (await refused(again(b"", client_ip=""))).kind.code == "idempotency_in_flight"
    services.clock_s += idempotency.LEASE_S
    upstream.gate.set()
    assert (await again(b"", client_ip="")).status == 201


async def test_the_lease_is_renewed_as_long_as_the_request_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "RENEWED_AFTER_S", 0.0)
    upstream, services = Upstream(), LentServices()
    upstream.gate.clear()
    send = sender(upstream, services)
    first = asyncio.ensure_future(send())
    await upstream.called.wait()
    for _ in range(5):
        services.clock_s += idempotency.LEASE_S - 1
        for _ in range(3):
            await asyncio.sleep(0)
        assert (await refused(send())).kind.code == "idempotency_in_flight"
    upstream.gate.set()
    assert (await first).status == 201


async def test_a_reply_is_kept_for_as_long_as_the_policy_says() -> None:
    upstream, services = Upstream(), LentServices()
    send = sender(upstream, services, {"mode": "optional", "for": "1h"})
    await send()
    services.clock_s += 3599
    await send()
    assert len(upstream.calls) == 1
    services.clock_s += 1
    await send()
    assert len(upstream.calls) == 2


class Down:
    """A store that fails from the given call on."""

    def __init__(self, services: LentServices, after: int) -> None:
        self._store, self._left = services.claims, after

    async def claim(self, *args: Any) -> Any:
        return await self._one(self._store.claim, *args)

    async def replace(self, *args: Any) -> Any:
        return await self._one(self._store.replace, *args)

    async def _one(self, call: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise StoreDown("gone")
        return await call(*args)


@pytest.mark.parametrize("mode", ["optional", "required"])
async def test_without_the_store_a_keyed_request_is_503_and_one_without_goes_on(mode: str) -> None:
    upstream, services = Upstream(), LentServices()
    services.claims = Down(services, 0)
    send = sender(upstream, services, mode)
    error = await refused(send())
    assert (error.kind.code, error.kind.status) == ("idempotency_store_down", 503)
    assert error.headers == ((b"retry-after", b"1"),)
    assert upstream.calls == []
    if mode == "optional":
        assert (await send(headers={})).status == 201


async def test_a_store_that_goes_down_meanwhile_costs_the_kept_reply_only(caplog: pytest.LogCaptureFixture) -> None:
    upstream, services = Upstream(), LentServices()
    services.claims = Down(services, 1)
    seen: list[Exchange] = []
    assert (await sender(upstream, services)(seen=seen)).status == 201
    assert seen[0].verdicts["idempotency"] == "lost"
    assert "has lost its reply: gone" in caplog.text


@pytest.mark.parametrize(
    "policy", ["maybe", {}, {"for": "24h"}, {"mode": "optional", "for": "1s"}, {"mode": "optional", "ttl": "24h"}]
)
def test_a_policy_that_cannot_be_meant_is_an_error_at_load(policy: Any) -> None:
    with pytest.raises(ValidationError):
        build(Idempotency, policy)


def test_a_route_without_post_and_patch_has_no_use_for_keys() -> None:
    build(Idempotency, "required", methods=["GET", "PATCH"])
    with pytest.raises(PolicyError, match="POST and PATCH"):
        build(Idempotency, "required", methods=["GET", "PUT", "DELETE"])
