"""A real Sentinel set: a master, a replica, and one sentinel whose own vote is enough to fail over."""

import tempfile
from pathlib import Path

from redis import Redis

from tests.stores.redis_server import RedisServer, free_port

NAME = "mymaster"
_DOWN_AFTER_MS = 300


class RedisSentinelServers:
    """A test kills or freezes `master` and waits until `has_failed_over`; `replica` is then the master."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        # Diskless, so that a replica does not wait for the master's next look at its children.
        options = ("--dir", str(folder), "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
        self.master = RedisServer(*options)
        self.replica = RedisServer(*options, "--replicaof", "127.0.0.1", str(self.master.port))
        config = folder / "sentinel.conf"
        config.write_text(
            f"dir {folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {NAME} {_DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {NAME} 3000\n"
        )
        self.sentinel = RedisServer("--sentinel", port=free_port(), config=config)

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{NAME}/0"

    def start(self) -> None:
        """Start all three, and wait until the replica has the master's data and the sentinel knows of both."""
        self.master.start()
        self.replica.launch()
        self.replica.wait_until_it_says("sync: Finished with success")
        self.sentinel.launch()
        self.sentinel.wait_until_it_says("+slave slave")

    def has_failed_over(self) -> bool:
        """Whether the sentinel names the replica as the master."""
        with Redis(port=self.sentinel.port) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(NAME)[1]) == self.replica.port

    def kill(self) -> None:
        """End all of it, and its files. Harmless if it does not run."""
        for server in (self.sentinel, self.replica, self.master):
            server.kill()
        self._folder.cleanup()
