"""Signs in to ElastiCache as an IAM user: a fresh, locally signed token for each connection, instead of a password.

The token is a presigned `connect` request, without its scheme.
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

from moderator.aws_request import AwsCredentials, NoCredentials, read_credentials, sign, stamp

# ElastiCache takes no longer one. Only the signing-in counts: the connection outlives its token.
TOKEN_SECONDS = 900

_SERVICE = "elasticache"


class IamCredentialProvider(CredentialProvider):
    """Answers redis-py with the user and a token that is signed at that moment.

    Nothing is kept from one connection to the next: a role's keys change, above all when an instance is restored from
    a snapshot, and a token lives for 15 minutes.
    """

    def __init__(
        self,
        *,
        cache_name: str,
        user: str,
        environment: Mapping[str, str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cache_name = cache_name.lower()
        self._user = user
        self._environment = environment
        self._now = now

    def get_credentials(self) -> tuple[str, str]:
        """Return the user's name and a token for one connection.

        Raises:
            redis.exceptions.AuthenticationError: the environment offers no credentials or no region; a failure of the
                store like any other, so that requests are answered without it.
        """
        region = self._environment.get("AWS_REGION")
        if not region:
            raise AuthenticationError("AWS_REGION is not set: the store's token is signed for a region.")
        try:
            credentials = read_credentials(self._environment)
        except NoCredentials as error:
            raise AuthenticationError(str(error)) from None
        token = sign_token(
            credentials=credentials,
            cache_name=self._cache_name,
            user=self._user,
            region=region,
            at=self._now(),
        )
        return self._user, token


def sign_token(*, credentials: AwsCredentials, cache_name: str, user: str, region: str, at: datetime) -> str:
    """Presign `connect` to a serverless cache: AWS Signature Version 4, in the query, good for TOKEN_SECONDS from `at`.

    `cache_name` is in lower case.
    """
    time = stamp(at)
    scope = f"{time[:8]}/{region}/{_SERVICE}/aws4_request"
    query = {
        "Action": "connect",
        "User": user,
        "ResourceType": "ServerlessCache",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(TOKEN_SECONDS),
        "X-Amz-SignedHeaders": "host",
    }
    if credentials.session_token:
        query["X-Amz-Security-Token"] = credentials.session_token
    canonical_query = urlencode(sorted(query.items()), quote_via=quote, safe="")

    # Method, path, query, the one header with its empty line, the headers' names, and the hash of an empty body.
    request = f"GET\n/\n{canonical_query}\nhost:{cache_name}\n\nhost\n{_sha256('')}"
    signature = sign(request, credentials=credentials, time=time, scope=scope)
    return f"{cache_name}/?{canonical_query}&X-Amz-Signature={signature}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
