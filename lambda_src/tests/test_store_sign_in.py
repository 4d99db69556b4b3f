"""The service signs in to its store as its IAM user, over TLS, with a token that is made for the one connection."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import redis

from infra.cache import STORE_RIGHTS
from moderator.labels.store_client import connector
from moderator.settings import read_settings
from support.certificates import make_certificate, tls_options
from support.harness import RedisServer, free_port
from support.pictures import as_base64, drawn, encoded
from support.server_process import server_process
from support.tcp_proxy import TcpProxy

USER = "clip-video-moderator-dev"
PICTURE = as_base64(encoded(drawn("red", "circle")))
LABELS = ["a red circle", "a blue square"]
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret/+=", "AWS_SESSION_TOKEN": "session/+="}


@dataclass(frozen=True)
class LockedStore:
    """A store that nobody enters but the administrator and, with any token, the service's user with its own rights."""

    server: RedisServer
    admin: Any  # redis-py's answers are typed as asynchronous too
    folder: Path
    tls_port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.tls_port}?ssl_ca_certs={self.certificate}"

    def users(self) -> set[str]:
        """Who is connected, beside the administrator."""
        return {client["user"] for client in self.admin.client_list()} - {"admin"}


@pytest.fixture(params=["plain", "cluster"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LockedStore]:
    """Both clients: the cluster's is the one in the cloud."""
    clustered = request.param == "cluster"
    certificate, tls_port = make_certificate(tmp_path, "store"), free_port()
    # A cluster tells its clients which port to use: the one with TLS.
    as_cluster = ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--tls-cluster", "yes"]
    rights = ["--user", USER, "nopass", *STORE_RIGHTS.split()]
    admin_rights = ["--user", "admin", "on", ">word", "~*", "+@all"]
    options = [
        *tls_options("store", tls_port),
        *(as_cluster if clustered else []),
        "--user",
        "default",
        "off",
        *admin_rights,
        *rights,
    ]
    server = RedisServer(tmp_path, free_port(), options)
    server.start()
    try:
        with redis.Redis(port=server.port, username="admin", password="word") as admin:
            if clustered:
                admin.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                _wait_until_whole(admin)
            yield LockedStore(server, admin, tmp_path, tls_port, certificate)
    finally:
        server.stop()


def environment_of(store: LockedStore) -> dict[str, str]:
    return {
        "CACHE_URL": store.url,
        "CACHE_CLUSTER": str("--cluster-enabled" in store.server.options).lower(),
        "CACHE_IAM_USER": USER,
        "CACHE_IAM_NAME": USER,
        "CACHE_BUDGET_MS": "2000",
        "AWS_REGION": "eu-central-1",
        **KEYS,
    }


def test_the_service_signs_in_as_its_user_and_stores_and_reads_labels(store: LockedStore) -> None:
    """Whole processes, so that the second one has nothing but the store."""
    counts = []
    for _ in range(2):
        with server_process(store.folder, environment_of(store)) as running:
            reply = running.service.classify(image_data=PICTURE, labels=LABELS)
            assert reply.status == 200, reply.body
            counts.append(reply.label_cache)
            assert store.users() == {USER}
            assert running.service.get("/health").json["store"] == {"state": "up"}
            assert not [value for value in KEYS.values() if value in running.log]
    assert counts == [{"memory": 0, "store": 0, "computed": 2}, {"memory": 0, "store": 2, "computed": 0}]
    assert [store.admin.ttl(key) > 0 for key in store.admin.keys()] == [True, True]  # noqa: SIM118  # a command


def test_without_credentials_requests_are_answered_all_the_same(store: LockedStore) -> None:
    environment = {**environment_of(store), **dict.fromkeys(KEYS, "")}
    with server_process(store.folder, environment) as running:
        reply = running.service.classify(image_data=PICTURE, labels=LABELS)
        assert (reply.status, reply.label_cache) == (200, {"memory": 0, "store": 0, "computed": 2})
        assert running.service.get("/health").status == 200
        assert "There are no AWS credentials" in running.log
    assert store.users() == set()


def test_a_store_that_knows_another_user_is_a_miss(store: LockedStore) -> None:
    with server_process(store.folder, {**environment_of(store), "CACHE_IAM_USER": "somebody-else"}) as running:
        reply = running.service.classify(image_data=PICTURE, labels=LABELS)
        assert (reply.status, reply.label_cache) == (200, {"memory": 0, "store": 0, "computed": 2})
    assert store.admin.dbsize() == 0


@pytest.mark.parametrize("store", ["plain"], indirect=True)
def test_each_connection_has_a_token_of_its_own_from_the_credentials_of_that_moment(store: LockedStore) -> None:
    """As after a snapshot is restored, or an instance outlives its keys: what was sent, read on the way."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(store.certificate, store.certificate.with_suffix(".key"))
    proxy = TcpProxy(store.server.port, tls)
    variables = environment_of(store) | {
        "CACHE_URL": f"rediss://127.0.0.1:{proxy.port}?ssl_ca_certs={store.certificate}"
    }
    with closing(proxy), closing(connector(read_settings(variables), variables)(2.0)) as client:
        assert client.ping()
        variables |= {"AWS_ACCESS_KEY_ID": "AKIDROTATED", "AWS_SESSION_TOKEN": "another"}
        assert client.ping()
        assert len(proxy.sent) == 1, "the connection outlives its token"
        store.admin.client_kill_filter(_type="normal", skipme=True)
        assert client.ping()

    for sent in proxy.sent:
        assert b"MAINT_NOTIFICATIONS" not in sent, "ElastiCache does not know it"
    first, second = (_token(sent) for sent in proxy.sent)
    assert first["X-Amz-Credential"][0].startswith("AKIDEXAMPLE/")
    assert second["X-Amz-Credential"][0].startswith("AKIDROTATED/")
    assert (first["X-Amz-Security-Token"], second["X-Amz-Security-Token"]) == (["session/+="], ["another"])
    assert first["X-Amz-Signature"] != second["X-Amz-Signature"]


def _token(sent: bytes) -> dict[str, list[str]]:
    """The token that a connection began with."""
    found = re.search(rb"AUTH\r\n\$\d+\r\n" + USER.encode() + rb"\r\n\$\d+\r\n(\S+)\r\n", sent)
    assert found, sent[:200]
    host, _, query = found[1].decode().partition("/?")
    assert host == USER
    return parse_qs(query, strict_parsing=True)


def _wait_until_whole(admin: Any) -> None:
    for _ in range(200):
        if admin.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
            return
        time.sleep(0.05)
    raise AssertionError("the store did not become whole")
