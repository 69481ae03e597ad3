"""Whatever a client sends and a token says: a line is one line, valid JSON, short enough, and says what was meant."""

import asyncio
import json
import os
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.headers import Headers
from gateway.core.identity import Identity
from gateway.observe.access_log import AccessLog, _shortened
from gateway.observe.line_writer import LINE_MAX_BYTES
from gateway.observe.metrics import WorkerMetrics
from gateway.plugin_api import Exchange, Reply

# Lone surrogates are what bytes that are no UTF-8 become.
text = st.text(st.characters(exclude_categories=()), max_size=60)
times = st.floats(0, 1e7)


@cache
def make_log() -> AccessLog:
    async def make() -> AccessLog:
        log = AccessLog(os.open(os.devnull, os.O_WRONLY), WorkerMetrics().counter("x", "X."))
        await log.close()
        return log

    return asyncio.run(make())


@settings(max_examples=150, deadline=None)
@given(
    text,
    text,
    st.one_of(st.none(), text),
    text,
    text,
    st.dictionaries(text, text, max_size=3),
    times,
    times,
    st.booleans(),
)
def test_a_line_is_valid_json(path, method, tenant, user, client_ip, verdicts, total_s, upstream_s, is_answered):
    exchange = Exchange(method=method, target="/", headers=Headers(), client_ip=client_ip, request_id="r")
    exchange.path = path
    exchange.verdicts = verdicts
    exchange.upstream_s = upstream_s
    exchange.reply = Reply(200) if is_answered else None
    exchange.identity = Identity(tenant=None, user=None, plan=None, scopes=frozenset(), claims={}, credential="jwt:a")
    exchange.identity.tenant, exchange.identity.user = tenant, user
    line = make_log()._line(exchange, total_s)
    assert line.isascii()
    assert line.index("\n") == len(line) - 1
    fields = json.loads(line, parse_constant=lambda name: 1 / 0)
    wanted = (path or "/", method, tenant, user, client_ip, verdicts)
    assert tuple(fields[key] for key in ("path", "method", "tenant", "user", "client_ip", "verdicts")) == wanted


long_text = st.builds(
    lambda part, times: part * times, st.text(st.characters(exclude_categories=()), min_size=1), st.integers(0, 2000)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(long_text, min_size=5, max_size=5), st.dictionaries(text, long_text, max_size=3))
def test_a_shortened_line_fits_and_keeps_its_keys(texts, verdicts):
    keys = ("tenant", "user", "plan", "method", "path")
    fields = dict(zip(keys, texts, strict=True)) | {"status": 200, "code": None, "verdicts": verdicts}
    fields |= dict.fromkeys(("time", "request_id", "trace_id", "route", "outcome", "endpoint", "client_ip"), "x" * 80)
    line = _shortened(json.dumps(fields) + "\n")
    assert len(line) <= LINE_MAX_BYTES
    assert json.loads(line).keys() == fields.keys() | {"cut"}
    assert all(fields[key].startswith(json.loads(line)[key]) for key in keys)
