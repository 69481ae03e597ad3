"""Hazard: the half of a misspelt name that nothing refers to any more."""

from tests.config.lint.good_table import edited, found, routes


def test_an_upstream_that_no_route_goes_to() -> None:
    text = edited(("upstreams:\n", 'upstreams:\n  crn: {endpoints: ["http://127.0.0.1:8102"]}\n'))
    assert found(text) == [
        '10 crn: unused_upstream: no route goes to the upstream "crn"; write to: crn on a route, or take it out'
    ]


def test_a_profile_that_no_route_names() -> None:
    text = edited(("auth:\n", "auth:\n  jobs: {api_key: {keys: {}}}\n"))
    assert found(text) == [
        (
            '4 jobs: unused_profile: no route uses the auth profile "jobs"; write auth: jobs on a route or in '
            "defaults, or take "
            "it out"
        )
    ]


def test_plans_that_limit_nobody() -> None:
    assert found(edited(("  limit: {plan: true}\n", ""))) == [
        "5 plans: unused_plans: no route limits callers by their plan; write limit: {plan: true} in defaults"
    ]


def test_a_tag_that_is_nearly_one_that_is_kept() -> None:
    text = routes(
        '{id: read, match: {path: /crm/*, methods: [GET]}, to: crm, cache: {scope: tenant, tags: ["crm:{tenant}"]}}',
        '{id: write, match: {path: /crm/*, methods: [PUT]}, to: crm, invalidates: ["crn:{tenant}", "other"]}',
    )
    assert found(text) == [
        (
            '13 "crn:{tenant}": unused_tag: no route keeps replies under "crn:{tenant}", so "write" drops nothing '
            "of that name; "
            'did you mean "crm:{tenant}"?'
        )
    ]
    assert found(text.replace("crn", "crm")) == []
