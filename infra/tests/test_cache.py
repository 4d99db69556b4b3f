"""The store is small until it is used, lets in only the function, and lets it do only what it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis
from redis.exceptions import NoPermissionError

from infra.cache import STORE_RIGHTS
from infra.network import zone_numbers
from infra.tests.program import Recorded
from moderator.labels.store import LabelStore
from moderator.labels.store_client import connector
from moderator.settings import Settings
from support.harness import RedisServer, free_port

pytestmark = pytest.mark.slow


def test_the_store_is_a_serverless_valkey_in_the_private_network(defaults: Recorded) -> None:
    cache = defaults.inputs("aws:elasticache/serverlessCache:ServerlessCache")
    assert (cache["engine"], cache["majorEngineVersion"]) == ("valkey", "8")
    assert cache["subnetIds"] == ["subnet-clipprivateeuc1az2", "subnet-clipprivateeuc1az3"]
    assert cache["userGroupId"] == defaults.inputs("aws:elasticache/userGroup:UserGroup")["userGroupId"]


def test_only_maxima_are_set_because_a_minimum_is_billed(defaults: Recorded) -> None:
    limits = defaults.inputs("aws:elasticache/serverlessCache:ServerlessCache")["cacheUsageLimits"]
    assert limits == {"dataStorage": {"maximum": 1, "unit": "GB"}, "ecpuPerSeconds": [{"maximum": 5000}]}


def test_the_only_user_signs_in_with_iam_and_has_one_name(defaults: Recorded) -> None:
    user = defaults.inputs("aws:elasticache/user:User")
    assert user["authenticationMode"] == {"type": "iam"}
    assert user["userId"] == user["userName"] == "clip-video-moderator-dev"
    assert not {"passwords", "noPasswordRequired"} & user.keys()
    assert defaults.inputs("aws:elasticache/userGroup:UserGroup")["userIds"] == [user["userId"]]
    assert user["engine"] == defaults.inputs("aws:elasticache/userGroup:UserGroup")["engine"] == "valkey"


def test_the_function_may_connect_to_this_cache_as_this_user(defaults: Recorded) -> None:
    (statement,) = [one for one in defaults.statements() if one["Action"] == "elasticache:Connect"]
    assert statement["Resource"] == [
        "arn:aws:elasticache:eu-central-1:111122223333:ServerlessCache/clip",
        "arn:aws:elasticache:eu-central-1:111122223333:User/clip",
    ]


def test_the_function_is_told_how_to_sign_in_with_tls(defaults: Recorded) -> None:
    variables = defaults.inputs("aws:lambda/function:Function")["environment"]["variables"]
    assert variables["CACHE_URL"] == "rediss://clip.serverless.cache.amazonaws.com:6379"
    assert variables["CACHE_CLUSTER"] == "true"
    assert variables["CACHE_IAM_USER"] == defaults.inputs("aws:elasticache/user:User")["userId"]
    assert variables["CACHE_IAM_NAME"] == defaults.inputs("aws:elasticache/serverlessCache:ServerlessCache")["name"]
    assert defaults.exports["cacheEndpoint"] == "clip.serverless.cache.amazonaws.com:6379"


def test_every_embedding_has_a_time_to_live(run: Callable[[str], Recorded]) -> None:
    """A key without one is never evicted, and a full store refuses to write."""
    variables = run("defaults").inputs("aws:lambda/function:Function")["environment"]["variables"]
    assert int(variables["CACHE_TTL_SECONDS"]) == 30 * 24 * 3600


def test_the_store_in_other_zones_has_another_name(run: Callable[[str], Recorded]) -> None:
    """It is made before the one that it replaces is deleted, and a name exists once."""
    names = {
        run(configuration).inputs("aws:elasticache/serverlessCache:ServerlessCache")["name"]
        for configuration in ("defaults", "everything")
    }
    assert names == {"clip-video-moderator-dev-23", "clip-video-moderator-dev-123"}
    assert zone_numbers(["use1-az6", "use1-az2"]) == zone_numbers(["use1-az2", "use1-az6"]) == "26"


def test_the_stores_user_may_send_the_services_commands_and_no_other(server: RedisServer) -> None:
    """The service's own store over its cluster client, on a real server with this user's rights."""
    with redis.Redis(port=server.port) as administrator:
        administrator.config_resetstat()
        settings = Settings(cache_url=server.url.replace("//", "//store:any@"), cache_cluster=True)
        embedding = np.full(4, 0.5, np.float32)
        store = LabelStore(
            connector(settings, {}),
            fingerprint="f",
            embedding_size=4,
            ttl_seconds=60,
            budget_seconds=5,
            retry_seconds=5,
            log=logging.getLogger("store"),
        )
        store.write_or_raise({"a label": embedding}, 5)
        assert store.read_and_renew(["a label"], 5).keys() == {"a label"}
        allowance = store.allowance()
        assert store.read(["a label"], allowance).keys() == {"a label"}
        assert store.ping(allowance)
        sent = {name.removeprefix("cmdstat_") for name in administrator.info("commandstats")}
        assert not administrator.acl_log(), "a command was refused"
    allowed = {right.removeprefix("+") for right in STORE_RIGHTS.split() if right.startswith("+")}
    # One of the two says where a cluster's keys are, and the client chooses; replicas are read in a larger cluster.
    assert allowed - sent <= {"auth", "cluster|shards", "readonly"}
    assert sent - allowed <= {"info", "config|resetstat", "acl|log"}, "those of this test's own"


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "FLUSHDB",
        "KEYS *",
        "CONFIG GET *",
        "ACL LIST",
        "SHUTDOWN",
        "MGET other",
        "SET other 1",
        "EVAL 1 0",
        "SCAN 0",
        "RANDOMKEY",
        "FUNCTION LIST",
        "DBSIZE",
        "GET clip:{f}:1",
        "DEL clip:{f}:1",
        "CLIENT LIST",
        "CLUSTER INFO",
        "PUBLISH a b",
        "PING",
        "COPY clip:{f}:1 clip:{f}:2",
    ],
)
def test_the_stores_user_can_do_nothing_else(user: Any, command: str) -> None:
    node = user.get_default_node()
    with pytest.raises(NoPermissionError):
        user.execute_command(*command.split(), target_nodes=node)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A cluster of one real server, with a user that has the rights that the program gives the function."""
    rights = ["--user", "store", *STORE_RIGHTS.split(), "nopass"]
    as_cluster = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    server = RedisServer(tmp_path_factory.mktemp("store"), free_port(), [*as_cluster, *rights])
    server.start()
    try:
        with redis.Redis(port=server.port) as administrator:
            administrator.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            _wait_until(lambda: administrator.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def user(server: RedisServer) -> Iterator[Any]:
    """A client of that user's; `Any`, because redis-py's cluster client has no types."""
    client = redis.RedisCluster(host="127.0.0.1", port=server.port, username="store", password="any")
    yield client
    client.close()


def _wait_until(is_ready: Callable[[], bool]) -> None:
    for _ in range(200):
        if is_ready():
            return
        time.sleep(0.05)
    pytest.fail("redis-server did not become ready")
