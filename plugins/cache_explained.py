"""Under which key `cache` keeps the reply to an exchange, for whoever asks what became of a request."""

from collections.abc import Callable, Mapping

from gateway.core.identity import Identity
from gateway.core.kept_replies import CacheKey
from gateway.plugin_api import Exchange
from plugins.cache_settings import CacheSettings


def explain_key(
    policy: CacheSettings,
    exchange: Exchange,
    key: CacheKey | None,
    tags_of: Callable[[Identity | None, Mapping[str, str]], tuple[str, ...]],
) -> dict[str, object] | None:
    """key: as the plugin made it; None for a caller who shares nothing. Returns None where the exchange has nothing to
    do with the cache, and a key of None where it passes it by.
    """
    if exchange.method != "GET" and exchange.method != "HEAD":
        return None
    if key is None or exchange.body:
        return {"key": None}
    identity, scope = exchange.identity, policy.scope or "public"
    return {
        "key": list(key),
        "scope": scope,
        "tenant": identity.tenant if identity is not None and scope != "public" else None,
        "user": identity.user if identity is not None and scope == "user" else None,
        "vary": list(policy.vary),
        "ttl_s": policy.ttl,
        "layers": list(policy.layers),
        "tags": list(tags_of(identity, exchange.params)),
    }
