"""Every endpoint of every service is restarted under load, then half of them are killed at once.

`make rolling`: sixteen endpoint processes, two workers and their load want a machine of their own, so this is not among
the tests of every change.
"""

from pathlib import Path

import pytest

from tests.support.gateway import until
from tests.support.rolling import RECOVERY_S, stage

pytestmark = [pytest.mark.parametrize("each_lane", ["fast"], indirect=True), pytest.mark.timeout(600)]

MARGIN_S = 0.5
"""What a probe, a request and the looking at journals may take on top of the health interval."""


async def test_nothing_idempotent_fails_and_everyone_is_back_within_the_health_interval(tmp_path: Path) -> None:
    async with stage(tmp_path, services=4, endpoints=4, clients=64, workers=2) as s:
        await until(lambda: s.load.succeeded > 1000)
        recoveries = [await s.restart([endpoint], 0.5) for endpoint in s.endpoints]
        rolled = s.load.succeeded
        half = [endpoint for index, endpoint in enumerate(s.endpoints) if index % 2]
        killed_s = await s.restart(half, 5.0)
    load = s.load
    print(
        f"\nrolling restart of {len(s.endpoints)} endpoints: {rolled} idempotent requests, back after "
        f"{min(recoveries):.2f} to {max(recoveries):.2f} s\n"
        f"kill -9 of {len(half)}: {load.succeeded - rolled} idempotent requests, all back after {killed_s:.2f} s\n"
        f"idempotent requests that failed: {len(load.failed)}; POSTs: {load.written} done, {load.lost} lost, "
        f"{len(s.sent_twice())} sent twice"
    )
    assert s.load.failed == []
    assert s.sent_twice() == []
    assert max([*recoveries, killed_s]) <= RECOVERY_S + MARGIN_S
