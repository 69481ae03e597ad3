"""`python -m gateway` with stores that are waited for: for tests that do not depend on how busy the machine is.

A store has 50 ms to answer, then a worker goes on alone. What tests of several processes say of the store itself would
else be said of the machine.
"""

import sys

from gateway.stores import redis, redis_claims, redis_client, redis_link, redis_pipe, redis_pulse

_PATIENCE_S = 10.0
COMMAND = (sys.executable, "-m", "tests.support.patient")


def _be_patient() -> None:
    for module in (redis, redis_claims, redis_link, redis_pulse):
        module.DEADLINE_S = _PATIENCE_S
    redis.LATE_S = redis_client.SOCKET_TIMEOUT_S = 2 * _PATIENCE_S
    redis_client.CONNECT_TIMEOUT_S = redis_pipe.CONNECT_TIMEOUT_S = _PATIENCE_S
    redis._TOO_LATE_MS = round(1500 * _PATIENCE_S)


if __name__ == "__main__":
    _be_patient()
    from gateway.workers import supervisor

    # Its workers as well; the default of an argument is bound already.
    run = supervisor.run_supervisor
    run.__kwdefaults__ = {**(run.__kwdefaults__ or {}), "command": (*COMMAND, "worker")}
    from gateway.cli import main

    sys.exit(main())
