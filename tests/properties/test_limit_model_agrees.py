"""The model that `test_local_share_outages.py` stands on does what the script does: the same answers, the same records
and the same news.
"""

import asyncio
import itertools
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from gateway.core.local_share import Share
from gateway.core.rate_limit import Window
from gateway.stores.local import bucket_name
from gateway.stores.redis import _TAKE, Check
from tests.stores.redis_server import RedisServer
from tests.support.limit_model import ModelStore

windows_of_a_key = st.lists(
    st.builds(Window, st.integers(1, 50), st.sampled_from([1_000, 60_000])), min_size=1, max_size=2
).map(tuple)
# Forward, and back a little: then nothing is paid back, and nothing taken away.
steps = st.one_of(st.integers(0, 2_000), st.integers(0, 100_000), st.integers(-500, 0))
owed_tokens = st.sampled_from([0, 0, 0, 1, 40])
operations = st.lists(st.tuples(st.integers(0, 5), owed_tokens, st.booleans(), st.booleans(), steps), max_size=30)
_numbers = itertools.count()


@given(windows_of_a_key, operations)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_script_and_the_model_agree(
    shared_redis: RedisServer, windows: tuple[Window, ...], happened: list[tuple[int, int, bool, bool, int]]
) -> None:
    name = bucket_name(f"model:{next(_numbers)}", windows)

    async def run() -> None:
        told: list[tuple[str, list[int], int]] = []
        model = ModelStore(lambda *news: told.append(news))
        share = Share(windows, 0)
        now_ms = 1_700_000_000_000
        async with Redis.from_url(shared_redis.url) as client, client.pubsub() as channel:
            await channel.subscribe("limit:told")
            await channel.get_message(timeout=5)
            for cost, owed, is_known, is_lost, step_ms in happened:
                now_ms += step_ms
                if is_lost:
                    await client.delete(name)
                    model.records.clear()
                known = share if is_known else Share(windows, 0)
                check = Check(name, windows, cost, known)
                check.owed = owed
                expected = model.take(name, windows, cost, now_ms, known.debts, known.at_ms, owed)
                at_ms, answer = await client.eval(_TAKE.text, 1, name, now_ms, "", check.text())
                taken, *debts = answer.split()
                assert (at_ms, taken == b"1", [int(debt) for debt in debts]) == (now_ms, *expected)
                share.learn(windows, expected[1], now_ms, now_ms)
                record = await client.get(name)
                stored = [str(number) for window in model.records.get(name, []) for number in window]
                assert (record.decode().split() if record else []) == stored
                if told:
                    assert await next_news(channel) == [told.pop()]

    asyncio.run(run())


async def next_news(channel: Any) -> list[tuple[str, list[int], int]]:
    message = await channel.get_message(ignore_subscribe_messages=True, timeout=5)
    at_ms, news = json.loads(message["data"])
    return [(name, [int(debt) for debt in debts.split()], int(at_ms)) for name, debts in news]


def test_a_call_that_is_too_late_takes_nothing(shared_redis: RedisServer) -> None:
    windows = (Window(10, 60_000),)
    name = bucket_name(f"model:{next(_numbers)}", windows)

    async def run() -> None:
        async with Redis.from_url(shared_redis.url) as client:
            seconds, micros = await client.time()
            now_ms = seconds * 1000 + micros // 1000
            text = Check(name, windows, 1, Share(windows, 0)).text()
            (late,) = await client.eval(_TAKE.text, 1, name, "", now_ms - 1, text)
            assert late >= now_ms
            assert await client.get(name) is None
            assert len(await client.eval(_TAKE.text, 1, name, "", now_ms + 60_000, text)) == 2

    asyncio.run(run())
