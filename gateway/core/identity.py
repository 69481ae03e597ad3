"""Who the caller is, as a verified credential says."""

from collections.abc import Mapping
from typing import Any

from gateway.core.headers import HeaderLine

# What the upstream learns of the caller. A client's own lines of these names never pass, nor do their underscore
# twins: many application servers map `-` and `_` to the same variable.
IDENTITY_HEADERS = frozenset({b"x-tenant-id", b"x-user-id", b"x-plan", b"x-scopes"})


class Identity:
    """One verified caller; immutable by convention and shared by all requests of the same token.

    tenant, user, plan: claims or properties of the key; None where the credential does not say.
    scopes: granted scopes. claims: everything the credential says, for `allow: modules` and the like.
    credential: "jwt:<profile>" or "api_key:<profile>"; key: a stable, non-secret name of the API key, for `by: key`.
    upstream_headers: the lines for the upstream, encoded once for the life of the token; upstream_lines: as text.
    log_text: set by the access log, likewise once.
    """

    __slots__ = (
        "claims",
        "credential",
        "key",
        "log_text",
        "plan",
        "scopes",
        "tenant",
        "upstream_headers",
        "upstream_lines",
        "user",
    )

    def __init__(
        self,
        *,
        tenant: str | None,
        user: str | None,
        plan: str | None,
        scopes: frozenset[str],
        claims: Mapping[str, Any],
        credential: str,
        key: str | None = None,
    ) -> None:
        self.tenant = tenant
        self.user = user
        self.plan = plan
        self.scopes = scopes
        self.claims = claims
        self.credential = credential
        self.key = key
        self.log_text = ""
        lines = [
            (name, value.encode())
            for name, value in (
                (b"x-tenant-id", tenant),
                (b"x-user-id", user),
                (b"x-plan", plan),
                (b"x-scopes", " ".join(sorted(scopes)) or None),
            )
            if value is not None
        ]
        self.upstream_headers: tuple[HeaderLine, ...] = tuple(lines)
        self.upstream_lines = [b": ".join(line) for line in lines]

    def __repr__(self) -> str:
        return f"<Identity {self.credential} tenant={self.tenant!r} user={self.user!r} plan={self.plan!r}>"
