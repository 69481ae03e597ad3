"""The processes of `gateway serve`: a supervisor with the admin listener, and workers that share one port.

The supervisor serves no client, so nothing that a client sends can harm it. A socket pair for each worker carries JSON,
one object a line:

    supervisor -> worker   {"start": settings, sources, metrics_descriptor} first, {"serve": true} once what it has
                           built is what all serve, {"tls": certificates} to one that is ready whenever these change,
                           {"prepare": sources}, then {"swap": true} or {"abandon": true}, for another table
                           (decisions/0016), {"drain": seconds} last
    worker -> supervisor   {"built": version}, {"ready": version} once it accepts connections, or {"failed": why};
                           {"done": number, "failure": why} to what has a number and is about a table

A worker whose supervisor is gone reads the end of the pair, drains and exits. One that died is started again, and
counts on in the same metrics.
"""

from gateway.workers.history import History
from gateway.workers.supervisor import WORKER_COMMAND, Listening, run_supervisor
from gateway.workers.table_files import TableReader
from gateway.workers.worker import Build, RunningGateway, run_worker

__all__ = [
    "WORKER_COMMAND",
    "Build",
    "History",
    "Listening",
    "RunningGateway",
    "TableReader",
    "run_supervisor",
    "run_worker",
]
