"""The processes for real: killed, drained, orphaned. Each test waits for what the processes print, never for a time."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+), admin http://127\.0\.0\.1:(\d+), (\d) workers?")


class Gateway:
    """A running `fake_gateway serve`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self, start: str) -> str:
        """The next line of standard output that starts so, without that start."""
        while text := (await self.process.stdout.readline()).decode():
            if text.startswith(start):
                return text.removeprefix(start).strip()
        raise AssertionError(f"ended without {start!r}: {(await self.process.stderr.read()).decode()}")

    async def until_listening(self) -> "Gateway":
        found = LISTENING.fullmatch("listening on " + await self.line("listening on "))
        self.port, self.admin_port, self.workers = map(int, found.groups())
        return self

    async def until_gone(self) -> tuple[int, str]:
        """Until every process has closed its standard output. Returns the exit code and the standard error."""
        _, errors = await self.process.communicate()
        return self.process.returncode, errors.decode()

    async def admin(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            return reply.status, await reply.text()

    async def metric(self, series: str) -> float:
        _, text = await self.admin("/metrics")
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(series + " "))


class Client:
    """One connection; `ask` returns the process that answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self) -> int:
        self._writer.write(b"who\n")
        process, self.version = (await self._reader.readline()).decode().split()
        return int(process)

    async def until_closed(self) -> None:
        try:
            await self._reader.read()
        except ConnectionError:
            return


@asynccontextmanager
async def connect(gateway: Gateway):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


@asynccontextmanager
async def serve(*files: str, **settings):
    options = {"port": 0, "admin_port": 0, "files": dict.fromkeys(files, ""), **settings}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.workers.fake_gateway", "serve", json.dumps(options)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Gateway(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_killed_worker_is_replaced_and_its_counts_are_kept():
    async with serve(workers=1) as gateway:
        first = int(await gateway.line("serving "))
        await gateway.until_listening()
        async with connect(gateway) as client:
            assert [await client.ask() for _ in range(3)] == [first] * 3
            assert await gateway.metric('gateway_requests_total{route="fake"}') == 3
            assert await gateway.metric("gateway_connections") == 1
            os.kill(first, signal.SIGKILL)
            await client.until_closed()
        said = (await gateway.process.stderr.readline()).decode()
        assert said == "worker 0 was ended by SIGKILL; the next one starts in 0.1 s\n"
        # Its connections are gone at once, not only when the next one starts.
        assert await gateway.metric("gateway_connections") == 0
        second = int(await gateway.line("serving "))
        assert second != first
        async with connect(gateway) as client:
            assert await client.ask() == second
        assert await gateway.metric('gateway_requests_total{route="fake"}') == 4
        assert await gateway.metric("gateway_worker_restarts_total") == 1
        gateway.process.send_signal(signal.SIGTERM)
        assert await gateway.until_gone() == (0, "")


async def test_workers_share_the_port_and_the_admin_listener_shows_them():
    async with serve(workers=2) as gateway:
        pids = {int(await gateway.line("serving ")) for _ in range(2)}
        await gateway.until_listening()
        assert gateway.workers == 2
        assert (await gateway.admin("/readyz"))[0] == 200
        assert json.loads((await gateway.admin("/routes"))[1])["routes"] == [{"id": "fake", "path": "/*"}]
        config = json.loads((await gateway.admin("/config"))[1])
        assert config["version"] == 1 and config["status"]["version"] == "v1"
        assert await gateway.metric("gateway_workers") == 2
        assert await gateway.metric('gateway_config_info{version="v1"}') == 1
        assert await gateway.metric("gateway_config_last_reload_successful") == 1
        answered = set()
        requests = 0
        while answered != pids:
            async with connect(gateway) as client:
                answered.add(await client.ask())
                requests += 1
        assert await gateway.metric('gateway_requests_total{route="fake"}') == requests
        # A worker that an operator ends drains by itself, and is replaced.
        os.kill(min(pids), signal.SIGTERM)
        assert int(await gateway.line("draining ")) == min(pids)
        assert int(await gateway.line("serving ")) not in pids
        assert await gateway.metric("gateway_worker_restarts_total") == 1


async def test_sigterm_fails_readiness_then_drains():
    async with serve(workers=1) as gateway:
        await gateway.until_listening()
        async with connect(gateway) as client:
            worker = await client.ask()
            gateway.process.send_signal(signal.SIGTERM)
            await gateway.line("draining ")
            status, text = await gateway.admin("/readyz")
            assert (status, json.loads(text)["reasons"]) == (503, ["the gateway is draining"])
            assert (await gateway.admin("/healthz"))[0] == 200
            assert await client.ask() == worker
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", gateway.port)
        assert await gateway.until_gone() == (0, "")


@pytest.mark.parametrize("is_hurried", [True, False])
async def test_what_does_not_drain_is_killed_in_time(is_hurried):
    async with serve("deaf", workers=1, drain_s=60 if is_hurried else 0.05) as gateway:
        await gateway.until_listening()
        gateway.process.send_signal(signal.SIGINT)
        await gateway.line("draining ")
        if is_hurried:
            gateway.process.send_signal(signal.SIGINT)
        exit_code, errors = await gateway.until_gone()
        assert exit_code == 0
        assert "has not drained" in errors
        assert "Traceback" not in errors


async def test_workers_do_not_outlive_their_supervisor():
    async with serve(workers=2) as gateway:
        await gateway.until_listening()
        gateway.process.kill()
        await gateway.line("draining ")
        # The end of standard output: nobody is left who could write to it.
        assert (await gateway.until_gone())[0] == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_worker_that_is_still_being_built_goes_as_well(number):
    async with serve("hang", workers=1) as gateway:
        await gateway.line("hanging ")
        gateway.process.send_signal(number)
        assert await gateway.until_gone() == (0 if number == signal.SIGTERM else -number, "")


@pytest.mark.parametrize("which", ["port", "admin_port"])
async def test_an_address_in_use_is_one_line_and_exit_2(which):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with serve(workers=1, **{which: port}) as gateway:
            exit_code, errors = await gateway.until_gone()
    assert exit_code == 2
    assert errors == f"gateway: cannot listen on 127.0.0.1:{port}: Address already in use\n"


async def test_an_unknown_host_is_one_line_and_exit_2():
    async with serve(workers=1, host="127.0.0.256") as gateway:
        exit_code, errors = await gateway.until_gone()
    assert exit_code == 2
    assert re.fullmatch(r"gateway: cannot listen on 127\.0\.0\.256:0: [^\n]+\n", errors)


@pytest.mark.parametrize(
    ("how", "reason"), [("fail", "failed: ValueError: the table says fail"), ("die", "ended with code 7")]
)
async def test_a_worker_that_cannot_start_ends_the_gateway(how, reason):
    async with serve(how, workers=2) as gateway:
        exit_code, errors = await gateway.until_gone()
    assert exit_code == 1
    assert re.search(rf"^gateway: worker [01] {reason}$", errors, re.MULTILINE)


async def test_every_worker_is_asked_how_it_sees_the_upstreams():
    async with serve(workers=2) as gateway:
        await gateway.until_listening()
        status, text = await gateway.admin("/upstreams")
        rows = json.loads(text)["upstreams"]
        assert (status, [(row["workers"], row["in_flight"]) for row in rows]) == (200, [({"up": 2}, 2)])


async def test_a_purge_of_the_operators_is_carried_out_by_one_worker_and_heard_by_all():
    async with serve(workers=3) as gateway:
        await gateway.until_listening()
        url = f"http://127.0.0.1:{gateway.admin_port}/cache/purge"
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json={"tags": ["a"]}) as reply:
                assert (reply.status, (await reply.json())["purged"]["tags"]) == (200, ["a"])
            one = int(await gateway.line("purged ['a'] "))
            heard = {int(await gateway.line("heard ['a'] ")) for _ in range(2)}
            assert len(heard | {one}) == 3
            async with session.post(url, json={"tags": ["down"]}) as reply:
                assert (reply.status, (await reply.json())["detail"]) == (503, "the store is down")
            async with session.post(url, json={"tag": "a"}) as reply:
                assert reply.status == 400
        gateway.process.send_signal(signal.SIGTERM)
        assert await gateway.until_gone() == (0, "")


def put(path, version="v2", **more):
    path.with_suffix(".new").write_text(json.dumps({"version": version, **more}))
    path.with_suffix(".new").replace(path)


async def post(gateway, path):
    url = f"http://127.0.0.1:{gateway.admin_port}{path}"
    async with aiohttp.ClientSession() as session, session.post(url) as reply:
        return reply.status, json.loads(await reply.text())


async def version_of(gateway):
    """What each of many new connections is served, so that every worker is asked."""
    versions = set()
    for _ in range(16):
        async with connect(gateway) as client:
            await client.ask()
            versions.add(client.version)
    return versions


@pytest.fixture
def next_table(tmp_path):
    path = tmp_path / "next"
    put(path, "v1")
    return path


async def test_another_table_is_prepared_by_all_before_any_serves_it(next_table):
    async with serve(workers=3, next=str(next_table)) as gateway:
        await gateway.until_listening()
        async with connect(gateway) as kept:
            process = await kept.ask()
            put(next_table)
            assert (await post(gateway, "/reload"))[0] == 200
            told = [await gateway.line("") for _ in range(6)]
            assert [line.split()[:2] for line in told] == [["preparing", "v2"]] * 3 + [["swapped", "v2"]] * 3
            assert await version_of(gateway) == {"v2"}
            assert (await kept.ask(), kept.version) == (process, "v2")
        assert await gateway.metric('gateway_config_info{version="v2"}') == 1
        assert await gateway.metric('gateway_config_reloads_total{result="swapped"}') == 1
        put(next_table, "v3")
        gateway.process.send_signal(signal.SIGHUP)
        await gateway.line("swapped v3")
        put(next_table, "v4")  # noticed
        await gateway.line("swapped v4")


async def test_where_one_worker_cannot_prepare_none_swaps(next_table, tmp_path):
    async with serve(workers=3, next=str(next_table)) as gateway:
        await gateway.until_listening()
        put(next_table, stuck=str(tmp_path / "stuck"))
        status, said = await post(gateway, "/reload")
        assert (status, said["result"], said["version"]) == (503, "failed", "v1")
        assert said["detail"].endswith("worker 1: the table is too hot")
        assert await version_of(gateway) == {"v1"}
        for _ in range(2):
            await gateway.line("abandoned")


async def test_a_table_that_kills_the_worker_that_prepares_it_is_not_served(next_table):
    async with serve(workers=2, next=str(next_table)) as gateway:
        await gateway.until_listening()
        put(next_table, killer="")
        status, said = await post(gateway, "/reload")
        assert (status, said["detail"].partition(": ")[2]) == (503, "worker 0: it ended")
        # The next one starts with the table that is served.
        await gateway.line("serving ")
        assert await version_of(gateway) == {"v1"}


async def test_an_invalid_table_reaches_no_worker(next_table):
    async with serve(workers=2, next=str(next_table)) as gateway:
        await gateway.until_listening()
        put(next_table, invalid="")
        status, said = await post(gateway, "/reload")
        assert (status, said["problems"][0]["text"]) == (422, "routes.yaml:1:1: oh_dear: it says so")
        assert (await gateway.admin("/readyz"))[0] == 200
        config = json.loads((await gateway.admin("/config"))[1])
        assert config["status"]["version"] == "v1"
        assert config["status"]["last_attempt"]["problems"][0]["code"] == "oh_dear"
        assert await version_of(gateway) == {"v1"}
        gateway.process.send_signal(signal.SIGTERM)
        _, errors = await gateway.until_gone()
        assert "routes.yaml:1:1: oh_dear: it says so" in errors and "Traceback" not in errors


async def test_a_worker_that_starts_while_the_table_changes_serves_the_new_one_from_its_first_request(
    next_table, tmp_path
):
    async with serve(workers=2, next=str(next_table)) as gateway:
        await gateway.until_listening()
        hold = tmp_path / "hold"
        put(next_table, hold=str(hold))
        reloading = asyncio.create_task(post(gateway, "/reload"))
        first = int((await gateway.line("preparing v2")).split()[-1])
        await gateway.line("held")
        # It has prepared the table. Its successor is built from the old one, before anything is swapped.
        os.kill(first, signal.SIGKILL)
        successor = int((await gateway.line("built v1")).split()[-1])
        (tmp_path / "hold.go").touch()
        assert (await reloading)[0] == 200
        told = [(await gateway.line("")).split() for _ in range(4)]
        assert [words[:-1] for words in told] == [["swapped", "v2"], ["preparing", "v2"], ["held"], ["swapped", "v2"]]
        assert int(await gateway.line("serving")) == successor
        assert await version_of(gateway) == {"v2"}
