"""The service signs in to its store as its IAM user, over TLS, with a token made for that connection."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import redis

from moderator.labels.store_client import Commands, connector
from moderator.settings import read_settings
from support.locked_store import KEYS, USER, LockedStore, locked_store
from support.pictures import as_base64, drawn, encoded
from support.server_process import server_process
from support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.slow

PICTURE = as_base64(encoded(drawn("red", "circle")))
LABELS = ["a red circle", "a blue square"]


@pytest.fixture(params=["plain", "cluster"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LockedStore]:
    """Both clients: the cluster's is the one in the cloud."""
    with locked_store(tmp_path, clustered=request.param == "cluster") as running:
        yield running


def test_the_service_signs_in_as_its_user_and_stores_and_reads_labels(store: LockedStore) -> None:
    """Whole processes, so that the second one has nothing but the store."""
    counts = []
    for _ in range(2):
        with server_process(store.folder, store.environment()) as running:
            reply = running.service.classify(image_data=PICTURE, labels=LABELS)
            assert reply.status == 200, reply.body
            counts.append(reply.label_cache)
            assert {client["user"] for client in store.clients()} == {USER}
            assert running.service.get("/health").json["store"] == {"state": "up"}
            assert not [value for value in KEYS.values() if value in running.log]
    assert counts == [
        {"precomputed": 0, "memory": 0, "store": 0, "computed": 2},
        {"precomputed": 0, "memory": 0, "store": 2, "computed": 0},
    ]
    assert [store.admin.ttl(key) > 0 for key in store.admin.keys()] == [True, True]  # noqa: SIM118  # a command


def test_without_credentials_requests_are_answered_all_the_same(store: LockedStore) -> None:
    environment = {**store.environment(), **dict.fromkeys(KEYS, "")}
    with server_process(store.folder, environment) as running:
        reply = running.service.classify(image_data=PICTURE, labels=LABELS)
        assert (reply.status, reply.label_cache) == (200, {"precomputed": 0, "memory": 0, "store": 0, "computed": 2})
        assert running.service.get("/health").status == 200
        assert "There are no AWS credentials" in running.log
    assert store.clients() == []


def test_a_store_that_knows_another_user_is_a_miss(store: LockedStore) -> None:
    with server_process(store.folder, {**store.environment(), "CACHE_IAM_USER": "somebody-else"}) as running:
        reply = running.service.classify(image_data=PICTURE, labels=LABELS)
        assert (reply.status, reply.label_cache) == (200, {"precomputed": 0, "memory": 0, "store": 0, "computed": 2})
    assert store.admin.dbsize() == 0


@pytest.mark.parametrize("store", ["plain"], indirect=True)
def test_each_connection_has_a_token_of_its_own_from_the_credentials_of_that_moment(store: LockedStore) -> None:
    """As after a snapshot is restored, or when an instance outlives its keys. A proxy reads what was sent."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(store.certificate, store.certificate.with_suffix(".key"))
    proxy = TcpProxy(store.server.port, tls)
    variables = store.environment(proxy.port)
    clock = [datetime(2027, 1, 1, tzinfo=UTC)]

    def ask(commands: Commands) -> None:
        assert commands.mget(["clip:a"]) == [None]

    with closing(proxy):
        connect = connector(read_settings(variables), variables, lambda: clock[0])
        client = connect(ask)
        variables |= {"AWS_ACCESS_KEY_ID": "AKIDROTATED", "AWS_SESSION_TOKEN": "another"}
        clock[0] += timedelta(hours=12, minutes=1)
        ask(client.commands)
        assert len(proxy.sent) == 1, "the connection outlives its token"
        store.close_all_connections()
        for _ in range(2):
            with pytest.raises(redis.ConnectionError, match="closed"):
                ask(client.commands)
        connect(ask).close()

    for sent in proxy.sent:
        assert b"MAINT_NOTIFICATIONS" not in sent, "ElastiCache does not know it"
    first, second = (_token(sent) for sent in proxy.sent)
    assert first["X-Amz-Credential"][0].startswith("AKIDEXAMPLE/")
    assert second["X-Amz-Credential"][0].startswith("AKIDROTATED/")
    assert (first["X-Amz-Date"], second["X-Amz-Date"]) == (["20270101T000000Z"], ["20270101T120100Z"])
    assert (first["X-Amz-Security-Token"], second["X-Amz-Security-Token"]) == (["session/+="], ["another"])
    assert first["X-Amz-Signature"] != second["X-Amz-Signature"]


def _token(sent: bytes) -> dict[str, list[str]]:
    """The token that a connection began with."""
    found = re.search(rb"AUTH\r\n\$\d+\r\n" + USER.encode() + rb"\r\n\$\d+\r\n(\S+)\r\n", sent)
    assert found, sent[:200]
    host, _, query = found[1].decode().partition("/?")
    assert host == USER
    return parse_qs(query, strict_parsing=True)
