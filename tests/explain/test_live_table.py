"""Hazard: the operators' listener explains a table that is not in force, or takes a slip for a request."""

import pytest

from gateway.config.settings import TableSources
from gateway.explain.live_table import LiveTable

TABLE = """\
version: 1
routes:
- {id: NAME, match: /a, auth: none, respond: {text: a}}
"""


def sources(name: str) -> TableSources:
    return TableSources("routes.yaml", {"routes.yaml": TABLE.replace("NAME", name)})


async def test_it_explains_the_table_that_it_is_given_each_time() -> None:
    table, first = LiveTable(), sources("one")
    for given, name in ((first, "one"), (first, "one"), (sources("two"), "two"), (first, "one")):
        found = await table.explain(given, {"url": ["/a"], "header": ["a: 1", "b: 2"], "ip": ["192.0.2.1"]})
        assert found["route"] == {"id": name, "position": "routes.yaml:3:3"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "url is missing"),
        ({"url": ["/a"], "token": ["x"]}, "token is no parameter"),
        ({"url": ["/a", "/b"]}, "url is there twice"),
        ({"url": ["a"]}, "begins with /"),
    ],
)
async def test_a_slip_is_told(query: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        await LiveTable().explain(sources("one"), query)
