"""Reads pictures from the buckets in S3 that the owner has named, for requests that give a place instead of a picture.

Nothing else is ever fetched. The function's role needs `s3:GetObject` there, and its network a way to S3.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import quote, urlsplit

from moderator.aws_request import NoCredentials, read_credentials, signed_headers
from moderator.errors import InvalidField, RequestError, TooMuch

_TIMEOUT_SECONDS = 5.0
_LONGEST_NAME = 1024  # bytes of a key, S3's own limit


class UnreadableObject(InvalidField):
    """The bucket is not one that is read here, or the object is not there, or may not be read."""


class BucketsUnreachable(RequestError):
    """S3 did not answer, or not in time."""

    status: ClassVar[HTTPStatus] = HTTPStatus.SERVICE_UNAVAILABLE
    title: ClassVar[str] = "The picture's bucket cannot be reached"


class Buckets:
    """Reads objects with the keys of the function's role."""

    def __init__(
        self,
        names: Collection[str],
        *,
        most_bytes: int,
        environment: Mapping[str, str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the buckets' names and the most bytes that an object may have.

        `AWS_REGION` and the keys come from `environment`; AWS_ENDPOINT_URL_S3, which AWS' own SDKs read too, is where
        something else stands in for S3.
        """
        self._names = names
        self._most_bytes = most_bytes
        self._environment = environment
        self._now = now

    def read(self, field: str, *, bucket: str, name: str, version: str | None = None) -> bytes:
        """Read the object that `field` of a request names.

        Raises:
            UnreadableObject: it is in another bucket, is not there, or may not be read.
            TooMuch: it has more bytes than a request may have.
            BucketsUnreachable: S3 does not answer.
        """
        if bucket not in self._names:
            known = ", ".join(sorted(self._names)) or "none (READ_BUCKETS)"
            raise UnreadableObject(f"{field} is in a bucket that is not read here: those that are: {known}.")
        if not name or len(name.encode("utf-8", "replace")) > _LONGEST_NAME or not _is_text(name):
            raise UnreadableObject(f"{field} has a name that is empty, too long, or not text.")
        try:
            status, data, kind = self._get(bucket, name, version)
        except (OSError, NoCredentials) as error:
            raise BucketsUnreachable(f"S3 does not answer ({type(error).__name__}): ask again.") from error
        if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            if len(data) > self._most_bytes:
                raise TooMuch(f"{field} has more than {self._most_bytes:,} bytes: no more are read.")
            return data
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # of an empty object
            return b""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise BucketsUnreachable(f"S3 does not give the object now ({status} {kind}): ask again.")
        raise UnreadableObject(
            f"{field} cannot be read ({status} {kind}): it must be there, in this service's region, and its role "
            "must be allowed to read it."
        )

    def _get(self, bucket: str, name: str, version: str | None) -> tuple[int, bytes, str]:
        from http.client import HTTPConnection, HTTPException, HTTPSConnection  # here: few services read buckets

        region = self._environment.get("AWS_REGION", "us-east-1")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        address = urlsplit(self._environment.get("AWS_ENDPOINT_URL_S3") or f"https://s3.{region}.{suffix}")
        # The bucket in the path and not in the host: a name with a dot would not fit S3's certificate.
        path = f"/{bucket}/{quote(name, safe='/~')}"
        query = f"versionId={quote(version, safe='')}" if version else ""
        headers = signed_headers(
            {"host": address.netloc, "range": f"bytes=0-{self._most_bytes}"},
            method="GET",
            path=path,
            query=query,
            service="s3",
            region=region,
            credentials=read_credentials(self._environment),
            at=self._now(),
        )
        make = HTTPSConnection if address.scheme == "https" else HTTPConnection
        connection = make(address.hostname or "", address.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", f"{path}{'?' if query else ''}{query}", headers=headers)
            response = connection.getresponse()
            data = response.read(self._most_bytes + 1)
        except HTTPException as error:
            raise ConnectionError(f"S3's answer is broken: {error!r}") from error
        finally:
            connection.close()
        # S3's errors are short documents in XML; of them only the name is told.
        code = re.search(rb"<Code>(\w{1,60})</Code>", data[:2000]) if response.status >= 300 else None
        return response.status, data, code[1].decode() if code else "without a name"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
