"""The gateway serves on uvloop, and so do these tests, over each of its lanes."""

from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.support import gateway


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], uvloop.Loop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["fast", "aiohttp"], autouse=True)
def each_lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "default_lane", request.param)
