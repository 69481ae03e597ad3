"""Hazard: a script that deploys a table cannot tell what came of it, or a web page changes the table."""

import pytest
from aiohttp import web

from gateway.admin.reload_pages import add_reload_pages


class Control:
    def __init__(self) -> None:
        self.asked = []
        self.result = "swapped"

    def outcome(self):
        return {"result": self.result, "version": "v2", "detail": "it is so", "problems": [{"text": "a:1:1: b: c"}]}

    async def reload(self, *, is_dry_run, is_forced):
        self.asked.append(("reload", is_dry_run, is_forced))
        return self.outcome()

    async def rollback(self, version):
        self.asked.append(("rollback", version))
        return self.outcome()


@pytest.fixture
def control():
    return Control()


@pytest.fixture
async def client(aiohttp_client, control):
    app = web.Application()
    add_reload_pages(app, control)
    return await aiohttp_client(app)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/reload", ("reload", False, False)),
        ("/reload?dry_run=1", ("reload", True, False)),
        ("/reload?dry_run=0&force=1", ("reload", False, True)),
        ("/rollback", ("rollback", None)),
        ("/rollback?version=abc", ("rollback", "abc")),
    ],
)
async def test_what_is_asked(client, control, path, asked):
    reply = await client.post(path)
    assert (reply.status, (await reply.json())["version"]) == (200, "v2")
    assert control.asked == [asked]


@pytest.mark.parametrize(
    ("result", "status"),
    [("swapped", 200), ("unchanged", 200), ("good", 200), ("invalid", 422), ("failed", 503), ("unknown_version", 404)],
)
@pytest.mark.parametrize("path", ["/reload", "/rollback"])
async def test_the_status_says_what_came_of_it(client, control, path, result, status):
    control.result = result
    reply = await client.post(path)
    said = await reply.json()
    assert (reply.status, said["result"], said["version"]) == (status, result, "v2")
    assert said["problems"] == [{"text": "a:1:1: b: c"}]
    assert reply.content_type == ("application/json" if status == 200 else "application/problem+json")


@pytest.mark.parametrize("path", ["/reload", "/rollback"])
async def test_a_page_in_a_browser_and_a_get_change_nothing(client, control, path):
    assert (await client.post(path, headers={"Origin": "https://evil.example"})).status == 403
    assert (await client.get(path)).status == 405
    assert control.asked == []
