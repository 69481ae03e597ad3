"""Hazard: a policy that reads as if it protected something, and does not."""

import pytest

from tests.config.lint.good_table import GOOD, edited, found, routes

FOUND = {
    "replies to known callers shared by all": (
        "{id: crm, match: /crm/*, to: crm, cache: {ttl: 1m, scope: public}}",
        (
            '12 public: public_cache: "crm" asks who the caller is, and gives all callers of all tenants the same '
            "kept reply; "
            "write scope: tenant or scope: user; or auth: none, if the reply is for everybody"
        ),
    ),
    "keeping what cannot be kept": (
        "{id: crm, match: {path: /crm/*, methods: [POST]}, to: crm, cache: {ttl: 1m, scope: tenant}}",
        (
            '12 cache: cache_unused: only replies to GET and HEAD are kept, and "crm" serves POST; '
            "let the route serve GET, or write cache: none"
        ),
    ),
    "retries of writes": (
        "{id: crm, match: {path: /crm/*, methods: [GET, POST]}, to: crm, retry: {on: [connect, 503, timeout]}}",
        (
            '12 [connect: unsafe_retry: retry.on has 503, timeout, and "crm" serves POST: a write that was sent '
            "may have been "
            "carried out, so it is never sent again without a key; write idempotency: optional, so that writes "
            "with an "
            "Idempotency-Key are safe to repeat, or retry: {on: [connect, reset]}"
        ),
    ),
    "retries of all methods": (
        "{id: crm, match: /crm/*, to: crm, retry: {on: [502]}}",
        (
            '12 [502: unsafe_retry: retry.on has 502, and "crm" serves POST, PATCH: a write that was sent may have '
            "been "
            "carried out, so it is never sent again without a key; write idempotency: optional, so that writes "
            "with an "
            "Idempotency-Key are safe to repeat, or retry: {on: [connect, reset]}"
        ),
    ),
    "guessing passwords while the store is down": (
        "{id: login, match: /login, to: crm, auth: none, limit: {rate: 5/min, by: ip, on_store_down: open}}",
        (
            '12 open: open_limit: while the store is down, nothing limits who tries passwords at "login"; write '
            "on_store_down: local, which goes on counting in each worker, or closed, which answers 503"
        ),
    ),
    "writing without end": (
        "{id: login, match: {path: /login, methods: [POST]}, to: crm, auth: none, limit: none}",
        (
            '12 login: unlimited_write: "login" lets anybody write, as often as they like: it has neither auth nor '
            "a limit; "
            "write limit: {rate: 10/min, by: ip, on_store_down: closed}, or name an auth profile"
        ),
    ),
    "counting tenants where there are none": (
        "{id: login, match: /login, to: crm, auth: none, limit: {rate: 5/min, by: user}}",
        (
            '12 limit: limit_by_address: "login" has auth: none, so there is no user to count by: each address is '
            "counted; "
            "write by: ip on the route to say so, or limit: none"
        ),
    ),
    "more than is paid for": (
        "{id: crm, match: /crm/*, to: crm, limit: {rates: [501/min, 10/s]}}",
        (
            '12 [501/min: limit_above_plan: "crm" allows 501/min, more than the largest plan: 500/min of "pro"; '
            "write 500/min or less, limit: {plan: true}, or raise the plan"
        ),
    ),
    "a limit that comes too late": (
        "{id: crm, match: /crm/*, to: crm, timeout: {connect: 5s, total: 5s}}",
        (
            '12 5s: timeout_order: of "crm", timeout.connect (5s) is never reached: total ends it after 5s; '
            "make connect shorter than total, or total longer"
        ),
    ),
}
GOOD_ROUTES = {
    "kept for each tenant": "{id: crm, match: /crm/*, to: crm, cache: {ttl: 1m, scope: tenant}}",
    "kept for all, of what all may see": "{id: crm, match: /crm/*, to: crm, auth: none, limit: none, cache: 1m}",
    "keyed writes": "{id: c, match: {path: /c, methods: [POST]}, to: crm, retry: {on: [502]}, idempotency: optional}",
    "retries of what was not sent": "{id: c, match: {path: /c, methods: [POST]}, to: crm, retry: {on: [connect]}}",
    "retries of reads": "{id: c, match: {path: /c, methods: [GET]}, to: crm, retry: {on: [502]}}",
    "a login that stays limited": "{id: l, match: /l, to: crm, auth: none, limit: {rate: 5/min, by: ip}}",
    "as much as is paid for": "{id: crm, match: /crm/*, to: crm, limit: 500/min}",
    "a window that no plan has": "{id: crm, match: /crm/*, to: crm, limit: 500/s}",
    "a stream": "{id: crm, match: /crm/*, to: crm, timeout: {total: none, idle: 60s}}",
    "nobody waits for an upstream": "{id: r, match: /r, respond: {status: 200}, timeout: {connect: 40s}}",
}


@pytest.mark.parametrize(("route", "line"), FOUND.values(), ids=FOUND)
def test_says_what_is_wrong_and_what_to_do(route: str, line: str) -> None:
    # What the route then leaves unused is another matter.
    assert found(routes(route), without=("no_tests", "not_in_force", "unused_plans", "unused_profile")) == [line]


@pytest.mark.parametrize("route", GOOD_ROUTES.values(), ids=GOOD_ROUTES)
def test_what_is_well_is_not_talked_about(route: str) -> None:
    assert [line for line in found(routes(route)) if "unused_" not in line] == []


def test_retries_of_defaults_count_only_where_a_route_says_that_it_writes() -> None:
    text = edited(("  auth: main\n", "  auth: main\n  retry: {on: [502]}\n"))
    assert found(text) == []
    writing = text.replace("match: /crm/*", "match: {path: /crm/*, methods: [GET, PATCH]}")
    assert [line.split(": ")[:2] for line in found(writing)] == [["13 {path", "unsafe_retry"]]


def test_what_stands_in_defaults_is_shown_there() -> None:
    text = edited(
        ("limit: {plan: true}", "limit: {rate: 9/h, by: ip, on_store_down: open}"),
        ("to: crm}", "to: crm, auth: none}"),
        ("  auth: main\n", "  auth: main\n  timeout: {connect: 9s, total: 8s}\n"),
    )
    assert [
        line.split(": ")[:2] for line in found(text, without=("unused_plans", "unused_profile", "not_in_force"))
    ] == [
        ["8 9s", "timeout_order"],
        ["9 open", "open_limit"],
    ]


def test_the_table_that_is_edited_is_good() -> None:
    assert found(GOOD, without=("not_in_force",)) == []
