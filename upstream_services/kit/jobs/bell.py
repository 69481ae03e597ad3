"""The bell: how a process that wrote a job down tells one that runs jobs, by taskiq.

Without a URL both are one process (taskiq's in-memory broker); with one the bell is a Redis stream, and `python -m
upstream_services.<service> worker` listens to it. A bell that does not ring costs time only: the sweep finds the job.
"""

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import Any

from taskiq import AsyncBroker, InMemoryBroker
from taskiq.api import run_receiver_task

from upstream_services.kit.jobs.worker import Ring, Worker

log = logging.getLogger(__name__)

LISTEN_AGAIN_S = 1.0
QUIET = ("taskiq", "taskiq.receiver.receiver")  # what they say of a task that failed, the worker has said


def make_broker(url: str, service_name: str) -> AsyncBroker:
    """The broker of a URL: none, in memory; `redis://`, a stream of the service's own."""
    if not url:
        return InMemoryBroker()
    from taskiq_redis import RedisStreamBroker  # only where it is used

    name = f"jobs-{service_name}"
    return RedisStreamBroker(url, queue_name=name, consumer_group_name=name, maxlen=100_000)


class Bell:
    """One broker, and the worker where this process runs jobs; None where it only writes them down."""

    def __init__(self, broker: AsyncBroker, worker: Worker | None) -> None:
        self._broker, self._worker = broker, worker
        self._ringing: set[asyncio.Task[Any]] = set()
        self._tasks: list[asyncio.Task[Any]] = []

        async def on_ring(
            tenant: str, job_id: str
        ) -> None:  # taskiq renames what it is given, and a method has no name
            if worker is not None:
                worker.start((tenant, uuid.UUID(job_id)))

        self._task = broker.register_task(on_ring, task_name="ring")
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)

    def __repr__(self) -> str:
        return f"<Bell {type(self._broker).__name__} {self._worker!r}>"

    def ring(self, rings: list[Ring]) -> None:
        """Tells of jobs that were just committed; does not wait for it."""
        for tenant, job_id in rings:
            task = asyncio.create_task(self._ring(tenant, job_id))
            self._ringing.add(task)
            task.add_done_callback(self._ringing.discard)

    async def _ring(self, tenant: str, job_id: uuid.UUID) -> None:
        try:
            await self._task.kiq(tenant, str(job_id))
        except Exception as error:  # whatever a broker raises: the job is written down
            log.warning("the bell did not ring, a sweep will find the job: %s", error)

    async def start(self) -> None:
        """Starts what listens and looks, where this process runs jobs."""
        if self._worker is not None:
            self._tasks.append(asyncio.create_task(self._worker.keep_looking()))
            if not isinstance(self._broker, InMemoryBroker):
                self._broker.is_worker_process = True
                self._tasks.append(asyncio.create_task(self._listen()))
        elif not isinstance(self._broker, InMemoryBroker):
            with suppress(Exception):  # rings fail until it answers, each is logged
                await self._broker.startup()

    async def _listen(self) -> None:
        while True:
            try:
                await run_receiver_task(self._broker, run_startup=True)
            except Exception as error:
                log.warning("the bell cannot be heard, sweeps go on: %s", error)
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def close(self, drain_s: float) -> None:
        """Stops listening, lets running jobs end, and closes the broker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._ringing, return_exceptions=True)
        if self._worker is not None:
            await self._worker.close(drain_s)
        with suppress(Exception):
            await self._broker.shutdown()
