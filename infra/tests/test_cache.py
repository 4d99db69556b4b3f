"""The store is small until it is used, lets in only the function, and lets it do only what it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from infra.cache import STORE_RIGHTS
from infra.tests.program import Recorded
from support.harness import RedisServer, free_port


def test_the_store_is_a_serverless_valkey_in_the_private_network(defaults: Recorded) -> None:
    cache = defaults.inputs("aws:elasticache/serverlessCache:ServerlessCache")
    assert (cache["engine"], cache["majorEngineVersion"]) == ("valkey", "8")
    assert cache["subnetIds"] == ["clip-private-0-id", "clip-private-1-id"]
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


def test_the_stores_user_can_do_what_the_service_does_through_a_cluster_client(user: Any) -> None:
    """A real server with this user's rights: the service's commands pass."""
    keys = ["clip:{f}:1", "clip:{f}:2"]
    pipeline = user.pipeline()
    for key in keys:
        pipeline.set(key, b"embedding", ex=60)
    pipeline.execute()
    assert user.mget(keys) == [b"embedding", b"embedding"]
    assert user.expire(keys[0], 90)
    assert user.getex(keys[1], ex=90) == b"embedding"
    assert user.ping()


@pytest.mark.parametrize(
    "command",
    ["FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "ACL LIST", "SHUTDOWN", "GET other", "SET other 1", "EVAL 1 0"],
)
def test_the_stores_user_can_do_nothing_else(user: Any, command: str) -> None:
    node = user.get_default_node()
    with pytest.raises(NoPermissionError):
        user.execute_command(*command.split(), target_nodes=node)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of one real server, as a user with the rights that the program gives the function.

    `Any`, because redis-py's cluster client has no types.
    """
    rights = ["--user", "store", *STORE_RIGHTS.split(), "nopass"]
    as_cluster = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    server = RedisServer(tmp_path_factory.mktemp("store"), free_port(), [*as_cluster, *rights])
    server.start()
    try:
        with redis.Redis(port=server.port) as administrator:
            administrator.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            _wait_until(lambda: administrator.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        client = redis.RedisCluster(host="127.0.0.1", port=server.port, username="store", password="any")
        yield client
        client.close()
    finally:
        server.stop()


def _wait_until(is_ready: Callable[[], bool]) -> None:
    for _ in range(200):
        if is_ready():
            return
        time.sleep(0.05)
    pytest.fail("redis-server did not become ready")
