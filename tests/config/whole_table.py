"""A table, as plain data, in which nearly every key of routes.yaml stands, in its short and its long form."""

from typing import Any

ENVIRON = {"KEY": "a-secret-that-is-long-enough-for-hs256", "STORE": "memory://"}
WHOLE: dict[str, Any] = {
    "version": 1,
    "gateway": {
        "store": "redis://h:6379/0",
        "trusted_proxies": ["10.0.0.0/8", "::1/128"],
        "cache": {"l1": "64MiB"},
        "limits": {
            "target_max": "8KiB",
            "max_headers": 128,
            "header_timeout": "10s",
            "body_rate_min": "2KiB/10s",
            "reply_rate_min": "none",
            "max_requests": 100,
        },
    },
    "identity": {"tenant": "claim:account.id", "scopes": "claim:scope", "default_plan": "free"},
    "auth": {
        "main": {"jwt": {"algorithms": ["HS256"], "secret": "${env:KEY}", "issuer": "us", "leeway": "30s"}},
        "away": {"jwt": {"algorithms": ["RS256", "ES256"], "jwks": "https://id.example/jwks.json", "audience": "api"}},
        "jobs": {
            "api_key": {
                "header": "X-Key",
                "keys": {
                    "ci": {"sha256": "0" * 64, "tenant": "t1", "plan": "free", "scopes": ["a"], "modules": ["crm"]}
                },
            }
        },
        "list": {"api_key": {"keys": [{"name": "one", "sha256": "1" * 64, "user": "u1"}]}},
        "named": {"jwt": {"algorithms": ["HS256"], "keys": [{"kid": "1", "algorithm": "HS256", "secret": "x" * 40}]}},
    },
    "plans": {"free": {"limits": ["60/min", "1000/h"]}, "pro": {"limits": ["500/min"], "concurrent": 9}},
    "defaults": {
        "auth": "main",
        "limit": {"plan": True, "by": "tenant", "on_store_down": "local"},
        "timeout": {"connect": "1s", "total": "30s"},
        "retry": {"attempts": 2, "on": ["connect", "reset", 502, "503"], "budget": "20%"},
        "rewrite": "none",
        "body_max": "1MiB",
        "compress": ["zstd", "br"],
        "cors": ["https://app.example", "http://localhost:3000"],
    },
    "upstreams": {
        "crm": {
            "endpoints": ["http://127.0.0.1:8101", {"url": "http://127.0.0.1:8111", "weight": 2}],
            "balance": "hash",
            "hash_on": "header:x-a",
            "health": {"path": "/health", "every": "5s", "timeout": "1s", "healthy_after": 2},
            "eject": {"errors": 5, "for": "30s", "at_most": "50%"},
            "breaker": {"error_rate": "50%", "window": "10s", "min": 20, "open": "10s"},
            "pool": {"max": 256, "idle": "60s"},
        },
        "spare": {"endpoints": ["http://h:2"]},
        "far": {"endpoints": ["https://h:1"], "tls": {"server_name": "crm.internal", "verify": True}},
    },
    "routes": [
        {
            "id": "short",
            "match": "/a/{id:int}",
            "to": "crm",
            "limit": "60/min",
            "cache": {"ttl": "3m", "scope": "user"},
        },
        {
            "id": "long",
            "match": {
                "path": "/b/{id}/*",
                "host": "*.example.com",
                "methods": ["GET", "POST"],
                "headers": {"x-version": 2, "x-any": "*"},
                "query": {"q": "a"},
            },
            "to": "far",
            "auth": "none",
            "allow": {"addresses": ["10.0.0.0/8", "::1"]},
            "limit": {"rates": ["5/s", "60/min"], "by": "ip", "cost": 2, "concurrent": 5, "mode": "shadow"},
            "compress": {"codings": ["gzip"], "min_size": "2KiB", "types": ["text/*"], "level": {"gzip": 1}},
            "cors": {"origins": ["*"], "methods": ["GET"], "headers": ["X-A"], "credentials": False, "max_age": "10m"},
            "headers": {"request": {"set": {"X-A": "b"}}, "reply": {"add": {"X-B": "c"}, "remove": ["Server"]}},
            "timeout": {"total": "none", "idle": "60s"},
            "retry": "none",
            "rewrite": {"strip": "/b", "prefix": "/v2"},
            "cache": {
                "ttl": "1m",
                "override": True,
                "vary": ["Accept-Language"],
                "stale": "30s",
                "negative": {"404": "5s"},
                "heuristic": True,
                "tags": ["b:{id}"],
                "max_size": "1MiB",
                "layers": ["l1"],
                "warm": {"paths": ["/b/1"], "every": "10m", "after": "15m"},
            },
            "invalidates": ["b:{id}"],
            "idempotency": {"mode": "required", "for": "24h"},
        },
        {
            "id": "scoped",
            "match": {"path": "/c", "methods": "GET"},
            "to": "crm",
            "allow": ["a.read"],
            "rewrite": {"path": "/d"},
        },
        {"id": "keyed", "match": "/k", "to": "crm", "idempotency": "optional", "cache": "none", "auth": "jobs"},
        {
            "id": "shared",
            "match": "/shared/*",
            "split": [{"to": "crm", "weight": 90}, {"to": "far", "weight": 10}],
            "mirror": {"to": "spare", "percent": "5%"},
            "cache": {"ttl": "1m", "scope": "tenant"},
        },
        {"id": "batch", "match": "/batch", "batch": {"max": 20, "parallel": 8, "deadline": "10s"}},
        {"id": "old", "match": "/old/*", "redirect": "/new/"},
        {"id": "moved", "match": "/moved", "redirect": {"to": "https://h.example/", "status": 301}},
        {"id": "mine", "match": "/mine", "respond": "limits"},
        {"id": "said", "match": "/said", "respond": {"status": 503, "text": "soon", "headers": {"Retry-After": "60"}}},
        {"id": "json", "match": "/json", "respond": {"json": {"ok": True}}, "auth": "none", "limit": "none"},
    ],
    "tests": [
        {
            "get": "/a/1",
            "as": {"tenant": "t1", "scopes": ["a"], "claims": {"modules": ["crm"]}},
            "expect": {"route": "short"},
        },
        {"post": "/nothing", "headers": {"x-a": "1"}, "body": {"a": 1}, "expect": {"status": 404, "code": "no_route"}},
    ],
}
