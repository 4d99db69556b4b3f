"""Who asks: what a request needs to be let in, by the stack's setting `auth`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from tools.measure.trouble import Trouble

# https://API.execute-api.REGION.amazonaws.com, and a function's own URL, whose service is another one.
_AWS_HOST = re.compile(r"\.(execute-api|lambda-url)\.([a-z0-9-]+)\.")


# Method, URL, body and headers -> the headers, with those that let the request in.
Sign = Callable[[str, str, bytes, Mapping[str, str]], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Access:
    """Lets a request in, and says what a refusal can mean."""

    sign: Sign
    refused: str


EVERYBODY = Access(
    sign=lambda _method, _url, _body, headers: dict(headers),
    refused="the API asks who calls: give TOKEN=, or AUTH=iam with AWS credentials",
)


def bearer(token: str) -> Access:
    """Return `auth: token` and `auth: jwt`."""
    return Access(
        sign=lambda _method, _url, _body, headers: {**headers, "Authorization": f"Bearer {token}"},
        refused="the API does not know this TOKEN=, or it has expired",
    )


def signed(credentials: Any, service: str, region: str) -> Access:
    """Return `auth: iam`: AWS' signature, version 4; the credentials are read each time, because a role's change."""

    def sign(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
        SigV4Auth(credentials.get_frozen_credentials(), service, region).add_auth(request)
        return dict(request.headers.items())

    return Access(
        sign=sign,
        refused="the credentials lack execute-api:Invoke, are for another account, or this machine's clock is wrong; "
        "with a setting `auth` other than iam, give TOKEN= or AUTH=none",
    )


def access_to(url: str, auth: str, token: str) -> Access:
    """Choose by what was given; without `auth`, a token is used, and AWS' own addresses are signed for.

    Raises:
        Trouble: it needs something that is not there.
    """
    host = _AWS_HOST.search(urlsplit(url).hostname or "")
    chosen = auth or ("token" if token else "iam" if host else "none")
    if chosen == "none":
        return EVERYBODY
    if chosen in ("token", "jwt"):
        if not token:
            whose = "one of the stack's tokens" if chosen == "token" else "a token of the stack's issuer"
            raise Trouble(f"AUTH={chosen} needs TOKEN=, {whose}.")
        return bearer(token)
    if chosen != "iam":
        raise Trouble(f"AUTH={auth} is not known: it is iam, token, jwt or none, as the stack's setting `auth`.")
    try:
        session = Session()
        credentials = session.get_credentials()
    except BotoCoreError as error:
        raise Trouble(f"There are no AWS credentials to sign with: {error}.") from error
    if credentials is None:
        raise Trouble("There are no AWS credentials to sign with: sign in as for AWS' command line, or give TOKEN=.")
    return signed(credentials, host[1].replace("lambda-url", "lambda") if host else "execute-api", region_of(url))


def region_of(url: str) -> str:
    """Return the region of an address of AWS, or else the one that AWS' command line would take.

    Raises:
        Trouble: neither says one.
    """
    host = _AWS_HOST.search(urlsplit(url).hostname or "")
    # botocore itself reads AWS_DEFAULT_REGION only; Lambda and the other SDKs know the shorter name.
    region = host[2] if host else os.environ.get("AWS_REGION") or Session().get_config_variable("region")
    if not region:
        raise Trouble("The address does not tell the region: set AWS_REGION, such as AWS_REGION=eu-central-1.")
    return str(region)
