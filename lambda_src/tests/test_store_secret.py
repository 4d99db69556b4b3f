"""The service signs in to a store of one's own by a password that it reads from Secrets Manager, and keeps nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import redis
from redis.exceptions import AuthenticationError

from moderator.errors import ConfigurationError
from moderator.labels.secret import SecretCredentialProvider, endpoint_of
from moderator.labels.store_client import Commands, connector
from moderator.settings import read_settings
from support.certificates import make_certificate
from support.harness import RedisServer, free_port
from support.pictures import as_base64, drawn, encoded
from support.secrets_manager import ARN, KEYS, SecretsManager, secrets_manager
from support.server_process import server_process

pytestmark = pytest.mark.slow

PICTURE = as_base64(encoded(drawn("red", "circle")))
LABELS = ["a red circle", "a blue square"]
PASSWORD = "correct horse {battery} staple"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real server that lets in nobody without the password, or the user `clip` with hers."""
    options = ["--requirepass", PASSWORD, "--user", "clip", "on", ">hers", "~clip:*", "+@all"]
    server = RedisServer(tmp_path_factory.mktemp("store"), free_port(), options)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def manager() -> Iterator[SecretsManager]:
    with secrets_manager(PASSWORD) as running:
        yield running


def variables(store: RedisServer, manager: SecretsManager, **more: str) -> dict[str, str]:
    return {"CACHE_URL": store.url, **manager.environment(), **more}


def ask(commands: Commands) -> None:
    assert commands.mget(["clip:{none}:a"]) == [None]


def who(client: Any) -> str:
    return str(client.commands.acl_whoami())


def test_the_service_reads_the_password_and_stores_and_reads_labels(
    store: RedisServer, manager: SecretsManager, tmp_path: Path
) -> None:
    """Whole processes, so that the second one has nothing but the store."""
    counts = []
    for _ in range(2):
        with server_process(tmp_path, variables(store, manager)) as running:
            reply = running.service.classify(image_data=PICTURE, labels=LABELS)
            assert reply.status == 200, reply.body
            counts.append(reply.label_cache)
            assert running.service.get("/health").json["store"] == {"state": "up"}
            assert not [word for word in (PASSWORD, *KEYS.values()) if word in running.log]
            environment = Path(f"/proc/{running.process.pid}/environ").read_text()
            assert PASSWORD not in environment
    assert (manager.reads, manager.refused) == (2, [])
    assert [count["store"] for count in counts] == [0, 2]


@pytest.mark.parametrize(
    ("secret", "user", "expected"),
    [
        (PASSWORD, "", "default"),
        ("hers", "clip", "clip"),
        (json.dumps({"username": "clip", "password": "hers"}), "", "clip"),
        (json.dumps({"username": "somebody", "password": "hers", "host": "elsewhere"}), "clip", "clip"),
        (json.dumps({"password": PASSWORD}), "", "default"),
    ],
)
def test_the_secret_is_the_password_or_what_awss_rotations_write(
    store: RedisServer, manager: SecretsManager, secret: str, user: str, expected: str
) -> None:
    manager.secret = secret
    environment = variables(store, manager, CACHE_USER=user)
    client = connector(read_settings(environment), environment)(ask)
    assert who(client) == expected
    client.close()


def test_a_changed_password_is_found_with_the_next_connection(store: RedisServer, manager: SecretsManager) -> None:
    manager.secret = "hers"
    environment = variables(store, manager, CACHE_USER="clip")
    connect = connector(read_settings(environment), environment)
    first = connect(ask)
    with redis.Redis(port=store.port, password=PASSWORD) as admin:
        admin.acl_setuser("clip", enabled=True, reset_passwords=True, passwords=["+anew"])
        try:
            with pytest.raises(AuthenticationError):
                connect(ask)
            manager.secret = "anew"
            second = connect(ask)
            assert who(second) == "clip"
            second.close()
        finally:
            admin.acl_setuser("clip", enabled=True, reset_passwords=True, passwords=["+hers"])
    first.close()


def test_without_the_secret_requests_are_answered_all_the_same(
    store: RedisServer, manager: SecretsManager, tmp_path: Path
) -> None:
    manager.refuses = (400, "AccessDeniedException")
    with server_process(tmp_path, variables(store, manager)) as running:
        reply = running.service.classify(image_data=PICTURE, labels=LABELS)
        assert (reply.status, reply.label_cache["computed"]) == (200, 2)
        assert "Secrets Manager does not give the store's password: 400 AccessDeniedException." in running.log
        assert PASSWORD not in running.log


def provider(url: str, arn: str = ARN) -> SecretCredentialProvider:
    return SecretCredentialProvider(arn=arn, user="", url=url, environment=KEYS)


def test_where_no_way_leads_to_secrets_manager_the_error_says_what_is_needed() -> None:
    with pytest.raises(AuthenticationError, match="needs a way there: a NAT, or an endpoint"):
        provider(f"http://127.0.0.1:{free_port()}").get_credentials()


def test_it_is_asked_by_tls_and_only_under_a_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path, "manager")
    with secrets_manager(PASSWORD, certificate) as manager:
        with pytest.raises(AuthenticationError, match=r"does not answer .* SSLCertVerificationError"):
            provider(manager.url).get_credentials()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert provider(manager.url).get_credentials() == (PASSWORD,)
        assert manager.reads == 1


@pytest.mark.parametrize(
    ("partition", "region"), [("aws", "eu-central-1"), ("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1")]
)
def test_it_is_asked_where_botocore_would_ask(partition: str, region: str) -> None:
    client = botocore.session.Session().create_client("secretsmanager", region_name=region)
    assert (
        endpoint_of(f"arn:{partition}:secretsmanager:{region}:111122223333:secret:a-AbCdEf") == client.meta.endpoint_url
    )


@pytest.mark.parametrize("secret", ["{no json", "[1]", '{"user": "x"}'])
def test_a_password_may_look_like_anything(manager: SecretsManager, secret: str) -> None:
    manager.secret = secret
    assert provider(manager.url).get_credentials() == (secret,)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"CACHE_CREDENTIALS_ARN": "mine"}, "CACHE_CREDENTIALS_ARN is 'mine': it must be the ARN of a secret"),
        ({"CACHE_URL": ""}, "CACHE_CREDENTIALS_ARN needs CACHE_URL"),
        ({"CACHE_URL": "redis://:word@host"}, "so CACHE_URL must have none"),
        ({"CACHE_CREDENTIALS_ARN": ""}, "CACHE_USER needs CACHE_CREDENTIALS_ARN"),
        ({"CACHE_CREDENTIALS_URL": "http://elsewhere"}, "it must start with https://"),
        (
            {"CACHE_IAM_USER": "me", "CACHE_IAM_NAME": "it", "CACHE_URL": "rediss://host"},
            "CACHE_CREDENTIALS_ARN and CACHE_IAM_USER exclude each other",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        read_settings({"CACHE_URL": "redis://host", "CACHE_CREDENTIALS_ARN": ARN, "CACHE_USER": "clip", **change})
