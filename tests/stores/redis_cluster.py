"""A real Redis Cluster of three masters, up in the two seconds that a master of it waits before it serves."""

import tempfile
from pathlib import Path

from tests.stores.redis_server import READY, RedisServer, free_port

SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))
_NODE_TIMEOUT_MS = 1000
_STATE_OK = "Cluster state changed: ok"


class RedisClusterServers:
    """Three servers that share the slots, without replicas.

    nodes: in the order of SLOTS, each of which a test with a cluster of its own may kill, start and freeze. A node that
    is gone leaves the others in service, as `deploy/redis/cluster.conf` has it.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        ports = [free_port(has_bus=True) for _ in SLOTS]
        self.nodes = [self._node(number, ports) for number in range(len(ports))]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start all nodes, and wait until each says that the cluster is whole."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_it_says(READY)
            node.wait_until_it_says(_STATE_OK)

    def node_of(self, slot: int) -> RedisServer:
        """The master of a slot (see `redis.crc.key_slot`)."""
        return next(node for node, (first, last) in zip(self.nodes, SLOTS, strict=True) if first <= slot <= last)

    def kill(self) -> None:
        """End all of it, and its files. Harmless if it does not run."""
        for node in self.nodes:
            node.kill()
        self._folder.cleanup()

    def _node(self, number: int, ports: list[int]) -> RedisServer:
        folder = Path(self._folder.name, str(number))
        folder.mkdir()
        # What the nodes would find out from each other in a second of introductions, written down beforehand.
        lines = [
            f"{_node_id(other)} 127.0.0.1:{port}@{port + 10_000} {'myself,' if other == number else ''}master"
            f" - 0 0 {other + 1} connected {SLOTS[other][0]}-{SLOTS[other][1]}\n"
            for other, port in enumerate(ports)
        ]
        (folder / "nodes.conf").write_text("".join(lines) + f"vars currentEpoch {len(ports)} lastVoteEpoch 0\n")
        options = {
            "dir": str(folder),
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(_NODE_TIMEOUT_MS),
            "cluster-require-full-coverage": "no",
        }
        return RedisServer(
            *(word for name, value in options.items() for word in (f"--{name}", value)), port=ports[number]
        )


def _node_id(number: int) -> str:
    return f"{number + 1:040x}"
