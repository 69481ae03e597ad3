"""What the operators' listener says of the cache, and what it takes: hit ratios and purges."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from gateway.core.kept_replies import CacheKey, Purge, scope_text
from gateway.core.paths import PathNotCanonical, normal_form

Samples = Callable[[str], Sequence[tuple[Mapping[str, str], float]]]

_HITS = ("hit-l1", "hit-l2", "stale", "revalidated", "coalesced")
_RESULTS = (*_HITS, "miss", "bypass")
_HELP = (
    'write {"tags": ["crm:t1"]}, {"urls": [{"url": "https://api.example/api/v1/crm/contacts", "tenant": "t1"}]} '
    'or {"all": true}'
)


def cache_rows(samples: Samples) -> list[dict[str, object]]:
    """A row a route that has been asked: its requests by what the cache did, the share that needed no whole reply of
    the upstream (`bypass` left out), and the bytes that came from kept replies.
    """
    counts: dict[str, dict[str, int]] = {}
    for labels, value in samples("gateway_cache_requests"):
        counts.setdefault(labels["route"], dict.fromkeys(_RESULTS, 0))[labels["result"]] = int(value)
    size: dict[str, int] = {}
    for labels, value in samples("gateway_cache_bytes"):
        size[labels["route"]] = size.get(labels["route"], 0) + int(value)
    rows: list[dict[str, object]] = []
    for route, found in sorted(counts.items()):
        hits = sum(found[result] for result in _HITS)
        judged = hits + found["miss"]
        if judged + found["bypass"]:
            ratio = f"{hits / judged:.1%}" if judged else None
            rows.append({"route": route, "hit_ratio": ratio, **found, "bytes": size.get(route, 0)})
    return rows


def read_purge(body: bytes) -> Purge:
    """The body of `POST /cache/purge`. Raises ValueError, whose text says what to write."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"the body is no JSON: {_HELP}") from None
    if not isinstance(data, dict) or not data or set(data) - {"tags", "urls", "all"}:
        raise ValueError(_HELP)
    tags, urls = data.get("tags", []), data.get("urls", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise ValueError(f"tags is a list of texts: {_HELP}")
    if not isinstance(urls, list) or not all(isinstance(url, dict) for url in urls):
        raise ValueError(f"urls is a list of mappings: {_HELP}")
    if not isinstance(data.get("all", False), bool):
        raise ValueError(f"all is true or false: {_HELP}")
    purge = Purge(tuple(tags), tuple(_key(url) for url in urls), data.get("all", False))
    if purge == Purge():
        raise ValueError(f"that names nothing: {_HELP}")
    return purge


def _key(url: dict[str, Any]) -> CacheKey:
    """Exactly what a client asks for, by whoever shares it: all, a tenant, or a user of one."""
    if not {"url"} <= set(url) <= {"url", "tenant", "user"} or not all(isinstance(text, str) for text in url.values()):
        raise ValueError(f"of a url, say url, tenant and user: {_HELP}")
    if "user" in url and "tenant" not in url:
        raise ValueError(f"a user is one of a tenant: {_HELP}")
    try:
        parts = urlsplit(url["url"])
        path = normal_form(parts.path or "/")
    except (ValueError, PathNotCanonical) as error:
        raise ValueError(f"that is no URL that is served here: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"a url begins with http:// or https:// and a host: {_HELP}")
    return scope_text(url.get("tenant"), url.get("user")), parts.scheme, parts.netloc.lower(), path, parts.query
