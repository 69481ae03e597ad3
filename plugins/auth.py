"""`auth: <profile>`: who is the caller, by a JWT or an API key.

The profiles stand in the top-level section `auth`. A token has to be signed by a key of its profile, not be expired,
and name a tenant; the caller's tenant, user, plan and scopes then go to the upstream in headers of the gateway's own.
What fails ends as 401 with `WWW-Authenticate` (RFC 6750 section 3). Tokens in the query string are not accepted: they
would end in logs.

Verified tokens are remembered for five minutes at most, never beyond `exp` and never beyond a change of the keys.
"""

import asyncio
import difflib
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Any, ClassVar

from gateway.core.errors import (
    API_KEY_MISSING,
    API_KEY_UNKNOWN,
    ERRORS,
    KEYS_UNAVAILABLE,
    TOKEN_ALGORITHM_REFUSED,
    TOKEN_MALFORMED,
    TOKEN_MISSING,
    GatewayError,
)
from gateway.core.identity import Identity
from gateway.core.keys import Key, KeyRefused, KeySet, public_key, read_jwk_set, secret_key
from gateway.core.scalars import Id
from gateway.core.tokens import (
    ClaimRules,
    CompactToken,
    check_claims,
    identity_of,
    parse_claims,
    parse_token,
)
from gateway.plugin_api import Exchange, Plugin, PluginServices, PolicyError, RouteInfo, Stage
from plugins.auth_changes import compare_auth, compare_profiles
from plugins.auth_settings import ApiKeySettings, JwtSettings, NamedKey, Profile, profile_shape

REMEMBERED_MAX = 16_384
REMEMBERED_FOR_S = 300.0
KEYS_REFRESHED_EVERY_S = 600.0
UNKNOWN_KID_EVERY_S = 30.0
FETCH_RETRIED_EVERY_S = 1.0
FETCH_TIMEOUT_S = 5.0
KEY_SET_SIZE_MAX = 256 << 10

Remembered = dict[bytes | None, tuple[Identity, float]]
"""Header value -> (who it is, until when in seconds since the epoch)."""


class Auth(Plugin):
    """Sets `exchange.identity`, or ends the exchange."""

    name = "auth"
    stage = Stage.IDENTITY
    Policy = Id
    section_name = "auth"
    Section: ClassVar[Any] = dict[Id, Profile]
    compare: ClassVar[Any] = compare_auth
    compare_section: ClassVar[Any] = compare_profiles
    required_hint = "name a profile or write `auth: none`"

    def __init__(self, policy: str, route: RouteInfo, services: PluginServices) -> None:
        profiles: Mapping[str, Profile] = services.section or {}
        profile = profiles.get(policy)
        if profile is None:
            raise PolicyError(_unknown_profile(policy, profiles), code="unknown_profile")
        # The tokens that it remembers are worth more than a table: they last while the profile is the same.
        shape = services.shared(("shape", policy), lambda: profile_shape(profile))
        self._checker = services.lasting(
            ("profile", policy, shape, services.identity), lambda: _build_checker(policy, profile, services)
        )
        self._header = self._checker.header
        self._remembered = self._checker.remembered
        self._credential = self._checker.credential
        self._word = self._checker.credential.partition(":")[0]
        self._now = services.now
        self._failures = {
            code: services.metrics.counter("gateway_auth_failures", "Requests refused by auth", reason=code)
            for code in ERRORS
            if code.startswith(("token_", "api_key_", "keys_"))
        }

    @property
    def credential(self) -> str:
        """What the identities of this profile say of themselves (`Identity.credential`)."""
        return self._credential

    def on_request(self, exchange: Exchange) -> Awaitable[None] | None:
        """Know the caller. Waits only where a JWK set has to be fetched first."""
        known = exchange.identity
        if known is not None and known.credential == self._credential:
            return None  # a part of a batch, whose credential was checked with the whole
        headers = exchange.headers
        value = headers.get(self._header)
        hit = self._remembered.get(value)
        if hit is not None and self._now() < hit[1] and not headers.is_repeated(self._header):
            exchange.identity = hit[0]
            exchange.verdicts["auth"] = self._word
            return None
        return self._check(exchange, value)

    def _check(self, exchange: Exchange, value: bytes | None) -> Awaitable[None] | None:
        exchange.identity = None
        try:
            result = self._checker.check(value, exchange.headers.is_repeated(self._header))
        except GatewayError as error:
            self._note(exchange, error)
            raise
        if not isinstance(result, Identity):
            return self._wait(exchange, result)
        exchange.identity = result
        exchange.verdicts["auth"] = self._word
        return None

    async def _wait(self, exchange: Exchange, result: Awaitable[Identity]) -> None:
        try:
            exchange.identity = await result
        except GatewayError as error:
            self._note(exchange, error)
            raise
        exchange.verdicts["auth"] = self._word

    def _note(self, exchange: Exchange, error: GatewayError) -> None:
        exchange.verdicts["auth"] = error.kind.code
        self._failures[error.kind.code].inc()
        if error.kind.status == 401:
            error.headers = (*error.headers, (b"www-authenticate", self._checker.challenge(error)))


class KeyChecker:
    """Knows callers by API key. One for each profile."""

    def __init__(self, profile: str, settings: ApiKeySettings) -> None:
        self.header = settings.header.lower().encode()
        self.credential = f"api_key:{profile}"
        self.remembered: Remembered = {}
        self._challenge = f'ApiKey realm="gateway", header="{settings.header}"'.encode()
        self._identities: dict[bytes, Identity] = {}
        for name, key in settings.keys.items():
            digest = bytes.fromhex(key.sha256)
            if digest in self._identities:
                raise PolicyError(
                    f"the keys {self._identities[digest].key} and {name} are the same", path=("api_key", "keys", name)
                )
            self._identities[digest] = Identity(
                tenant=key.tenant,
                user=key.user,
                plan=key.plan,
                scopes=frozenset(key.scopes),
                claims={"modules": list(key.modules)},
                credential=self.credential,
                key=name,
            )

    def check(self, value: bytes | None, is_repeated: bool) -> Identity:
        """Whose key it is. Raises GatewayError. Looked up by hash, so that timing tells nothing of a stored key."""
        if value is None:
            raise GatewayError(API_KEY_MISSING)
        identity = None if is_repeated else self._identities.get(hashlib.sha256(value).digest())
        if identity is None:
            raise GatewayError(API_KEY_UNKNOWN)
        return identity

    def challenge(self, error: GatewayError) -> bytes:
        """The value of WWW-Authenticate (RFC 9110 section 11.6.1)."""
        return self._challenge


class TokenChecker:
    """Knows callers by bearer token. One for each profile."""

    header = b"authorization"

    def __init__(self, profile: str, settings: JwtSettings, services: PluginServices) -> None:
        self.credential = f"jwt:{profile}"
        self.remembered: Remembered = {}
        self._algorithms = frozenset(settings.algorithms)
        self._rules = ClaimRules(settings.issuer, settings.audience, settings.leeway)
        self._claims = services.identity
        self._now = services.now
        self._keys: KeySet | None = None
        self._fetcher: KeyFetcher | None = None
        if isinstance(settings.jwks, str) and settings.jwks.startswith(("https://", "http://")):
            _refuse_secrets_in_sets(settings)
            self._fetcher = KeyFetcher(profile, settings.jwks, self._algorithms, services, self.remembered.clear)
        else:
            self._keys = _read_keys(settings)

    def check(self, value: bytes | None, is_repeated: bool) -> Identity | Awaitable[Identity]:
        """Who the token speaks of, later where keys have to be fetched. Raises GatewayError."""
        scheme, _, raw = (value or b"").partition(b" ")
        if value is None or scheme.lower() != b"bearer":
            raise GatewayError(TOKEN_MISSING)
        if is_repeated:
            raise GatewayError(TOKEN_MALFORMED, "Several Authorization lines were sent: send one.")
        token = parse_token(raw.strip(b" "))
        if token.algorithm not in self._algorithms:
            raise GatewayError(TOKEN_ALGORITHM_REFUSED)
        if self._fetcher is not None and self._fetcher.is_needed_for(token):
            return self._check_later(value, token, self._fetcher)
        return self._finish(value, token)

    def challenge(self, error: GatewayError) -> bytes:
        """The value of WWW-Authenticate (RFC 6750 section 3); no error attribute where no token was sent."""
        if error.kind is TOKEN_MISSING:
            return b'Bearer realm="gateway"'
        description = error.detail.replace("\\", "'").replace('"', "'").encode("ascii", "replace")
        return b'Bearer realm="gateway", error="invalid_token", error_description="%s"' % description

    def close(self) -> None:
        """Stop fetching keys."""
        if self._fetcher is not None:
            self._fetcher.close()

    async def _check_later(self, value: bytes, token: CompactToken, fetcher: "KeyFetcher") -> Identity:
        await fetcher.fetch()
        return self._finish(value, token)

    def _finish(self, value: bytes, token: CompactToken) -> Identity:
        keys = self._keys if self._fetcher is None else self._fetcher.keys
        if keys is None:
            raise GatewayError(KEYS_UNAVAILABLE, headers=((b"retry-after", b"1"),))
        keys.check_signature(token)
        claims = parse_claims(token.payload)
        now_s = self._now()
        until_s = check_claims(claims, self._rules, now_s)
        names = self._claims
        identity = identity_of(
            claims, self.credential, tenant=names.tenant, user=names.user, plan=names.plan, scopes=names.scopes
        )
        if len(self.remembered) >= REMEMBERED_MAX:
            # Half at a time: first-in, first-out without a look at each entry.
            for oldest in list(islice(self.remembered, REMEMBERED_MAX // 2)):
                del self.remembered[oldest]
        self.remembered[value] = (identity, min(until_s, now_s + REMEMBERED_FOR_S))
        return identity


class KeyFetcher:
    """A JWK set behind a URL: fetched at first use, every ten minutes, and for an unknown kid at most once in 30 s.

    One fetch at a time. The last good keys stay while the URL is down.
    """

    def __init__(
        self,
        profile: str,
        url: str,
        algorithms: frozenset[str],
        services: PluginServices,
        keys_changed: Callable[[], None],
    ) -> None:
        self.keys: KeySet | None = None
        self._profile = profile
        self._url = url
        self._algorithms = algorithms
        self._services = services
        self._keys_changed = keys_changed
        self._document = b""
        self._running: asyncio.Task[None] | None = None
        self._next_s = float("-inf")
        self._next_unknown_s = float("-inf")

    def is_needed_for(self, token: CompactToken) -> bool:
        """Whether the token must wait for `fetch`. Starts a refresh in the background when one is due."""
        now_s = self._services.monotonic()
        if self.keys is None:
            return self._running is not None or now_s >= self._next_s
        if now_s >= self._next_s:
            self._start()
        if self.keys.knows(token):
            return False
        if now_s >= self._next_unknown_s:
            self._next_unknown_s = now_s + UNKNOWN_KID_EVERY_S
            return True
        return self._running is not None

    async def fetch(self) -> None:
        """Fetch, or wait for the fetch that is under way. A client that goes away does not end it."""
        await asyncio.shield(self._start())

    def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._running is not None:
            self._running.cancel()

    def _start(self) -> asyncio.Task[None]:
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._fetch())
        return self._running

    async def _fetch(self) -> None:
        services = self._services
        delay_s = FETCH_RETRIED_EVERY_S if self.keys is None else UNKNOWN_KID_EVERY_S
        try:
            document = await services.fetch(self._url, timeout_s=FETCH_TIMEOUT_S, size_max=KEY_SET_SIZE_MAX)
            if document != self._document:
                keys, refused = read_jwk_set(document, self._algorithms)
                for reason in refused:
                    services.log.warning("auth profile %s: a fetched key is not used: %s", self._profile, reason)
                self.keys, self._document = KeySet(keys), document
                self._keys_changed()
            delay_s = KEYS_REFRESHED_EVERY_S
        except (OSError, ValueError) as error:
            services.log.warning("auth profile %s: the keys cannot be fetched: %s", self._profile, error)
        finally:
            self._next_s = services.monotonic() + delay_s
            self._running = None


def _build_checker(name: str, profile: Profile, services: PluginServices) -> KeyChecker | TokenChecker:
    try:
        if profile.api_key is not None:
            return KeyChecker(name, profile.api_key)
        assert profile.jwt is not None  # exactly one, as Profile has checked
        return TokenChecker(name, profile.jwt, services)
    except PolicyError as error:
        raise PolicyError(str(error), code=error.code, path=(name, *error.path), section=True) from None


def _read_keys(settings: JwtSettings) -> KeySet:
    path: tuple[str | int, ...] = ()
    try:
        if settings.secret is not None:
            path = ("jwt", "secret")
            return KeySet([secret_key(settings.secret.get_secret_value(), settings.algorithms)])
        if settings.public_key is not None:
            path = ("jwt", "public_key")
            return KeySet([public_key(settings.public_key, settings.algorithms)])
        if settings.jwks is not None:
            path = ("jwt", "jwks")
            _refuse_secrets_in_sets(settings)
            return KeySet(read_jwk_set(settings.jwks, settings.algorithms)[0])
        named: list[Key] = []
        for number, key in enumerate(settings.keys or ()):
            path = ("jwt", "keys", number)
            named.append(_read_named(key, settings, named))
        return KeySet(named)
    except KeyRefused as error:
        raise PolicyError(str(error), code="key_refused", path=path) from None


def _read_named(key: NamedKey, settings: JwtSettings, earlier: list[Key]) -> Key:
    if key.algorithm not in settings.algorithms:
        raise KeyRefused(f"{key.algorithm} is not among this profile's algorithms")
    if any(other.kid == key.kid for other in earlier):
        raise KeyRefused(f"the kid {key.kid} stands here twice")
    if key.secret is not None:
        return secret_key(key.secret.get_secret_value(), [key.algorithm], key.kid)
    return public_key(key.public_key or "", [key.algorithm], key.kid)


def _refuse_secrets_in_sets(settings: JwtSettings) -> None:
    for number, algorithm in enumerate(settings.algorithms):
        if algorithm.startswith("HS"):
            raise PolicyError(
                f"{algorithm} needs a secret, and a JWK set has public keys only",
                code="key_refused",
                path=("jwt", "algorithms", number),
            )


def _unknown_profile(name: str, profiles: Mapping[str, Profile]) -> str:
    close = difflib.get_close_matches(name, profiles, n=1)
    if close:
        return f"there is no auth profile {name}: did you mean {close[0]}?"
    listed = ", ".join(sorted(profiles))
    return f"there is no auth profile {name}: " + (f"there are {listed}" if listed else "the section auth is empty")
