"""Every endpoint of a service is restarted under load, most of them are killed at once: no read fails, no write is done
twice. `make rolling` is the same at full size.
"""

import json
from pathlib import Path

import pytest

from tests.support.gateway import until
from tests.support.rolling import RECOVERY_S, stage

# The endpoints are what this is about, whichever lane they have.
pytestmark = pytest.mark.parametrize("each_lane", ["fast"], indirect=True)


async def test_a_rolling_restart_fails_no_read(tmp_path: Path) -> None:
    async with stage(tmp_path, services=1, endpoints=3, clients=8) as s:
        await until(lambda: s.load.succeeded > 100)
        for endpoint in s.endpoints:
            # Twice the health interval, for this machine may be busy with other tests.
            assert await s.restart([endpoint], 0.2) < 2 * RECOVERY_S + 1.0
        assert await s.restart(s.endpoints[:2], 1.0) < 2 * RECOVERY_S + 1.0
        rows = json.loads((await s.gateway.admin("/upstreams"))[1])["upstreams"]
        assert [row["endpoint"] for row in rows] == [endpoint.name for endpoint in s.endpoints]
    said = [line for line in map(json.loads, s.gateway.errors) if "state" in line]
    for endpoint in s.endpoints:
        states = {line["state"] for line in said if line["endpoint"] == endpoint.name}
        assert "up" in states and states & {"ejected", "unhealthy"}
    assert s.load.failed == []
    assert s.sent_twice() == []
    assert s.load.written > 10
