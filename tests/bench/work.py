"""What is measured: one row of the table each."""

from dataclasses import dataclass

GATEWAY = "gateway"
COMPILED = "compiled"
"""The same gateway, its hot modules compiled by deploy/compile.py."""
SIZES = {"1k.json": 1_100, "20k.json": 20_000, "10k.bin": 10_240, "100k.bin": 102_400}
CALLERS = 1_000
TENANTS = 100


@dataclass(frozen=True, slots=True)
class Work:
    """entry: the policies (plain, secured, gzip), which is a port of each peer and the first part of the path.

    peers: those that can do it; the gateway always does. table: which of the gateway's route tables. callers: how many
    tokens are sent in turn.
    """

    name: str
    title: str
    entry: str
    file: str
    peers: tuple[str, ...] = ()
    table: str = "main"
    callers: int = 0

    @property
    def path(self) -> str:
        return f"/{self.entry}/{self.file}"


_PLAIN = ("nginx", "HAProxy", "Envoy", "Caddy")
_SECURED = ("HAProxy", "Envoy")

WORK = (
    Work("plain-1k", "forward, 1.1 KB JSON", "plain", "1k.json", _PLAIN),
    Work("plain-10k", "forward, 10 KB", "plain", "10k.bin", _PLAIN),
    Work("plain-100k", "forward, 100 KB", "plain", "100k.bin", _PLAIN),
    Work("gzip-20k", "forward with gzip, 20 KB JSON", "gzip", "20k.json", _PLAIN),
    Work("secured", "JWT + limit by tenant, 1.1 KB JSON, one token", "secured", "1k.json", _SECURED, callers=1),
    Work(
        "secured-callers",
        f"the same, {CALLERS:,} tokens of {TENANTS} tenants in turn",
        "secured",
        "1k.json",
        _SECURED,
        callers=CALLERS,
    ),
    Work("secured-redis", "JWT + limit in Redis, one token", "secured", "1k.json", table="redis", callers=1),
    Work("routes-5", "forward, 1.1 KB JSON, 5 routes", "plain", "1k.json", table="5-routes"),
    Work("routes-1000", "forward, 1.1 KB JSON, 1,000 routes", "plain", "1k.json", table="1000-routes"),
)
