"""The place of one worker in the supervisor: what it was told, and what it is asked."""

import asyncio
import json
from collections.abc import Mapping
from itertools import count

from gateway.config.settings import TlsSettings
from gateway.observe.metrics_buffer import create_buffer_file, map_buffer


class Slot:
    """The place of one worker, which successive processes take. Its metrics outlive them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.descriptor = create_buffer_file()
        self.memory = map_buffer(self.descriptor)
        self.process: asyncio.subprocess.Process | None = None
        self.control: asyncio.StreamWriter | None = None
        self.is_ready = False
        # What its worker was told to serve.
        self.tls: TlsSettings | None = None
        # The version that its worker has built; "" while it has none.
        self.version = ""
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._numbers = count()

    def tell(self, message: Mapping[str, object]) -> None:
        """Send it, where there is a worker."""
        if self.control is not None:
            self.control.write(json.dumps(message).encode() + b"\n")

    async def ask(self, message: Mapping[str, object], timeout_s: float) -> str:
        """Tell, and wait for the answer: why it cannot be done, "" where it was."""
        number = next(self._numbers)
        waiter = self._asked[number] = asyncio.get_running_loop().create_future()
        self.tell({**message, "number": number})
        try:
            async with asyncio.timeout(timeout_s):
                failure = await waiter
        except TimeoutError:
            failure = f"no answer for {timeout_s:g} s"
        finally:
            del self._asked[number]
        return f"worker {self.number}: {failure}" if failure else ""

    def answer(self, number: int, failure: str) -> None:
        """The worker's, to what it was asked."""
        waiter = self._asked.get(number)
        if waiter is not None and not waiter.done():
            waiter.set_result(failure)

    def end(self) -> None:
        """The worker has ended."""
        self.process = None
        self.control = None
        self.is_ready = False
        self.version = ""
        for number in self._asked:
            self.answer(number, "it ended")

    def __repr__(self) -> str:
        process = "no process" if self.process is None else f"process {self.process.pid}"
        return f"<worker {self.number} {process} {'ready' if self.is_ready else 'not ready'}>"
