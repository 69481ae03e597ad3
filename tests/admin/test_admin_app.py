import pytest

from gateway.admin.app import make_admin_app, text_table


class View:
    def __init__(self) -> None:
        self.reasons = []
        self.counters = {}
        self.purged = []
        self.failure = ""
        self.silent = 0

    def reasons_not_ready(self):
        return self.reasons

    def metrics_text(self):
        return b"# TYPE a counter\na_total 1.0\n"

    def routes(self):
        return [
            {"id": "crm", "methods": ["GET", "HEAD"], "path": "/api/v1/crm/*", "to": "crm"},
            {"id": "teapot", "methods": [], "path": "/status", "to": None},
        ]

    def samples(self, name):
        return self.counters.get(name, [])

    async def upstreams(self):
        row = {"upstream": "crm", "endpoint": "a:1", "state": "up", "why": "", "since": 0.0, "addresses": []}
        numbers = ("in_rotation", "in_flight", "open", "idle", "waiting", "ejections", "failures", "weight")
        return [[{**row, **dict.fromkeys(numbers, 1)}]], self.silent

    async def explain(self, query):
        if "url" not in query:
            raise ValueError("url is missing")
        return {"asked": dict(query)}

    async def purge(self, purge):
        self.purged.append(purge)
        return self.failure

    def config(self):
        return {"version": 1, "auth": {"payaid": {"jwt": {"secret": "${env:JWT_SECRET}"}}}}


@pytest.fixture
def view():
    return View()


@pytest.fixture
async def client(aiohttp_client, view):
    return await aiohttp_client(make_admin_app(view))


async def test_alive_while_not_ready(client, view):
    view.reasons = ["draining"]
    reply = await client.get("/healthz")
    assert (reply.status, await reply.json()) == (200, {"status": "alive"})


async def test_ready(client):
    reply = await client.get("/readyz")
    assert (reply.status, await reply.json()) == (200, {"status": "ready"})


async def test_not_ready_says_why(client, view):
    view.reasons = ["no worker is ready, of 4", "the store is down"]
    reply = await client.get("/readyz")
    assert (reply.status, reply.content_type) == (503, "application/problem+json")
    assert await reply.json() == {
        "type": "about:blank",
        "title": "Not ready",
        "status": 503,
        "detail": "no worker is ready, of 4; the store is down",
        "reasons": ["no worker is ready, of 4", "the store is down"],
    }


async def test_metrics_are_prometheus_text(client):
    reply = await client.get("/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await reply.read() == b"# TYPE a counter\na_total 1.0\n"


async def test_config(client):
    reply = await client.get("/config")
    assert (await reply.json())["auth"]["payaid"]["jwt"]["secret"] == "${env:JWT_SECRET}"


async def test_routes_as_json_and_as_a_table(client):
    reply = await client.get("/routes")
    assert [row["id"] for row in (await reply.json())["routes"]] == ["crm", "teapot"]
    reply = await client.get("/routes", headers={"Accept": "text/plain"})
    assert reply.content_type == "text/plain"
    assert await reply.text() == (
        "ID      METHODS   PATH           TO\n"
        "crm     GET,HEAD  /api/v1/crm/*  crm\n"
        "teapot  -         /status        -\n"
    )


def test_no_rows_no_table():
    assert text_table([]) == ""


async def test_the_index_lists_the_pages(client):
    reply = await client.get("/")
    assert reply.content_type == "text/html"
    text = await reply.text()
    for path in ("/healthz", "/readyz", "/metrics", "/config", "/routes", "/upstreams", "/cache"):
        assert f'<a href="{path}">' in text
        assert (await client.get(path)).status == 200


async def test_errors_are_problems(client):
    reply = await client.get("/nowhere?token=topsecret")
    assert (reply.status, reply.content_type) == (404, "application/problem+json")
    problem = await reply.json()
    assert (problem["status"], problem["title"]) == (404, "Not Found")
    assert problem["detail"] == "GET /nowhere: see / for the pages"
    reply = await client.post("/metrics")
    assert (reply.status, reply.content_type) == (405, "application/problem+json")
    assert reply.headers["Allow"] == "GET,HEAD"


async def test_cache_as_json_and_as_a_table(client, view):
    view.counters["gateway_cache_requests"] = [
        ({"route": "crm", "result": "hit-l1"}, 3.0),
        ({"route": "crm", "result": "miss"}, 1.0),
    ]
    reply = await client.get("/cache")
    assert [(row["route"], row["hit_ratio"]) for row in (await reply.json())["cache"]] == [("crm", "75.0%")]
    reply = await client.get("/cache", headers={"Accept": "text/plain"})
    assert (await reply.text()).splitlines()[1].split()[:3] == ["crm", "75.0%", "3"]


async def test_upstreams_as_json_and_as_a_table(client):
    reply = await client.get("/upstreams")
    assert [row["workers"] for row in (await reply.json())["upstreams"]] == [{"up": 1}]
    reply = await client.get("/upstreams", headers={"Accept": "text/plain"})
    (_, row) = (await reply.text()).splitlines()
    assert row.split()[:5] == ["crm", "a:1", "up", "up", "1"]


async def test_what_not_every_worker_said_is_not_shown_as_if_it_were_all(client, view):
    view.silent = 1
    told = await (await client.get("/upstreams")).json()
    assert ([row["endpoint"] for row in told["upstreams"]], told["workers_without_answer"]) == (["a:1"], 1)
    text = await (await client.get("/upstreams", headers={"Accept": "text/plain"})).text()
    assert text.splitlines()[2:] == ["workers without answer: 1"]


async def test_a_purge_is_carried_out(client, view):
    reply = await client.post("/cache/purge", json={"tags": ["crm:t1"]})
    assert (reply.status, (await reply.json())["purged"]["tags"]) == (200, ["crm:t1"])
    assert view.purged == [{"tags": ("crm:t1",), "keys": (), "everything": False}]


async def test_a_purge_that_names_nothing_is_refused(client, view):
    reply = await client.post("/cache/purge", json={})
    assert (reply.status, reply.content_type) == (400, "application/problem+json")
    assert view.purged == []


async def test_a_purge_that_did_not_reach_everybody_says_so(client, view):
    view.failure = "the store is down"
    reply = await client.post("/cache/purge", json={"all": True})
    assert (reply.status, (await reply.json())["detail"]) == (503, "the store is down")


async def test_explain_hands_over_every_parameter(client):
    reply = await client.get("/explain?method=GET&url=/a%3Fb&header=a:%201&header=b:%202&tenant=t1")
    assert reply.status == 200
    assert (await reply.json())["asked"] == {
        "method": ["GET"],
        "url": ["/a?b"],
        "header": ["a: 1", "b: 2"],
        "tenant": ["t1"],
    }


async def test_what_is_no_request_is_refused_with_the_reason(client):
    reply = await client.get("/explain?method=GET")
    assert (reply.status, reply.content_type) == (400, "application/problem+json")
    assert (await reply.json())["detail"] == "url is missing"
