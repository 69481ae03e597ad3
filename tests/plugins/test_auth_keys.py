"""`auth` by API keys, and by keys that are fetched."""

import asyncio
import base64
import gc
import hashlib
import json
import logging
from typing import Any

import pytest

from gateway.core.errors import GatewayError
from gateway.plugin_api import PolicyError
from plugins.auth import Auth
from tests.plugins.auth_material import (
    EC_KEYS,
    ED_KEY,
    NOW,
    RSA_KEY,
    SECRET,
    SMALL_RSA,
    URL,
    bearer,
    challenge_of,
    jwk_of,
    key_set,
    plugin_of,
    refused,
    token_of,
)
from tests.plugins.lent_services import LentServices, build, exchange_of


class TestApiKeys:
    def plugin(self, keys: Any = None, services: LentServices | None = None) -> Any:
        services = services or LentServices()
        entry = {"sha256": hashlib.sha256(b"k-123").hexdigest().upper(), "tenant": "t1", "plan": "pro", "scopes": ["a"]}
        services.section = {"machines": {"api_key": {"header": "X-Api-Key", "keys": keys or {"ci": entry}}}}
        return build(Auth, "machines", services)

    def test_a_key_is_known_by_its_hash(self) -> None:
        exchange = exchange_of((b"x-api-key", b"k-123"))
        assert self.plugin().on_request(exchange) is None
        identity = exchange.identity
        assert identity is not None
        assert (identity.tenant, identity.plan, identity.scopes, identity.key) == ("t1", "pro", {"a"}, "ci")
        assert identity.credential == "api_key:machines"
        assert exchange.verdicts == {"auth": "api_key"}

    def test_the_list_form_is_the_same(self) -> None:
        keys = [{"name": "ci", "sha256": hashlib.sha256(b"k-123").hexdigest(), "modules": ["crm"]}]
        exchange = exchange_of((b"x-api-key", b"k-123"))
        self.plugin(keys).on_request(exchange)
        assert exchange.identity is not None
        assert exchange.identity.key == "ci"
        assert exchange.identity.claims == {"modules": ["crm"]}

    def test_missing_unknown_or_sent_twice_is_refused(self) -> None:
        line = (b"x-api-key", b"k-123")
        assert refused(self.plugin()).kind.code == "api_key_missing"
        assert refused(self.plugin(), (b"x-api-key", b"k-124")).kind.code == "api_key_unknown"
        error = refused(self.plugin(), line, line)
        assert error.kind.code == "api_key_unknown"
        assert challenge_of(error) == b'ApiKey realm="gateway", header="X-Api-Key"'

    def test_one_key_under_two_names_is_an_error_at_load(self) -> None:
        entry = {"sha256": "0" * 64}
        with pytest.raises(PolicyError, match="the keys a and b are the same") as caught:
            self.plugin({"a": entry, "b": entry})
        assert caught.value.path == ("machines", "api_key", "keys", "b")
        assert caught.value.section


class TestFetchedKeys:
    """A JWK set behind a URL."""

    @pytest.fixture
    def services(self) -> LentServices:
        services = LentServices()
        services.documents[URL] = key_set(jwk_of(RSA_KEY, "RS256", kid="r1", use="sig"))
        return services

    def plugin(self, services: LentServices) -> Any:
        return plugin_of(services, algorithms=["RS256", "ES256", "EdDSA"], jwks=URL)

    def token(self, kid: str = "r1", key: Any = RSA_KEY, algorithm: str = "RS256", **claims: Any) -> bytes:
        return token_of(key, algorithm, {"kid": kid}, exp=NOW + 10**6, **claims)

    async def test_fetched_at_first_use_once_for_all_who_wait(self, services: LentServices) -> None:
        plugin = self.plugin(services)
        exchanges = [exchange_of(bearer(self.token(sub=f"u{number}"))) for number in range(5)]
        await asyncio.gather(*(plugin.on_request(exchange) for exchange in exchanges))
        assert [exchange.identity.user for exchange in exchanges if exchange.identity] == ["u0", "u1", "u2", "u3", "u4"]
        assert services.fetched == [URL]
        assert plugin.on_request(exchange_of(bearer(self.token(sub="later")))) is None  # no more waiting

    async def test_none_ever_fetched_is_503_and_the_url_is_not_stormed(self, services: LentServices) -> None:
        services.documents[URL] = OSError("connection refused")
        plugin = self.plugin(services)
        with pytest.raises(GatewayError, match="keys_unavailable") as caught:
            await plugin.on_request(exchange_of(bearer(self.token())))
        assert caught.value.headers == ((b"retry-after", b"1"),)
        with pytest.raises(GatewayError, match="keys_unavailable"):
            plugin.on_request(exchange_of(bearer(self.token())))
        assert len(services.fetched) == 1
        services.now_s += 1
        services.documents[URL] = key_set(jwk_of(RSA_KEY, "RS256", kid="r1"))
        await plugin.on_request(exchange_of(bearer(self.token())))
        assert services.metrics.counts["gateway_auth_failures", "keys_unavailable"] == 2

    async def test_an_unknown_kid_fetches_at_most_once_in_thirty_seconds(self, services: LentServices) -> None:
        plugin = self.plugin(services)
        await plugin.on_request(exchange_of(bearer(self.token())))
        with pytest.raises(GatewayError, match="token_key_unknown"):
            await plugin.on_request(exchange_of(bearer(self.token("r2"))))
        services.now_s += 29
        with pytest.raises(GatewayError, match="token_key_unknown"):
            plugin.on_request(exchange_of(bearer(self.token("r2"))))
        assert len(services.fetched) == 2
        services.now_s += 1
        services.documents[URL] = key_set(jwk_of(ED_KEY, "EdDSA", kid="r2"))
        await plugin.on_request(exchange_of(bearer(self.token("r2", ED_KEY, "EdDSA"))))
        assert len(services.fetched) == 3

    async def test_refreshed_behind_the_requests_every_ten_minutes_and_a_gone_key_is_gone(
        self, services: LentServices
    ) -> None:
        plugin = self.plugin(services)
        known = bearer(self.token())
        await plugin.on_request(exchange_of(known))
        services.documents[URL] = key_set(jwk_of(EC_KEYS["ES256"], "ES256", kid="e1"))
        services.now_s += 599
        assert plugin.on_request(exchange_of(known)) is None
        assert len(services.fetched) == 1
        services.now_s += 1
        assert plugin.on_request(exchange_of(bearer(self.token(sub="u2")))) is None  # with the keys at hand
        await plugin._checker._fetcher.fetch()
        assert len(services.fetched) == 2
        # The remembered tokens went with their key.
        with pytest.raises(GatewayError, match="token_key_unknown"):
            await plugin.on_request(exchange_of(known))

    @pytest.mark.parametrize("broken", [OSError("down"), ValueError("too large"), b"<html>", b'{"keys": []}', b"[]"])
    async def test_the_last_good_keys_stay(
        self, services: LentServices, broken: bytes | Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        plugin = self.plugin(services)
        await plugin.on_request(exchange_of(bearer(self.token())))
        services.documents[URL] = broken
        services.now_s += 600
        plugin.on_request(exchange_of(bearer(self.token(sub="u2"))))
        with caplog.at_level(logging.WARNING):
            await plugin._checker._fetcher.fetch()
        assert "auth profile main: the keys cannot be fetched" in caplog.text
        assert plugin.on_request(exchange_of(bearer(self.token(sub="u3")))) is None

    async def test_a_client_that_leaves_does_not_end_the_fetch(self, services: LentServices) -> None:
        plugin = self.plugin(services)
        leaving = asyncio.ensure_future(plugin.on_request(exchange_of(bearer(self.token()))))
        staying = asyncio.ensure_future(plugin.on_request(exchange_of(bearer(self.token(sub="u2")))))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert len(services.fetched) == 1

    async def test_keys_for_something_else_are_left_out_and_said(
        self, services: LentServices, caplog: pytest.LogCaptureFixture
    ) -> None:
        services.documents[URL] = key_set(
            jwk_of(RSA_KEY, "RS256", kid="r1"),
            jwk_of(EC_KEYS["ES256"], "ES256", kid="enc", use="enc"),
            jwk_of(EC_KEYS["ES256"], "ES256", kid="wrap", key_ops=["wrapKey"]),
            jwk_of(RSA_KEY, "RS256", kid="r512", alg="RS512"),
            {"kty": "oct", "kid": "sym", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
            jwk_of(SMALL_RSA, "RS256", kid="small"),
            {"kty": ["RSA"], "kid": "odd"},
            {"kty": "RSA", "kid": "half", "n": 7},
        )
        plugin = self.plugin(services)
        with caplog.at_level(logging.WARNING):
            await plugin.on_request(exchange_of(bearer(self.token())))
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 7
        assert not any(SECRET in line for line in said)
        for kid in ("enc", "wrap"):
            with pytest.raises(GatewayError, match="token_key_unknown"):
                await plugin.on_request(exchange_of(bearer(self.token(kid, EC_KEYS["ES256"], "ES256"))))

    async def test_closed_in_the_middle_of_a_fetch_nothing_is_left(self, services: LentServices) -> None:
        plugin = self.plugin(services)
        started = asyncio.Event()

        async def hang(url: str, **_: Any) -> bytes:
            started.set()
            await asyncio.Event().wait()
            return b""

        services.fetch = hang  # type: ignore[method-assign]
        waiting = asyncio.ensure_future(plugin.on_request(exchange_of(bearer(self.token()))))
        await started.wait()
        plugin._checker.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gc.collect()

    def test_a_set_in_the_file_needs_no_fetch(self) -> None:
        services = LentServices()
        document = json.loads(key_set(jwk_of(RSA_KEY, "RS256", kid="r1")))
        for jwks in (document, json.dumps(document)):
            plugin = plugin_of(services, algorithms=["RS256"], jwks=jwks)
            assert plugin.on_request(exchange_of(bearer(self.token()))) is None
