"""What is measured: the works, and what each has to reach."""

from dataclasses import dataclass

GATEWAY = "gateway"
"""As the image runs it: its hot modules compiled by deploy/compile.py."""
INTERPRETED = "interpreted"
"""The same sources, uncompiled."""
SIZES = {"1k.json": 1_100, "10k.json": 10_240, "20k.json": 20_000, "100k.json": 102_400}
CALLERS = 1_000
TENANTS = 100


@dataclass(frozen=True, slots=True)
class Target:
    """The gateway's figure over another one, at most so much. other: a proxy, or the name of another work.

    is_below: less, not just as much.
    """

    other: str
    at_most: float
    is_below: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """entry: the policies (plain, secured, gzip), which is a port of each peer and the first part of the path.

    proxies: those that do it. table: which of the gateway's route tables. callers: how many tokens are sent in turn.
    targets: of CPU a request.
    """

    name: str
    title: str
    entry: str
    file: str
    proxies: tuple[str, ...]
    table: str = "main"
    callers: int = 0
    targets: tuple[Target, ...] = ()

    @property
    def path(self) -> str:
        return f"/{self.entry}/{self.file}"


_ALL = (GATEWAY, INTERPRETED, "nginx", "HAProxy", "Envoy", "Caddy")
_SECURED = (GATEWAY, INTERPRETED, "HAProxy", "Envoy")
_SECURED_TARGETS = (Target("HAProxy", 1.5), Target("Envoy", 0.5))

WORK = (
    Work(
        "plain",
        "forward, 1.1 KB JSON",
        "plain",
        "1k.json",
        _ALL,
        targets=(Target("nginx", 2.0), Target("Envoy", 1.0, is_below=True)),
    ),
    Work(
        "secured",
        "JWT + limit by tenant, one token",
        "secured",
        "1k.json",
        _SECURED,
        callers=1,
        targets=_SECURED_TARGETS,
    ),
    Work(
        "secured-callers",
        f"the same, {CALLERS:,} tokens of {TENANTS} tenants in turn",
        "secured",
        "1k.json",
        _SECURED,
        callers=CALLERS,
        targets=_SECURED_TARGETS,
    ),
    Work(
        "secured-redis",
        "JWT + limit in Redis, one token",
        "secured",
        "1k.json",
        (GATEWAY, INTERPRETED),
        table="redis",
        callers=1,
        targets=(Target("secured", 1.8),),
    ),
    Work("gzip", "forward with gzip, 20 KB JSON", "gzip", "20k.json", _ALL, targets=(Target("nginx", 0.8),)),
    Work(
        "kept",
        "kept reply from memory, 1.1 KB JSON",
        "kept",
        "1k.json",
        (GATEWAY, INTERPRETED, "nginx", "Varnish"),
        targets=(Target("nginx", 1.5), Target("Varnish", 1.0, is_below=True)),
    ),
    Work("routes-5", "forward, 5 routes", "plain", "1k.json", (GATEWAY,), table="5-routes"),
    Work(
        "routes-1000",
        "forward, 1,000 routes",
        "plain",
        "1k.json",
        (GATEWAY,),
        table="1000-routes",
        targets=(Target("routes-5", 1.05),),
    ),
)

NEEDED_WORK = {"secured-redis": "secured", "routes-1000": "routes-5"}
"""What has to be measured with it, since its target is a ratio to that."""

GROWTH_CONNECTIONS = (1, 8, 64, 512, 4096)
GROWTH_PATHS = ("/plain/1k.json", "/plain/10k.json", "/plain/100k.json")
