"""How one `gateway serve` runs: what the command line and the environment say, not the route table."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LISTEN_BACKLOG = 4096
"""Connections that the kernel keeps for a worker until it accepts them."""


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A certificate, the chain behind it and its private key, as PEM text, and the paths of the files with these."""

    certificate_path: str
    key_path: str
    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """TLS for clients. certified_keys: one or more; the first is for clients that ask for no name that another has.
    client_auth: whether clients show a certificate, "none", "optional" or "required". client_ca: who signs it.
    """

    certified_keys: tuple[CertifiedKey, ...]
    client_auth: str = "none"
    client_ca_path: str = ""
    client_ca: str = field(default="", repr=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TlsSettings":
        """Back from what `dataclasses.asdict` and JSON made of it."""
        return cls(**{**data, "certified_keys": tuple(CertifiedKey(**entry) for entry in data["certified_keys"])})


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """config: the path of routes.yaml. port and admin_port: 0 lets the kernel choose. workers: processes, at least 1.
    drain_s: how long exchanges may go on after SIGTERM. access_log: "-" (standard output), "none" or a path.
    lane: which code reads the client connections. tls: None is plain HTTP.
    """

    config: str
    host: str = "127.0.0.1"
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 9901
    workers: int = 1
    drain_s: float = 30.0
    access_log: str = "-"
    lane: str = "fast"
    tls: TlsSettings | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ServeSettings":
        """Back from what `dataclasses.asdict` and JSON made of it."""
        tls = data["tls"]
        return cls(**{**data, "tls": None if tls is None else TlsSettings.from_json(tls)})


@dataclass(frozen=True, slots=True)
class TableSources:
    """The texts that a table is made of, so that every worker compiles the same one, whatever happens to the files.

    path: of the first file. files: path -> text. parcel: what came of reading them (`parcel.pack`), "" where it is not
    known. All may hold secrets, so no repr shows them.
    """

    path: str
    files: Mapping[str, str] = field(repr=False)
    parcel: str = field(default="", repr=False)


def parse_worker_count(text: str) -> int:
    """`auto` -> the processors that this process may use; else a number of 1..1024. Raises ValueError."""
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise ValueError(f"{text!r} is not a number of workers: write auto, or 1 to 1024")
    return int(text)
