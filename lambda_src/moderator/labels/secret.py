"""Reads the store's password from AWS Secrets Manager with each connection, so that it is in no variable.

A connection is made at the start and when one was lost, so the secret is read seldom, beyond what a request waits, and
one that was changed is found with the next connection. A plain call and not the Parameters and Secrets extension: that
is a layer, which images cannot have, and one process more in each instance.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from moderator.aws_request import NoCredentials, read_credentials, signed_headers

_SERVICE = "secretsmanager"
_TARGET = "secretsmanager.GetSecretValue"
_TIMEOUT_SECONDS = 3.0


class SecretCredentialProvider(CredentialProvider):
    """Answers redis-py with the user and the password that a secret holds at that moment.

    The secret is the password itself, or an object with `password` and, where nobody else is named, `username`, as AWS'
    own rotations write it.
    """

    def __init__(
        self,
        *,
        arn: str,
        user: str,
        url: str,
        environment: Mapping[str, str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the secret's ARN, and the address to ask it at, empty for that of the ARN's region."""
        self._arn = arn
        self._user = user
        self._url = url
        self._environment = environment
        self._now = now

    def get_credentials(self) -> tuple[str, str] | tuple[str]:
        """Give the user's name, where there is one, and the password for one connection.

        Raises:
            redis.exceptions.AuthenticationError: the secret cannot be read; a failure of the store like any other, so
                that requests are answered without it.
        """
        secret = self._read()
        user, password = self._user, secret
        if secret.lstrip().startswith("{"):
            try:
                held = json.loads(secret)
            except ValueError:  # a password may begin like this
                held = {}
            if isinstance(held.get("password"), str):
                password = held["password"]
                user = user or str(held.get("username") or "")
        return (user, password) if user else (password,)

    def _read(self) -> str:
        address = urlsplit(self._url or endpoint_of(self._arn))
        make = HTTPSConnection if address.scheme == "https" else HTTPConnection
        connection = make(address.hostname or "", address.port, timeout=_TIMEOUT_SECONDS)
        body = json.dumps({"SecretId": self._arn})
        try:
            connection.request("POST", "/", body, self._signed(address.netloc, body))
            response = connection.getresponse()
            answer = json.loads(response.read())
            if response.status != 200:
                raise AuthenticationError(
                    f"Secrets Manager does not give the store's password: {response.status} {_kind(answer)}."
                )
            return str(answer["SecretString"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            # What was answered may hold the password, so only the kind of error is told.
            raise AuthenticationError(
                f"Secrets Manager does not answer at {address.netloc}: {type(error).__name__}. A function in a network "
                "needs a way there: a NAT, or an endpoint (secretsEndpoint)."
            ) from None
        finally:
            connection.close()

    def _signed(self, host: str, body: str) -> dict[str, str]:
        """Return the headers of a signed request."""
        region = self._arn.split(":")[3]
        try:
            credentials = read_credentials(self._environment)
        except NoCredentials as error:
            raise AuthenticationError(str(error)) from None
        return signed_headers(
            {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-target": _TARGET},
            method="POST",
            path="/",
            body=body.encode(),
            service=_SERVICE,
            region=region,
            credentials=credentials,
            at=self._now(),
        )


def endpoint_of(arn: str) -> str:
    """Return where Secrets Manager is asked for a secret: in the secret's own region."""
    _, partition, _, region, _ = arn.split(":", 4)
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    return f"https://{_SERVICE}.{region}.{suffix}"


def _kind(answer: object) -> str:
    """Return the name of AWS' error, such as AccessDeniedException."""
    kind = answer.get("__type") if isinstance(answer, dict) else None
    return str(kind or "without a name").rpartition("#")[2]
