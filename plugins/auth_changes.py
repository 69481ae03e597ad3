"""What a change of `auth`, on a route or in its section, means for who is let in."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.core.changes import Change, Side, breaks, listed, neutral, widens
from plugins.auth_settings import ApiKeySettings, JwtSettings, Profile


def compare_auth(old: Side, new: Side) -> Iterator[Change]:
    """Of a route: the profile itself is compared once, with the section."""
    before, after = old.policy, new.policy
    if before == after:
        return
    if after is None:
        yield widens("{} loses auth", "{} lose auth", rank=0)
    elif before is None:
        yield breaks(f"{{}} asks for auth ({after})", f"{{}} ask for auth ({after})", rank=0)
    else:
        wider, narrower = _differences((old.section or {})[before], (new.section or {})[after])
        said = f"auth profile {after} in place of {before}"
        if wider:
            yield widens(f"{{}}: {said}, which {'; '.join(wider)}", rank=1)
        elif narrower:
            yield breaks(f"{{}}: {said}, which {'; '.join(narrower)}", rank=1)
        else:
            yield neutral(f"{{}}: {said}, which is the same")


def compare_profiles(old: Side, new: Side) -> Iterator[Change]:
    """Of the section: each profile by its name."""
    before: Mapping[str, Profile] = old.section or {}
    after: Mapping[str, Profile] = new.section or {}
    for name in sorted({*before, *after}):
        if name not in after:
            yield neutral(f"auth profile {name} is gone")
        elif name not in before:
            yield neutral(f"auth profile {name} is new")
        else:
            wider, narrower = _differences(before[name], after[name])
            if wider:
                yield widens(f"auth profile {name} {'; '.join(wider)}", rank=1)
            if narrower:
                yield breaks(f"auth profile {name} {'; '.join(narrower)}", rank=1)


def _differences(old: Profile, new: Profile) -> tuple[list[str], list[str]]:
    """What the new profile accepts that the old one did not, and what it no longer accepts. No secret is told."""
    if old.jwt is not None and new.jwt is not None:
        return _of_tokens(old.jwt, new.jwt)
    if old.api_key is not None and new.api_key is not None:
        return _of_keys(old.api_key, new.api_key)
    return [f"knows callers by {'tokens' if new.jwt is not None else 'API keys'} instead"], []


def _of_tokens(old: JwtSettings, new: JwtSettings) -> tuple[list[str], list[str]]:
    wider: list[str] = []
    narrower: list[str] = []
    added, removed = set(new.algorithms) - set(old.algorithms), set(old.algorithms) - set(new.algorithms)
    if added:
        wider.append(f"accepts {listed(added)}")
    if removed:
        narrower.append(f"refuses {listed(removed)}")
    if _key_material(old) != _key_material(new):
        # Whoever has the other key can make tokens now.
        wider.append("accepts tokens of another key")
    for name in ("issuer", "audience"):
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if before is None:
            narrower.append(f"asks for the {name} {after}")
        elif after is None:
            wider.append(f"asks for no {name}")
        else:
            wider.append(f"asks for the {name} {after} in place of {before}")
    if new.leeway != old.leeway:
        side = wider if new.leeway > old.leeway else narrower
        side.append(f"has a leeway of {new.leeway:g}s in place of {old.leeway:g}s")
    return wider, narrower


def _key_material(settings: JwtSettings) -> Any:
    keys = None if settings.keys is None else sorted(map(repr, map(_named_key, settings.keys)))
    secret = None if settings.secret is None else settings.secret.get_secret_value()
    return secret, settings.public_key, keys, settings.jwks


def _named_key(key: Any) -> tuple[str, str, str | None, str | None]:
    return key.kid, key.algorithm, None if key.secret is None else key.secret.get_secret_value(), key.public_key


def _of_keys(old: ApiKeySettings, new: ApiKeySettings) -> tuple[list[str], list[str]]:
    wider: list[str] = []
    narrower: list[str] = []
    if old.header.lower() != new.header.lower():
        narrower.append(f"reads {new.header} in place of {old.header}")
    for name in sorted({*old.keys, *new.keys}):
        if name not in old.keys:
            wider.append(f"accepts the key {name}")
        elif name not in new.keys:
            narrower.append(f"refuses the key {name}")
        elif old.keys[name] != new.keys[name]:
            before, after = old.keys[name], new.keys[name]
            may_less = set(after.scopes) <= set(before.scopes) and set(after.modules) <= set(before.modules)
            is_same_caller = (before.sha256, before.tenant, before.user, before.plan) == (
                *(after.sha256, after.tenant, after.user, after.plan),
            )
            side = narrower if may_less and is_same_caller else wider
            side.append(f"changes whose the key {name} is or what it may")
    return wider, narrower
