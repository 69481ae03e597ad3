"""What every program of the services does the same way: complain in one line, and stop when told to."""

import argparse
import asyncio
import signal
import sys
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        self.exit(2, f"{self.prog}: {message}\n")


def port_number(text: str) -> int:
    """An argparse type: 0 to 65535."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port (0 to 65535)")
    return int(text)


class _UntilEnd(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, _error: Exception | None) -> None:
        self._ended.set()


async def stop_requested(*, with_stdin: bool) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set and, if wished, the end of standard input."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_stdin:
        await loop.connect_read_pipe(lambda: _UntilEnd(stop), sys.stdin.buffer)
    return stop
