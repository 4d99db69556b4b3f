"""A store that can be entered only over TLS and as its own user, as in ElastiCache."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from infra.cache import STORE_RIGHTS
from support.certificates import make_certificate, tls_options
from support.harness import RedisServer, free_port

USER = "clip-video-moderator-dev"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret/+=", "AWS_SESSION_TOKEN": "session/+="}


@dataclass(frozen=True)
class LockedStore:
    """A store for the administrator and, with any token, the service's user with its own rights; for nobody else."""

    server: RedisServer
    admin: Any  # redis-py's answers are typed as asynchronous too
    folder: Path
    tls_port: int
    certificate: Path
    clustered: bool

    def url(self, port: int | None = None) -> str:
        """Its URL, or that of a proxy before it."""
        return f"rediss://127.0.0.1:{port or self.tls_port}?ssl_ca_certs={self.certificate}"

    def environment(self, port: int | None = None) -> dict[str, str]:
        """The variables of a service that uses it; the budget is the default one."""
        return {
            "CACHE_URL": self.url(port),
            "CACHE_CLUSTER": str(self.clustered).lower(),
            "CACHE_IAM_USER": USER,
            "CACHE_IAM_NAME": USER,
            "AWS_REGION": "eu-central-1",
            **KEYS,
        }

    def announce(self, port: int) -> None:
        """Let a cluster send its clients to a proxy, as ElastiCache does."""
        self.admin.config_set("cluster-announce-tls-port", port)

    def clients(self) -> list[dict[str, str]]:
        """The connections, beside the administrator's."""
        return [client for client in self.admin.client_list() if client["user"] != "admin"]

    def close_all_connections(self) -> None:
        """Do as ElastiCache does with connections of 12 hours."""
        self.admin.client_kill_filter(_type="normal", skipme=True)


@contextmanager
def locked_store(folder: Path, *, clustered: bool) -> Iterator[LockedStore]:
    """Start one. In the cloud it is a cluster."""
    certificate, tls_port = make_certificate(folder, "store"), free_port()
    # A cluster tells its clients which port to use: the one with TLS.
    as_cluster = ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--tls-cluster", "yes"]
    options = [
        *tls_options("store", tls_port),
        *(as_cluster if clustered else []),
        *("--user", "default", "off"),
        *("--user", "admin", "on", ">word", "~*", "+@all"),
        *("--user", USER, "nopass", *STORE_RIGHTS.split()),
    ]
    server = RedisServer(folder, free_port(), options)
    server.start()
    try:
        with redis.Redis(port=server.port, username="admin", password="word") as admin:
            if clustered:
                admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                _wait_until_whole(admin)
            yield LockedStore(server, admin, folder, tls_port, certificate, clustered)
    finally:
        server.stop()


def _wait_until_whole(admin: Any) -> None:
    for _ in range(200):
        if admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
            return
        time.sleep(0.05)
    raise AssertionError("the store did not become whole")
