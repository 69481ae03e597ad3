"""The processes of `gateway serve`: a supervisor with the admin listener, and workers that share one port.

The supervisor serves no client, so nothing that a client sends can harm it. A socket pair for each worker carries JSON,
one object a line:

    supervisor -> worker   {"start": settings, sources, metrics_descriptor} first, {"tls": certificates} to one that is
                           ready whenever these change, {"drain": seconds} last
    worker -> supervisor   {"ready": version} once it accepts connections, or {"failed": why}

A worker whose supervisor is gone reads the end of the pair, drains and exits. One that died is started again, and
counts on in the same metrics.
"""

from gateway.workers.supervisor import WORKER_COMMAND, Listening, TableDescription, run_supervisor
from gateway.workers.worker import Build, RunningGateway, run_worker

__all__ = [
    "WORKER_COMMAND",
    "Build",
    "Listening",
    "RunningGateway",
    "TableDescription",
    "run_supervisor",
    "run_worker",
]
