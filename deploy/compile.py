"""`python deploy/compile.py FOLDER`: compiles the hot modules of the gateway package in FOLDER in place, with mypyc.

The same sources run either way (gateway/decisions/0008-compiled-hot-path.md says what compiling gains). Meant for an
installed copy (an image, a benchmark), never for a checkout: a compiled module hides later edits of its source.
"""

import argparse
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

# Every module on the way of a plain request, or of one that the cache answers, and nothing else: what is not hot stays
# easy to debug.
HOT_MODULES = [
    "gateway/config/snapshot.py",
    "gateway/core/balancing.py",
    "gateway/core/adaptive_limit.py",
    "gateway/core/cache_control.py",
    "gateway/core/cache_freshness.py",
    "gateway/core/cache_keys.py",
    "gateway/core/cache_reply.py",
    "gateway/core/cache_serving.py",
    "gateway/core/cache_status.py",
    "gateway/core/cache_tags.py",
    "gateway/core/cache_variants.py",
    "gateway/core/circuit_breaker.py",
    "gateway/core/errors.py",
    "gateway/core/headers.py",
    "gateway/core/identity.py",
    "gateway/core/kept_replies.py",
    "gateway/core/local_share.py",
    "gateway/core/memo.py",
    "gateway/core/milliseconds.py",
    "gateway/core/paths.py",
    "gateway/core/plain_head.py",
    "gateway/core/rate_limit.py",
    "gateway/core/reply_framing.py",
    "gateway/core/request_framing.py",
    "gateway/core/retry.py",
    "gateway/core/routing.py",
    "gateway/core/s3_fifo.py",
    "gateway/observe/access_log.py",
    "gateway/observe/metrics.py",
    "gateway/observe/recorder.py",
    "gateway/observe/tracing.py",
    "gateway/plugin_api.py",
    "gateway/proxy/attempt_notes.py",
    "gateway/proxy/connection.py",
    "gateway/proxy/fast_lane.py",
    "gateway/proxy/forward.py",
    "gateway/proxy/heads.py",
    "gateway/proxy/hedging.py",
    "gateway/proxy/lane.py",
    "gateway/proxy/outbox.py",
    "gateway/proxy/pipeline.py",
    "gateway/proxy/reply_body.py",
    "gateway/proxy/upstream_error.py",
    "gateway/proxy/whole_reply.py",
    "gateway/stores/local.py",
    "gateway/stores/memory.py",
    "gateway/stores/redis.py",
    "gateway/stores/redis_pipe.py",
    "gateway/upstreams/endpoint.py",
    "gateway/upstreams/admission.py",
    "gateway/upstreams/breaker.py",
    "gateway/upstreams/guard.py",
    "gateway/upstreams/pool.py",
    "gateway/upstreams/upstream.py",
    "plugins/auth.py",
    "plugins/cache.py",
    "plugins/limit.py",
]


def main() -> int:
    """Returns the exit code: 0, 1 where mypyc or the C compiler fails, 2 for a folder without the package."""
    parser = argparse.ArgumentParser(description="Compile the gateway's hot modules in place.")
    parser.add_argument("folder", type=Path, help="the folder that holds the gateway package, such as site-packages")
    folder = parser.parse_args().folder.resolve()
    missing = [module for module in HOT_MODULES if not (folder / module).is_file()]
    if missing:
        parser.error(f"{folder} lacks {missing[0]}")
    if (folder / ".git").exists():
        parser.error(f"{folder} is a checkout; compile a copy of it")
    from mypyc.build import mypycify
    from setuptools import setup

    os.chdir(folder)
    sys.argv = [sys.argv[0]]
    setup(
        name="compiled-gateway",
        packages=[],
        ext_modules=mypycify(["--config-file", str(CHECKOUT / "pyproject.toml"), *HOT_MODULES], opt_level="3"),
        script_args=["--quiet", "build_ext", "--inplace"],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
