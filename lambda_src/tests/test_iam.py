"""Signing in to the store: every token is held to botocore's own signature."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from redis.exceptions import AuthenticationError

from moderator.aws_request import AwsCredentials, read_credentials
from moderator.labels.iam import IamCredentialProvider, sign_token
from support.harness import RedisServer, free_port

# Characters that a query must escape stand in every part.
SESSION_TOKEN = "IQoJb3JpZ2lu/EXAMPLE+token=="
KEYS = AwsCredentials(access_key="AKIDEXAMPLE", secret_key="wJalr/EXAMPLE+KEY", session_token=SESSION_TOKEN)
VARIABLES = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": KEYS.access_key,
    "AWS_SECRET_ACCESS_KEY": KEYS.secret_key,
    "AWS_SESSION_TOKEN": SESSION_TOKEN,
}
AT = datetime(2026, 2, 28, 23, 59, 58, tzinfo=UTC)


def botocore_token(
    monkeypatch: pytest.MonkeyPatch, *, keys: AwsCredentials, cache_name: str, user: str, region: str
) -> str:
    """The same token, computed by botocore at AT."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: AT.replace(tzinfo=None))
    request = AWSRequest(
        method="GET",
        url=f"https://{cache_name}/",
        params={"Action": "connect", "User": user, "ResourceType": "ServerlessCache"},
    )
    credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token or None)
    SigV4QueryAuth(credentials, "elasticache", region, expires=900).add_auth(request)
    return str(request.url).removeprefix("https://")


@pytest.mark.parametrize("session_token", [SESSION_TOKEN, ""])
@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1"])
@pytest.mark.parametrize("user", ["clip-video-moderator-dev", "a user/with=odd&characters"])
def test_the_signature_is_the_one_that_botocore_computes(
    monkeypatch: pytest.MonkeyPatch, session_token: str, region: str, user: str
) -> None:
    keys = AwsCredentials(access_key=KEYS.access_key, secret_key=KEYS.secret_key, session_token=session_token)
    ours = urlsplit("//" + sign_token(credentials=keys, cache_name="clip-dev", user=user, region=region, at=AT))
    theirs = urlsplit("//" + botocore_token(monkeypatch, keys=keys, cache_name="clip-dev", user=user, region=region))
    assert (ours.netloc, ours.path) == (theirs.netloc, theirs.path) == ("clip-dev", "/")
    assert parse_qs(ours.query, strict_parsing=True) == parse_qs(theirs.query, strict_parsing=True)


def test_a_token_names_the_cache_the_user_and_how_long_it_lives() -> None:
    user, token = provider(VARIABLES).get_credentials()
    assert user == "moderator-dev"
    assert token.startswith("clip-dev/?"), "the host is the cache's name in lower case, without a scheme"
    query = {key: values[0] for key, values in parse_qs(token.split("?")[1], strict_parsing=True).items()}
    assert query["Action"] == "connect"
    assert query["User"] == "moderator-dev"
    assert query["ResourceType"] == "ServerlessCache"
    assert query["X-Amz-Expires"] == "900"
    assert query["X-Amz-Date"] == "20260228T235958Z"
    assert query["X-Amz-Credential"] == "AKIDEXAMPLE/20260228/eu-central-1/elasticache/aws4_request"
    assert query["X-Amz-Security-Token"] == SESSION_TOKEN


def test_the_time_is_signed_in_utc() -> None:
    """A clock in another zone must not make a token that is hours old."""
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert sign_token(
        credentials=KEYS, cache_name="clip-dev", user="u", region="eu-central-1", at=elsewhere
    ) == sign_token(credentials=KEYS, cache_name="clip-dev", user="u", region="eu-central-1", at=AT)


def test_credentials_that_change_between_two_connections_are_used() -> None:
    environment = dict(VARIABLES)
    credentials = provider(environment)
    first = credentials.get_credentials()[1]
    environment |= {"AWS_ACCESS_KEY_ID": "AKIDROTATED", "AWS_SECRET_ACCESS_KEY": "another", "AWS_SESSION_TOKEN": "new"}
    second = credentials.get_credentials()[1]
    assert "AKIDEXAMPLE" in first
    assert "AKIDROTATED" in second
    assert second == sign_token(
        credentials=AwsCredentials(access_key="AKIDROTATED", secret_key="another", session_token="new"),
        cache_name="clip-dev",
        user="moderator-dev",
        region="eu-central-1",
        at=AT,
    )


def test_with_snapstart_the_credentials_come_from_the_address_on_this_host(keys_server: KeysServer) -> None:
    for key in ("AKIDONE", "AKIDTWO"):
        keys_server.answer = {"AccessKeyId": key, "SecretAccessKey": "secret", "Token": "token", "Expiration": "x"}
        assert read_credentials(keys_server.variables) == AwsCredentials(
            access_key=key, secret_key="secret", session_token="token"
        )
    assert keys_server.asked == [("/credentials?v=1", "a-token")] * 2


def test_credentials_are_never_shown() -> None:
    assert KEYS.secret_key not in repr(KEYS)
    assert SESSION_TOKEN not in repr(KEYS)


@pytest.mark.parametrize("answer", [{"message": "a-secret-key"}, ["a-secret-key"], None, "a-secret-key"])
def test_an_address_that_answers_without_keys_is_a_failure_of_the_store(
    keys_server: KeysServer, answer: object
) -> None:
    keys_server.answer = answer
    with pytest.raises(AuthenticationError, match="No AWS credentials from") as error:
        provider(keys_server.variables).get_credentials()
    assert "a-secret-key" not in str(error.value)


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({}, "AWS_REGION"),
        ({"AWS_REGION": "eu-central-1"}, "AWS_ACCESS_KEY_ID"),
        (
            {"AWS_REGION": "eu-central-1", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.org/credentials"},
            "on this host",
        ),
        (
            {"AWS_REGION": "eu-central-1", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/credentials"},
            "ConnectionRefusedError",
        ),
    ],
)
def test_missing_credentials_are_a_failure_of_the_store_that_says_what_is_missing(
    environment: dict[str, str], complaint: str
) -> None:
    with pytest.raises(AuthenticationError, match=complaint):
        provider(environment).get_credentials()


def test_redis_py_asks_for_a_token_for_each_connection(redis_port: int) -> None:
    asked: list[str] = []
    credentials = provider(VARIABLES, user="iam-user")
    sign = credentials.get_credentials
    credentials.get_credentials = lambda: asked.append("") or sign()  # type: ignore[method-assign, func-returns-value]

    with redis.Redis(host="127.0.0.1", port=redis_port, credential_provider=credentials) as client:
        assert client.execute_command("ACL", "WHOAMI") == b"iam-user"
        client.connection_pool.disconnect()
        assert client.execute_command("ACL", "WHOAMI") == b"iam-user"
    assert len(asked) == 2


def provider(environment: dict[str, str], *, user: str = "moderator-dev") -> IamCredentialProvider:
    return IamCredentialProvider(cache_name="CLIP-dev", user=user, environment=environment, now=lambda: AT)


class KeysServer:
    """Lambda's address for credentials, as SnapStart has it."""

    def __init__(self) -> None:
        self.answer: object = {}
        self.asked: list[tuple[str, str | None]] = []
        keys = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.asked.append((self.path, self.headers["Authorization"]))
                body = json.dumps(keys.answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep the test's output quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.variables = {
            "AWS_REGION": "eu-central-1",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self.server.server_port}/credentials?v=1",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a-token",
        }


@pytest.fixture
def keys_server() -> Iterator[KeysServer]:
    keys = KeysServer()
    thread = threading.Thread(target=keys.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield keys
    keys.server.shutdown()
    thread.join()
    keys.server.server_close()


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """A real server whose user `iam-user` may come in with any token."""
    server = RedisServer(tmp_path, free_port(), ["--user", "iam-user", "on", "nopass", "~*", "+@all"])
    server.start()
    yield server.port
    server.stop()
