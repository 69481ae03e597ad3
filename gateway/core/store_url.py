"""Where the shared state is kept: `gateway.store` of routes.yaml, read into its parts.

| form | what |
| --- | --- |
| `memory://` | in this process |
| `redis://[login@]host[:port][/database]` | one server |
| `rediss://…[?ssl_ca_certs=/path]` | the same over TLS, by the system's authorities or those of a PEM file |
| `redis+sentinel://[login@]host[:port],…/master[/database]` | the master of that name, as the sentinels know it |
| `redis+cluster://[login@]host[:port],…` | a cluster, found through any of these nodes |

login: `user:password`, or `:password` alone, %-encoded where need be. It is for Redis itself: no sentinel gets it.
"""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

REDIS_PORT = 6379
SENTINEL_PORT = 26379

_FORMS = {
    "redis": "redis://host:6379/0",
    "rediss": "rediss://host:6379/0",
    "redis+sentinel": "redis+sentinel://host:26379,host:26379/master/0",
    "redis+cluster": "redis+cluster://host:6379,host:6379",
}

Kind = Literal["memory", "single", "sentinel", "cluster"]


@dataclass(frozen=True)
class StoreUrl:
    """One store. hosts: names and ports, of the sentinels where there are some. The password is in no repr."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    database: int = 0
    master: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_tls: bool = False
    ca_file: str | None = None


def parse_store_url(text: str) -> StoreUrl:
    """Raises ValueError, whose text says what to write and never shows the URL: it may hold a password."""
    if text == "memory://":
        return StoreUrl("memory")
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    form = _FORMS.get(scheme)
    if form is None:
        raise ValueError(f"a store is memory://, {', '.join(list(_FORMS.values())[:-1])} or {_FORMS['redis+cluster']}")
    try:
        return _read(scheme, urlsplit(text))
    except ValueError as error:
        raise ValueError(f"{error}; write it like {form}") from None


def _read(scheme: str, parts: SplitResult) -> StoreUrl:
    user_info, _, netloc = parts.netloc.rpartition("@")
    username, _, password = user_info.partition(":")
    if parts.fragment or "@" in user_info or any(mark.isspace() for mark in parts.geturl()):
        raise ValueError("the store's URL cannot be read: %-encode the marks in its password")
    is_many = scheme in ("redis+sentinel", "redis+cluster")
    default_port = SENTINEL_PORT if scheme == "redis+sentinel" else REDIS_PORT
    hosts = tuple(_host(host, default_port) for host in (netloc.split(",") if is_many else [netloc]))
    segments = parts.path.split("/")[1:] if parts.path not in ("", "/") else []
    master = ""
    if scheme == "redis+sentinel":
        if not segments or not segments[0]:
            raise ValueError("the store's URL lacks the name of the master that the sentinels watch")
        master = unquote(segments.pop(0))
    if scheme == "redis+cluster" and segments:
        raise ValueError("a cluster has one database only, so its URL has no path")
    if len(segments) > 1 or (segments and not (segments[0].isascii() and segments[0].isdigit())):
        raise ValueError("the store's database is not a number, and nothing may follow it")
    return StoreUrl(
        kind="sentinel" if scheme == "redis+sentinel" else "cluster" if scheme == "redis+cluster" else "single",
        hosts=hosts,
        database=int(segments[0]) if segments else 0,
        master=master,
        username=unquote(username) or None,
        password=unquote(password) or None,
        is_tls=scheme == "rediss",
        ca_file=_ca_file(scheme, parts.query),
    )


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path or parts.query:
        raise ValueError("the store's URL lacks a host, or a port is no number up to 65535")
    return host, port or default_port


def _ca_file(scheme: str, query: str) -> str | None:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if set(options) - {"ssl_ca_certs"}:
        raise ValueError("the only option of a store's URL is ssl_ca_certs; deadlines are the gateway's own")
    if options and scheme != "rediss":
        raise ValueError("ssl_ca_certs is for rediss:// only")
    if "ssl_ca_certs" in options and not options["ssl_ca_certs"]:
        raise ValueError("ssl_ca_certs names no file")
    return options.get("ssl_ca_certs")
