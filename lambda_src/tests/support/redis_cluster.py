"""A real cluster of three masters that share the slots."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from support.harness import RedisServer, free_port

_SLOTS = 16384


@dataclass(frozen=True)
class Cluster:
    """Three masters and a connection to each, for the tests' own questions."""

    servers: list[RedisServer]
    admins: list[Any]  # redis-py leaves execute_command without types

    @property
    def url(self) -> str:
        return self.servers[0].url

    def all_keys(self) -> list[bytes]:
        return [key for admin in self.admins for key in admin.scan_iter()]

    def slot(self, key: bytes) -> int:
        return int(self.admins[0].execute_command("CLUSTER", "KEYSLOT", key))

    def owner(self, slot: int) -> int:
        """The place of the master that owns `slot`."""
        return min(slot * 3 // _SLOTS, 2)

    def move(self, slot: int, source: int, target: int, pause: float) -> None:
        """Move `slot` as `redis-cli --cluster reshard` does, with a `pause` after each step."""
        ids = [admin.execute_command("CLUSTER", "MYID") for admin in self.admins]
        self.admins[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        self.admins[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        time.sleep(pause)
        for key in self.admins[source].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.admins[source].execute_command("MIGRATE", "127.0.0.1", self.servers[target].port, key, 0, 5000)
            time.sleep(pause)
        for place in (target, source, 3 - source - target):
            self.admins[place].execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


@contextmanager
def redis_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster and wait until it serves every slot."""
    with ExitStack() as stack:
        servers = []
        for place in range(3):
            home = folder / f"master-{place}"
            home.mkdir()
            port = free_port()
            # Without a port of its own the bus takes the port plus 10,000, which may be above 65,535.
            options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "1000"]
            server = RedisServer(home, port, options)
            server.start()
            stack.callback(server.stop)
            servers.append(server)
        admins: list[Any] = [redis.Redis(port=server.port) for server in servers]
        for admin in admins:
            stack.callback(admin.close)
        for place, admin in enumerate(admins):
            first, last = -(-place * _SLOTS // 3), -(-(place + 1) * _SLOTS // 3) - 1
            admin.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            admin.execute_command("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        for server in servers[1:]:
            bus = server.options[server.options.index("--cluster-port") + 1]
            admins[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        deadline = time.monotonic() + 30
        while not all(_is_whole(admin) for admin in admins):
            assert time.monotonic() < deadline, "the cluster did not form"
            time.sleep(0.05)
        yield Cluster(servers, admins)


def _is_whole(admin: Any) -> bool:
    # The whole field: other fields of the answer hold "ok" in their names.
    info = bytes(admin.execute_command("CLUSTER", "INFO"))
    return b"cluster_state:ok" in info and len(admin.execute_command("CLUSTER", "SLOTS")) == 3
