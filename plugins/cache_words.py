"""What `cache` says of itself: under which key it keeps a reply, and what a change of the policy means."""

from collections.abc import Callable, Iterator, Mapping

from gateway.core.changes import Change, Side, listed, neutral, widens
from gateway.core.identity import Identity
from gateway.core.kept_replies import CacheKey
from gateway.plugin_api import Exchange
from plugins.cache_settings import CacheSettings

_SHARED_BY = {"user": 0, "tenant": 1, "public": 2}
_ALL = {"tenant": "shared by each tenant", "public": "public", "user": "each user's own"}
_TOLD_APART = ("scope", "vary", "override")


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


def compare_cache(old: Side, new: Side) -> Iterator[Change]:
    """Of a route. Staleness is neutral: it is the upstream's business what may be kept."""
    before: CacheSettings | None = old.policy
    after: CacheSettings | None = new.policy
    if before == after:
        return
    if after is None:
        yield neutral("{} keeps no replies any more", "{} keep no replies any more")
        return
    scope = after.scope or "public"
    if before is None:
        if scope == "public" and new.has_auth:
            yield widens("cache of {} becomes public", rank=2)
        else:
            yield neutral(f"{{}} keeps replies, {_ALL[scope]}", f"{{}} keep replies, {_ALL[scope]}")
        return
    earlier = before.scope or "public"
    if scope != earlier:
        said = f"cache of {{}} becomes {_ALL[scope]}"
        yield widens(said, rank=2) if _SHARED_BY[scope] > _SHARED_BY[earlier] else neutral(said)
    if dropped := set(before.vary) - set(after.vary):
        yield widens(f"cache of {{}} no longer tells replies apart by {listed(dropped)}", rank=2)
    if added := set(after.vary) - set(before.vary):
        yield neutral(f"cache of {{}} tells replies apart by {listed(added)}")
    if after.override != before.override:
        if after.override:
            yield widens("cache of {} keeps what its upstream says not to", rank=4)
        else:
            yield neutral("cache of {} obeys its upstream")
    others = [
        name
        for name in CacheSettings.model_fields
        if name not in _TOLD_APART and getattr(before, name) != getattr(after, name)
    ]
    if others:
        yield neutral(f"cache of {{}} changes: {listed(others)}")
