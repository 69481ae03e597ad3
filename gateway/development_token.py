"""Tokens for development and the demo, signed with a shared secret of the table."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import jwt

from gateway.config.load import LoadedTable


@dataclass(frozen=True, slots=True)
class Caller:
    """Who the token says the caller is."""

    tenant: str
    user: str
    plan: str
    scopes: Sequence[str]
    modules: Sequence[str]


def make_token(loaded: LoadedTable, caller: Caller, *, profile: str | None = None, lifetime_s: float) -> str:
    """A token that the gateway accepts under this table. profile: of `auth`; None for the first one with a secret.

    Raises ValueError where the table has no such profile.
    """
    # A development aid, and so the one place besides plugins/auth.py that looks into its section.
    profiles = loaded.sections.get("auth") or {}
    names = [name for name, each in profiles.items() if each.jwt is not None and each.jwt.secret is not None]
    name = profile or next(iter(names), None)
    if name not in names:
        known = ", ".join(names) or "there are none"
        raise ValueError(f"needs a jwt profile with a secret; in {loaded.path}: {known}")
    settings = profiles[name].jwt
    claims = loaded.table.identity.claims()
    now = int(time.time())
    payload = {
        **_nested(claims.tenant, caller.tenant),
        **_nested(claims.user, caller.user),
        **_nested(claims.plan, caller.plan),
        **_nested(claims.scopes, " ".join(caller.scopes)),
        "modules": list(caller.modules),
        "iat": now,
        "exp": now + int(lifetime_s),
    }
    if settings.issuer is not None:
        payload["iss"] = settings.issuer
    if settings.audience is not None:
        payload["aud"] = settings.audience
    return jwt.encode(payload, settings.secret.get_secret_value(), algorithm=settings.algorithms[0])


def _nested(dotted: str, value: str) -> dict[str, object]:
    name, _, rest = dotted.partition(".")
    return {name: _nested(rest, value) if rest else value}
