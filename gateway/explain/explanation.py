"""All that can be said of one request to one table, as data: `gateway explain --json` and `GET /explain`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlsplit

from gateway.config.forms import METHODS
from gateway.config.load import LoadedTable
from gateway.config.shares import own_mirror
from gateway.config.table_test import Caller
from gateway.core.headers import is_field_value, is_token
from gateway.core.request_framing import is_host
from gateway.explain.losers import losers_of
from gateway.explain.origins import hedge_of, place_of, policy_rows, retry_of, scrubbed, timeouts_of
from gateway.explain.rehearsal import Outcome, Rehearsal, Request

_HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})


class RequestInvalid(ValueError):  # noqa: N818 - a state of what was asked
    """What is asked is no request; the sentence says why."""


def read_request(
    method: str,
    url: str,
    *,
    headers: Iterable[str] = (),
    token: str | None = None,
    peer_ip: str = "127.0.0.1",
    caller: Mapping[str, str | None] | None = None,
) -> Request:
    """A request as an operator writes it. url: a path, or http(s)://host/path. headers: `Name: value`. caller: tenant,
    user, plan, and scopes and modules with commas, as far as given. Raises RequestInvalid.
    """
    if method.upper() not in METHODS:
        raise RequestInvalid(f"{method} is not a method: write {', '.join(METHODS)}")
    parts = urlsplit(url)
    if parts.scheme and (parts.scheme not in ("http", "https") or not is_host(parts.netloc.encode())):
        raise RequestInvalid(f"{url} is neither a path nor http://host/path")
    if not parts.scheme and not url.startswith("/"):
        raise RequestInvalid(f"{url} is no path: it begins with /")
    target = parts.path or "/"
    if not parts.scheme:
        # As it is written: `//x` is a path here, and not a host.
        target = url.partition("#")[0].partition("?")[0]
    if parts.query:
        target += f"?{parts.query}"
    given = [_header(text) for text in headers]
    if token is not None:
        given.append(("authorization", f"Bearer {token}"))
    return Request(
        method.upper(),
        quote(target, safe="!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
        authority=parts.netloc or "gateway",
        scheme=parts.scheme or "http",
        headers=tuple(given),
        caller=_caller(caller or {}),
        peer_ip=peer_ip,
    )


async def explain(rehearsal: Rehearsal, request: Request) -> dict[str, Any]:
    """What becomes of the request and why, in JSON's types:

    request, version, why (one sentence), outcome (of `explained.describe`, and detail), route {id, position} or None,
    lost [{id, position, why}], caller or None, policies (of `origins.policy_rows`), reports (what plugins say: limit,
    cache), upstream {name, position, endpoints, balance, target, headers, timeouts, retry, hedge,
    priority, mirror} or None.
    """
    outcome = await rehearsal.run(request)
    loaded, snapshot, route = rehearsal.loaded, rehearsal.snapshot, outcome.route
    identity = outcome.exchange.identity
    return {
        "request": {"method": request.method, "host": outcome.exchange.authority, "target": request.target},
        "version": snapshot.version,
        "why": why(rehearsal, outcome),
        "outcome": {**outcome.summary, "detail": outcome.detail},
        "route": None if route is None else {"id": route.info.id, "position": route.position},
        "lost": [asdict(loser) for loser in losers_of(snapshot, outcome.exchange, route)],
        "caller": None
        if identity is None
        else {
            "tenant": identity.tenant,
            "user": identity.user,
            "plan": identity.plan,
            "scopes": sorted(identity.scopes),
            "credential": identity.credential,
        },
        "policies": [] if route is None else policy_rows(snapshot, loaded, route),
        "reports": {name: _placed(loaded, name, report) for name, report in outcome.reports.items()},
        "upstream": _upstream(loaded, outcome),
    }


def why(rehearsal: Rehearsal, outcome: Outcome) -> str:
    """What became of a request, in one sentence that names the route and where it stands."""
    summary, route = outcome.summary, outcome.route
    if route is None:
        losers = losers_of(rehearsal.snapshot, outcome.exchange, None)
        nearest = ", ".join(f"{loser.id} at {loser.position} ({loser.why})" for loser in losers[:2])
        said = f"no route serves it: {summary['status']} {summary['code']}"
        return f"{said}; nearest: {nearest}" if nearest else said
    where = f"{route.info.id} at {route.position}"
    if summary["code"]:
        return f"{where} answers {summary['status']} {summary['code']}: {outcome.detail}"
    if summary["upstream"] is not None:
        return f"{where} sends it to {summary['upstream']} as {summary['upstream_path']}"
    return f"{where} answers {summary['status']}"


def _upstream(loaded: LoadedTable, outcome: Outcome) -> dict[str, Any] | None:
    route = outcome.route
    chosen = outcome.exchange.route
    if route is None or chosen is None or chosen.upstream is None:
        # The route answers itself, or the request did not come as far as the choice of a split.
        return None
    name = chosen.upstream
    settings = loaded.table.upstreams[name]
    headers = [] if outcome.sent is None else [[key, _shown(loaded, key, value)] for key, value in outcome.sent]
    return {
        "name": name,
        "position": str(place_of(loaded, ("upstreams", name))),
        "endpoints": [{"url": scrubbed(loaded, each.url), "weight": each.weight} for each in settings.endpoints],
        "balance": settings.balance,
        "target": outcome.summary["upstream_path"],
        "headers": headers,
        "timeouts": timeouts_of(route),
        "retry": retry_of(route.retry),
        "hedge": hedge_of(route),
        "priority": route.priority,
        "mirror": own_mirror(route.mirror),
    }


def _shown(loaded: LoadedTable, name: str, value: str) -> str:
    return "***" if name in _HIDDEN else scrubbed(loaded, value)


def _placed(loaded: LoadedTable, policy: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """With the place of the entry of the plugin's section that the report names, such as a plan."""
    section = next((plugin.section_name for plugin in loaded.plugins if plugin.name == policy), "")
    place = place_of(loaded, (section, report["plan"])) if section and report.get("plan") else None
    return {**report, "from": f"{section} at {place}"} if place is not None else dict(report)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not is_token(name.encode()) or not is_field_value(value.strip().encode()):
        raise RequestInvalid(f"{text!r} is no header: write it like 'Accept: text/html'")
    return name, value.strip()


def _caller(given: Mapping[str, str | None]) -> Caller | None:
    if not any(value is not None for value in given.values()):
        return None
    listed = {name: _listed(given.get(name)) for name in ("scopes", "modules")}
    return Caller(
        tenant=given.get("tenant"),
        user=given.get("user"),
        plan=given.get("plan"),
        scopes=tuple(listed["scopes"]),
        claims={"modules": listed["modules"]} if listed["modules"] else {},
    )


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
