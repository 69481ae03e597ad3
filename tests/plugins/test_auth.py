import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.core.errors import GatewayError
from gateway.plugin_api import IdentityClaims, PolicyError
from plugins import auth
from plugins.auth import Auth
from tests.plugins.auth_material import (
    EC_KEYS,
    ED_KEY,
    NOW,
    PRIVATE,
    RSA_KEY,
    SECRET,
    SMALL_RSA,
    URL,
    bearer,
    challenge_of,
    hs_plugin,
    jwk_of,
    pem_of,
    plugin_of,
    refused,
    token_of,
)
from tests.plugins.lent_services import LentServices, build, exchange_of


class TestWhoIsKnown:
    def test_claims_become_the_identity_and_headers_for_the_upstream(self) -> None:
        exchange = exchange_of(bearer(token_of()))
        assert hs_plugin().on_request(exchange) is None
        assert exchange.identity is not None
        assert exchange.identity.upstream_headers == (
            (b"x-tenant-id", b"t1"),
            (b"x-user-id", b"u1"),
            (b"x-plan", b"pro"),
            (b"x-scopes", b"crm.read crm.write"),
        )
        assert exchange.identity.credential == "jwt:main"
        assert exchange.verdicts == {"auth": "jwt"}

    def test_dotted_claims_and_scopes_as_a_list(self) -> None:
        names = IdentityClaims(tenant="account.id", scopes="permissions")
        services = LentServices(identity=names)
        exchange = exchange_of(bearer(token_of(account={"id": "t9"}, permissions=["a", "b"])))
        plugin_of(services, secret=SECRET).on_request(exchange)
        assert exchange.identity is not None
        assert exchange.identity.tenant == "t9"
        assert exchange.identity.scopes == {"a", "b"}

    @pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
    def test_the_scheme_is_case_insensitive(self, scheme: bytes) -> None:
        assert hs_plugin().on_request(exchange_of((b"authorization", scheme + token_of()))) is None

    @pytest.mark.parametrize("algorithm", PRIVATE)
    def test_each_asymmetric_algorithm_with_its_key(self, algorithm: str) -> None:
        private = PRIVATE[algorithm]
        plugin = plugin_of(algorithms=[algorithm], public_key=pem_of(private))
        assert plugin.on_request(exchange_of(bearer(token_of(private, algorithm)))) is None
        other = token_of(private, algorithm, sub="u2").rpartition(b".")[0] + b"." + b"A" * 86
        assert refused(plugin, bearer(other)).kind.code == "token_signature_wrong"

    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    def test_each_secret_algorithm(self, algorithm: str) -> None:
        plugin = plugin_of(algorithms=[algorithm], secret=SECRET)
        assert plugin.on_request(exchange_of(bearer(token_of(algorithm=algorithm)))) is None

    def test_a_part_of_a_batch_keeps_the_identity_of_its_whole(self) -> None:
        plugin = hs_plugin()
        whole, part = exchange_of(bearer(token_of())), exchange_of()
        plugin.on_request(whole)
        part.identity = whole.identity
        assert plugin.on_request(part) is None
        assert part.identity is whole.identity

    def test_an_identity_of_another_profile_is_not_kept(self) -> None:
        services = LentServices({"main": {"jwt": {"algorithms": ["HS256"], "secret": SECRET}}})
        services.section["other"] = {"jwt": {"algorithms": ["HS256"], "secret": SECRET[::-1]}}
        whole, part = exchange_of(bearer(token_of())), exchange_of()
        build(Auth, "main", services).on_request(whole)
        part.identity = whole.identity
        with pytest.raises(GatewayError, match="token_missing"):
            build(Auth, "other", services).on_request(part)
        assert part.identity is None


class TestWhoIsNot:
    def test_without_a_token_the_challenge_has_no_error(self) -> None:
        error = refused(hs_plugin())
        assert error.kind.code == "token_missing"
        assert challenge_of(error) == b'Bearer realm="gateway"'

    def test_another_scheme_is_no_token(self) -> None:
        assert refused(hs_plugin(), (b"authorization", b"Basic dTpw")).kind.code == "token_missing"

    def test_a_wrong_token_is_named_in_the_challenge(self) -> None:
        error = refused(hs_plugin(), bearer(token_of(exp=NOW - 1)))
        assert challenge_of(error) == (
            b'Bearer realm="gateway", error="invalid_token", '
            b'error_description="The token has expired: ask for a new one."'
        )

    @pytest.mark.parametrize(
        ("code", "settings", "claims"),
        [
            ("token_expired", {}, {"exp": NOW}),
            ("token_expired", {"leeway": "30s"}, {"exp": NOW - 30}),
            ("token_claim_missing", {}, {"exp": ...}),
            ("token_not_yet_valid", {}, {"nbf": NOW + 1}),
            ("token_malformed", {}, {"exp": "soon"}),
            ("token_malformed", {}, {"exp": True}),
            ("token_malformed", {}, {"iat": []}),
            ("token_malformed", {}, {"exp": 10**400}),
            ("token_issuer_wrong", {"issuer": "payaid"}, {"iss": "evil"}),
            ("token_claim_missing", {"issuer": "payaid"}, {}),
            ("token_malformed", {"issuer": "payaid"}, {"iss": ["payaid"]}),
            ("token_audience_wrong", {"audience": "api"}, {"aud": "web"}),
            ("token_audience_wrong", {}, {"aud": "web"}),
            ("token_claim_missing", {"audience": "api"}, {}),
            ("token_malformed", {"audience": "api"}, {"aud": {"api": 1}}),
            ("token_claim_missing", {}, {"tenant_id": ...}),
            ("token_malformed", {}, {"tenant_id": 17}),
            ("token_malformed", {}, {"tenant_id": "t1\r\nX-Plan: enterprise"}),
            ("token_malformed", {}, {"tenant_id": ""}),
            ("token_malformed", {}, {"sub": "\ud800"}),
            ("token_malformed", {}, {"plan": "pro\x00"}),
            ("token_malformed", {}, {"scope": ["crm.read crm.write"]}),
            ("token_malformed", {}, {"scope": [{}]}),
            ("token_malformed", {}, {"scope": 7}),
        ],
    )
    def test_each_claim_is_judged(self, code: str, settings: dict[str, Any], claims: dict[str, Any]) -> None:
        assert refused(hs_plugin(**settings), bearer(token_of(**claims))).kind.code == code

    def test_right_claims_pass(self) -> None:
        plugin = hs_plugin(issuer="payaid", audience="api", leeway="30s")
        token = token_of(exp=NOW - 29, nbf=NOW + 30, iat=NOW - 5.5, iss="payaid", aud=["web", "api"], plan=None)
        assert plugin.on_request(exchange_of(bearer(token))) is None

    def test_an_unsigned_token_is_refused(self) -> None:
        token = jwt.encode({"tenant_id": "t1", "exp": NOW + 9}, None, "none").encode()
        assert refused(hs_plugin(), bearer(token)).kind.code == "token_algorithm_refused"

    def test_a_listed_algorithm_only(self) -> None:
        assert refused(hs_plugin(), bearer(token_of(algorithm="HS512"))).kind.code == "token_algorithm_refused"

    def test_a_token_signed_with_the_public_key_as_secret_is_refused(self) -> None:
        plugin = plugin_of(algorithms=["RS256"], public_key=pem_of(RSA_KEY))
        head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=")
        assert refused(plugin, bearer(head + b".e30.c2ln")).kind.code == "token_algorithm_refused"

    def test_a_critical_extension_is_refused(self) -> None:
        token = token_of(headers={"crit": ["b64"], "b64": True})
        assert refused(hs_plugin(), bearer(token)).kind.code == "token_malformed"

    def test_more_than_one_authorization_line_is_refused_also_after_a_hit(self) -> None:
        plugin = hs_plugin()
        line = bearer(token_of())
        plugin.on_request(exchange_of(line))
        assert refused(plugin, line, line).kind.code == "token_malformed"

    def test_more_than_8_kib_are_not_even_read(self) -> None:
        error = refused(hs_plugin(), bearer(token_of(padding="x" * 8192)))
        assert error.detail == "The token is longer than 8 KiB."

    def test_tokens_in_the_query_are_not_looked_at(self) -> None:
        exchange = exchange_of()
        exchange.query = "access_token=" + token_of().decode()
        with pytest.raises(GatewayError, match="token_missing"):
            hs_plugin().on_request(exchange)

    @given(st.binary(max_size=80), st.booleans())
    def test_whatever_bytes_come_it_is_a_refusal(self, raw: bytes, is_bearer: bool) -> None:
        value = b"Bearer " + raw if is_bearer else raw
        assert refused(FUZZED, (b"authorization", value)).kind.status == 401

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )

    @given(
        st.dictionaries(
            st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "tenant_id", "sub", "plan", "scope"]), json_values
        ),
        st.dictionaries(st.sampled_from(["alg", "kid", "crit", "typ"]), json_values),
    )
    def test_whatever_a_signed_token_says_it_is_an_identity_or_a_refusal(
        self, claims: dict[str, Any], header: dict[str, Any]
    ) -> None:
        def encode(value: Any) -> bytes:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

        signed = encode({"alg": "HS256", **header}) + b"." + encode({"exp": NOW + 9, "tenant_id": "t", **claims})
        signature = jwt.get_algorithm_by_name("HS256").sign(signed, SECRET.encode())
        token = signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
        exchange = exchange_of(bearer(token))
        status = 200
        try:
            FUZZED.on_request(exchange)
        except GatewayError as error:
            status = error.kind.status
        assert status == (401 if exchange.identity is None else 200)
        if exchange.identity is not None:
            assert all(value.decode().isprintable() for _, value in exchange.identity.upstream_headers)

    def test_each_failure_is_counted_by_reason_and_no_token_is_told(self) -> None:
        services = LentServices()
        plugin = plugin_of(services, secret=SECRET)
        token = token_of(tenant_id="secret-tenant", exp=1)
        error = refused(plugin, bearer(token))
        refused(plugin)
        assert services.metrics.counts == {
            ("gateway_auth_failures", "token_expired"): 1,
            ("gateway_auth_failures", "token_missing"): 1,
        }
        assert token.decode() not in repr(error) + repr(error.headers)


FUZZED = hs_plugin()


class TestRemembered:
    def test_a_known_token_is_not_verified_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plugin = hs_plugin()
        line = bearer(token_of())
        first, second = exchange_of(line), exchange_of(line)
        plugin.on_request(first)
        monkeypatch.setattr(auth, "parse_token", None)
        plugin.on_request(second)
        assert second.identity is first.identity
        assert second.verdicts == first.verdicts

    def test_never_beyond_exp_and_leeway(self) -> None:
        services = LentServices()
        plugin = plugin_of(services, secret=SECRET, leeway="10s")
        line = bearer(token_of(exp=NOW + 60))
        plugin.on_request(exchange_of(line))
        services.now_s += 69.9
        plugin.on_request(exchange_of(line))
        services.now_s += 0.1
        assert refused(plugin, line).kind.code == "token_expired"

    def test_never_beyond_five_minutes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        services = LentServices()
        plugin = plugin_of(services, secret=SECRET)
        line = bearer(token_of(exp=NOW + 86_400))
        plugin.on_request(exchange_of(line))
        services.now_s += 300
        monkeypatch.setattr(auth, "parse_token", lambda raw: pytest.fail("verified anew"))
        with pytest.raises(pytest.fail.Exception, match="verified anew"):
            plugin.on_request(exchange_of(line))

    def test_it_is_bounded_and_the_newest_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(auth, "REMEMBERED_MAX", 8)
        plugin = hs_plugin()
        lines = [bearer(token_of(sub=f"u{number}")) for number in range(20)]
        for line in lines:
            plugin.on_request(exchange_of(line))
            assert len(plugin._remembered) <= 8
        assert lines[-1][1] in plugin._remembered

    def test_routes_of_one_profile_share_it(self) -> None:
        services = LentServices({"main": {"jwt": {"algorithms": ["HS256"], "secret": SECRET}}})
        first, second = build(Auth, "main", services), build(Auth, "main", services)
        assert first._remembered is second._remembered


class TestSeveralKeys:
    KEYS = (
        {"kid": "old", "algorithm": "HS256", "secret": SECRET},
        {"kid": "new", "algorithm": "ES256", "public_key": pem_of(EC_KEYS["ES256"])},
    )

    def plugin(self) -> Any:
        return plugin_of(algorithms=["HS256", "ES256"], keys=list(self.KEYS))

    def test_kid_chooses(self) -> None:
        assert self.plugin().on_request(exchange_of(bearer(token_of(headers={"kid": "old"})))) is None
        new = token_of(EC_KEYS["ES256"], "ES256", {"kid": "new"})
        assert self.plugin().on_request(exchange_of(bearer(new))) is None

    def test_a_key_does_only_its_own_algorithm(self) -> None:
        error = refused(self.plugin(), bearer(token_of(headers={"kid": "new"})))
        assert error.kind.code == "token_algorithm_refused"

    def test_an_unknown_kid_is_refused(self) -> None:
        assert refused(self.plugin(), bearer(token_of(headers={"kid": "x"}))).kind.code == "token_key_unknown"

    def test_without_kid_one_fitting_key_is_enough_and_two_are_not(self) -> None:
        assert self.plugin().on_request(exchange_of(bearer(token_of()))) is None
        two = [*self.KEYS, {"kid": "third", "algorithm": "HS256", "secret": SECRET[::-1]}]
        plugin = plugin_of(algorithms=["HS256", "ES256"], keys=two)
        assert refused(plugin, bearer(token_of())).kind.code == "token_key_unknown"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"secret": "short"}, "5 bytes, HS256 needs 32"),
        ({"secret": SECRET[:40], "algorithms": ["HS256", "HS512"]}, "HS512 needs 64"),
        ({"secret": SECRET + "\n"}, "white space"),
        ({"secret": pem_of(RSA_KEY).strip()}, "no secret"),
        ({"secret": json.dumps(jwk_of(RSA_KEY, "RS256"))}, "no secret"),
        ({"secret": SECRET, "algorithms": ["HS256", "RS256"]}, "RS256 needs a public key"),
        ({"public_key": pem_of(RSA_KEY)}, "HS256 does not fit"),
        ({"public_key": pem_of(RSA_KEY), "algorithms": ["ES256"]}, "ES256 does not fit"),
        ({"public_key": pem_of(EC_KEYS["ES384"]), "algorithms": ["ES256"]}, "which is for ES384"),
        ({"public_key": pem_of(SMALL_RSA), "algorithms": ["RS256"]}, "1024 bits"),
        ({"public_key": pem_of(ec.generate_private_key(ec.SECP256K1())), "algorithms": ["ES256"]}, "no RSA, P-256"),
        ({"public_key": "nonsense", "algorithms": ["RS256"]}, "not a public key in PEM"),
        (
            {
                "public_key": ED_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
                "algorithms": ["EdDSA"],
            },
            "private key",
        ),
        ({"jwks": URL}, "HS256 needs a secret"),
        ({"jwks": "id.example", "algorithms": ["RS256"]}, "https:// URL"),
        ({"jwks": {"keys": []}, "algorithms": ["RS256"]}, "no key of the set"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "QUJD"}]}, "algorithms": ["RS256"]}, "symmetric"),
        ({"keys": [{"kid": "a", "algorithm": "RS256", "public_key": pem_of(RSA_KEY)}]}, "not among"),
        ({"keys": [{"kid": "a", "algorithm": "HS256", "secret": SECRET}] * 2}, "twice"),
    ],
)
def test_a_key_that_must_not_be_used_is_an_error_at_load(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said) as caught:
        plugin_of(**settings)
    assert caught.value.section
    assert caught.value.path[:2] == ("main", "jwt")
    assert caught.value.path[2] in {*settings, "algorithms"}
    assert SECRET not in str(caught.value)


def test_an_unknown_profile_is_an_error_at_load_with_the_nearest() -> None:
    services = LentServices({"main": {"jwt": {"algorithms": ["HS256"], "secret": SECRET}}})
    with pytest.raises(PolicyError, match="no auth profile mian: did you mean main"):
        build(Auth, "mian", services)
    with pytest.raises(PolicyError, match="there are main"):
        build(Auth, "zzz", services)
    with pytest.raises(PolicyError, match="section auth is empty"):
        build(Auth, "main", LentServices())


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"jwt": {"algorithms": ["HS256"]}},
        {"jwt": {"algorithms": ["HS256"], "secret": SECRET, "jwks": URL}},
        {"jwt": {"algorithms": ["none"], "secret": SECRET}},
        {"jwt": {"algorithms": [], "secret": SECRET}},
        {"jwt": {"algorithms": ["HS256"], "secret": SECRET, "leeway": 30}},
        {"jwt": {"algorithms": ["HS256"], "keys": [{"kid": "a", "algorithm": "HS256"}]}},
        {"api_key": {"keys": {"ci": {"sha256": "abc"}}}},
        {"api_key": {"keys": [{"sha256": "0" * 64}]}},
        {"api_key": {"keys": [{"name": "a", "sha256": "0" * 64}, {"name": "a", "sha256": "1" * 64}]}},
        {"api_key": {"header": "X Api", "keys": {}}},
        {"api_key": {"keys": {"ci": {"sha256": "0" * 64, "tenant": "a\nb"}}}},
        {"api_key": {"keys": {"ci": {"sha256": "0" * 64, "scopes": ["a b"]}}}},
    ],
)
def test_a_profile_that_says_too_little_or_too_much_is_an_error_at_load(profile: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Auth.Section).validate_python({"main": profile})
    assert SECRET not in str(caught.value)


def test_settings_do_not_show_secrets() -> None:
    section = TypeAdapter(Auth.Section).validate_python({"main": {"jwt": {"algorithms": ["HS256"], "secret": SECRET}}})
    assert SECRET not in repr(section)


@pytest.mark.parametrize(
    ("changed", "is_same"),
    [
        ({}, True),
        ({"leeway": "1s"}, False),
        ({"secret": SECRET[::-1]}, False),
        ({"algorithms": ["HS256", "HS384"], "secret": SECRET * 2}, False),
    ],
)
def test_remembered_tokens_last_as_long_as_their_profile_is_the_same(changed: dict[str, Any], is_same: bool) -> None:
    services, following = LentServices(), LentServices()
    plugin_of(services, secret=SECRET).on_request(exchange_of(bearer(token_of())))
    following.last = services.last
    after = plugin_of(following, **{"secret": SECRET, **changed})
    assert (len(after._remembered) == 1) == is_same
    # Who the caller is hangs on the claims as well.
    other = LentServices(identity=IdentityClaims(tenant="org"))
    other.last = services.last
    assert not plugin_of(other, secret=SECRET)._remembered
