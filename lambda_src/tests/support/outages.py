"""The ways in which a store fails, each made with real servers: how to bring it about, and how to end it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import redis

from support.certificates import make_certificate, tls_options
from support.harness import RedisServer, free_port
from support.tcp_proxy import TcpProxy


@dataclass(frozen=True, kw_only=True)
class Outage:
    """One way to fail."""

    url: str
    begin: Callable[[], Any]
    end: Callable[[], Any]
    # A warm-up can wait for a store that is merely slow.
    warm_up: Literal["raises", "works"] = "raises"


class Servers:
    """Starts servers and proxies in a folder, and stops what it started."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def start(self, *options: str) -> RedisServer:
        server = RedisServer(self.folder, free_port(), list(options))
        server.start()
        self._stack.callback(server.stop)
        return server

    def proxy(self, server: RedisServer) -> TcpProxy:
        proxy = TcpProxy(server.port)
        self._stack.callback(proxy.close)
        return proxy

    def admin(self, server: RedisServer, **options: Any) -> Any:
        client = redis.Redis(port=server.port, **options)
        self._stack.callback(client.close)
        return client


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(folder, stack)


def not_there(servers: Servers) -> Outage:
    server = servers.start()
    return Outage(url=server.url, begin=server.stop, end=server.start)


def refusing_connections(servers: Servers) -> Outage:
    server = servers.start()
    admin = servers.admin(server)

    def begin() -> None:
        admin.config_set("maxclients", 1)
        admin.client_kill_filter(_type="normal", skipme=True)

    return Outage(url=server.url, begin=begin, end=lambda: admin.config_set("maxclients", 1000))


def accepting_and_never_answering(servers: Servers) -> Outage:
    server = servers.start()

    def send(number: int) -> None:
        assert server.process is not None
        server.process.send_signal(number)

    return Outage(url=server.url, begin=lambda: send(signal.SIGSTOP), end=lambda: send(signal.SIGCONT))


def killed_in_the_middle_of_a_request(servers: Servers) -> Outage:
    server = servers.start()
    proxy = servers.proxy(server)

    def begin() -> None:
        proxy.on_request = server.stop

    def end() -> None:
        proxy.on_request = None
        server.start()

    return Outage(url=f"redis://127.0.0.1:{proxy.port}", begin=begin, end=end)


def slower_than_the_budget(servers: Servers) -> Outage:
    proxy = servers.proxy(servers.start())

    def delay(seconds: float) -> None:
        proxy.delay = seconds

    return Outage(
        url=f"redis://127.0.0.1:{proxy.port}", begin=lambda: delay(1.0), end=lambda: delay(0), warm_up="works"
    )


def answering_one_byte_at_a_time(servers: Servers) -> Outage:
    proxy = servers.proxy(servers.start())

    def trickle(on: bool) -> None:
        proxy.trickle = on

    return Outage(url=f"redis://127.0.0.1:{proxy.port}", begin=lambda: trickle(True), end=lambda: trickle(False))


def full(servers: Servers) -> Outage:
    server = servers.start("--maxmemory-policy", "noeviction")
    admin = servers.admin(server)
    return Outage(
        url=server.url,
        begin=lambda: admin.config_set("maxmemory", 1),
        end=lambda: admin.config_set("maxmemory", 0),
    )


def become_a_read_only_replica(servers: Servers) -> Outage:
    server, primary = servers.start(), servers.start()
    admin = servers.admin(server)
    return Outage(
        url=server.url,
        begin=lambda: admin.replicaof("127.0.0.1", primary.port),
        end=lambda: admin.replicaof("NO", "ONE"),
    )


def with_another_password(servers: Servers) -> Outage:
    server = servers.start("--requirepass", "right")
    admin = servers.admin(server, password="right")

    def begin() -> None:
        admin.config_set("requirepass", "other")
        admin.client_kill_filter(_type="normal", skipme=True)

    return Outage(
        url=f"redis://:right@127.0.0.1:{server.port}", begin=begin, end=lambda: admin.config_set("requirepass", "right")
    )


def forbidding(command: str) -> Callable[[Servers], Outage]:
    def outage(servers: Servers) -> Outage:
        server = servers.start("--user", "service", "on", ">word", "~clip:*", "+@all")
        admin = servers.admin(server)

        def set_user(rule: str) -> None:
            admin.execute_command("ACL", "SETUSER", "service", rule)

        return Outage(
            url=f"redis://service:word@127.0.0.1:{server.port}",
            begin=lambda: set_user(f"-{command}"),
            end=lambda: set_user(f"+{command}"),
        )

    return outage


def showing_a_certificate_that_does_not_verify(servers: Servers) -> Outage:
    trusted = make_certificate(servers.folder, "trusted")
    make_certificate(servers.folder, "stranger")
    port = free_port()
    server = servers.start(*tls_options("trusted", port))

    def restart(name: str) -> None:
        server.stop()
        server.options = tls_options(name, port)
        server.start()

    return Outage(
        url=f"rediss://127.0.0.1:{port}?ssl_ca_certs={trusted}",
        begin=lambda: restart("stranger"),
        end=lambda: restart("trusted"),
    )


OUTAGES: dict[str, Callable[[Servers], Outage]] = {
    "is not there": not_there,
    "refuses connections": refusing_connections,
    "accepts and never answers": accepting_and_never_answering,
    "is killed in the middle of a request": killed_in_the_middle_of_a_request,
    "is slower than the budget": slower_than_the_budget,
    "answers one byte at a time": answering_one_byte_at_a_time,
    "is full": full,
    "becomes a read-only replica": become_a_read_only_replica,
    "has another password": with_another_password,
    "forbids reading": forbidding("mget"),
    "forbids writing": forbidding("set"),
    "shows a certificate that does not verify": showing_a_certificate_that_does_not_verify,
}
