"""What makes two upstreams the same: the settings that shape them, out of the table and with the names of units."""

from dataclasses import dataclass, field
from typing import Literal

from gateway.config import model
from gateway.core.ejection import EjectRule
from gateway.core.health import HealthRule

Balance = Literal["round_robin", "least_requests", "random_two", "hash"]


@dataclass(frozen=True)
class TlsShape:
    """TLS to the https endpoints: PEM texts, "" for the system's authorities and for no certificate of our own.
    server_name: "" is each endpoint's host.
    """

    ca: str = ""
    server_name: str = ""
    client_cert: str = ""
    client_key: str = field(default="", repr=False)
    verify: bool = True


@dataclass(frozen=True)
class Care:
    """How endpoints are looked after; None is not at all. It may change without a connection being lost."""

    health: HealthRule | None = None
    eject: EjectRule | None = None
    slow_start_s: float | None = None
    resolve_s: float | None = None


@dataclass(frozen=True)
class UpstreamShape:
    """endpoints: (URL, weight). hash_on: with balance hash, as in the table. Times are seconds."""

    name: str
    endpoints: tuple[tuple[str, int], ...]
    balance: Balance
    pool_max: int
    pool_idle_s: float
    tls: TlsShape = TlsShape()
    hash_on: str = "tenant"
    care: Care = Care()


def shape_of(name: str, settings: model.Upstream) -> UpstreamShape:
    """The shape of an upstream of the table."""
    health, eject = settings.health, settings.eject
    return UpstreamShape(
        name=name,
        endpoints=tuple((endpoint.url, endpoint.weight) for endpoint in settings.endpoints),
        balance=settings.balance,
        pool_max=settings.pool.max,
        pool_idle_s=settings.pool.idle,
        tls=TlsShape(**settings.tls.model_dump()) if settings.tls is not None else TlsShape(),
        hash_on=settings.hash_on or "tenant",
        care=Care(
            health=HealthRule(
                path=health.path,
                every_s=health.every,
                timeout_s=health.timeout,
                healthy_after=health.healthy_after,
                unhealthy_after=health.unhealthy_after,
            )
            if health is not None
            else None,
            eject=EjectRule(eject.errors, eject.for_, eject.at_most) if eject is not None else None,
            slow_start_s=settings.slow_start,
            resolve_s=settings.resolve,
        ),
    )
