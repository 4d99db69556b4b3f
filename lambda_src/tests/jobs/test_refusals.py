"""Why an object cannot be read, in a sentence that says what to do; from S3's answers as botocore reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config

from moderator.errors import RequestError
from moderator.jobs.line import error_kind, is_final
from moderator.jobs.objects import Objects
from moderator.jobs.sources import Source
from support.object_store import ObjectStore

SOURCE = Source(bucket="pictures", key="a.png", e_tag="0" * 32, size=3 << 20)
DATA = bytes(1 << 20)


class Raw:
    """What urllib3 gives botocore."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, *_: object, **__: object) -> Any:
        return iter([self._data])

    def read(self, *_: object) -> bytes:
        return self._data

    def close(self) -> None:
        pass


@dataclass
class S3:
    """Answers all requests alike, in the words of AWS' documentation; `after` so many pieces of the object."""

    status: int
    error: str
    headers: Mapping[str, str] | None = None
    after: int = 0
    asked: int = 0

    def client(self) -> Any:
        client = boto3.client(
            "s3",
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register("before-send.s3", self._answer)
        return client

    def _answer(self, request: AWSRequest, **_: object) -> AWSResponse:
        self.asked += 1
        if self.asked <= self.after:
            headers = {"ETag": f'"{"0" * 32}"', "Content-Length": str(len(DATA)), "Content-Range": "bytes 0-1/3145728"}
            return AWSResponse(request.url, 206, headers, Raw(DATA))
        error = f"<Error>{self.error}<RequestId>4442587FB7D0A2F9</RequestId></Error>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'
        data = b"" if request.method == "HEAD" else body.encode()
        return AWSResponse(request.url, self.status, dict(self.headers or {}), Raw(data))


ARCHIVED = S3(
    403,
    "<Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage class</Message>"
    "<StorageClass>GLACIER</StorageClass>",
)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
DELETE_MARKER = S3(
    405,
    "<Code>MethodNotAllowed</Code><Message>The specified method is not allowed against this resource.</Message>"
    "<Method>GET</Method><ResourceType>DeleteMarker</ResourceType>",
    {"x-amz-delete-marker": "true", "x-amz-version-id": "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd", "Allow": "DELETE"},
)
GONE = S3(404, "<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a.png</Key>")
NO_BUCKET = S3(404, "<Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message>")
DENIED = S3(403, "<Code>AccessDenied</Code><Message>Access Denied</Message>")
OWN_KEY = S3(
    400,
    "<Code>InvalidRequest</Code><Message>The object was stored using a form of Server Side Encryption. The correct "
    "parameters must be provided to retrieve the object.</Message>",
)
KEY_IS_OFF = S3(
    400,
    "<Code>KMS.DisabledException</Code><Message>arn:aws:kms:eu-central-1:111122223333:key/1 is disabled.</Message>",
)
BUSY = S3(503, "<Code>SlowDown</Code><Message>Please reduce your request rate.</Message>")


@pytest.mark.parametrize(
    ("s3", "kind", "words", "requests"),
    [
        (ARCHIVED, "object-archived", "in an archive (GLACIER): restore it, then run the job again", 1),
        (DELETE_MARKER, "object-gone", "a delete marker", 1),
        (GONE, "object-gone", "deleted after it was listed", 1),
        (NO_BUCKET, "object-gone", "no such bucket", 1),
        (DENIED, "object-refused", "give the worker's role this bucket, and its KMS key where it has one", 1),
        (OWN_KEY, "object-refused", "The correct parameters must be provided", 1),
        (KEY_IS_OFF, "object-refused", "key/1 is disabled", 1),
        (BUSY, "object-unreadable", "S3 failed 4 times (SlowDown): run the job again", 4),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_what_is_to_be_done_about_it(s3: S3, kind: str, words: str, requests: int) -> None:
    with pytest.raises(RequestError) as refused:
        Objects(s3.client(), max_bytes=4 << 20).read_start(SOURCE)
    assert error_kind({"error": refused.value.problem()}) == kind
    assert words in refused.value.detail
    assert s3.asked == requests, "what will not be otherwise is not asked again"
    if s3 is not DENIED:
        assert "role" not in refused.value.detail, "that is the advice for another trouble"


def test_a_video_that_is_replaced_while_it_is_read_has_changed() -> None:
    replaced = S3(
        412,
        "<Code>PreconditionFailed</Code>"
        "<Message>At least one of the pre-conditions you specified did not hold</Message>"
        "<Condition>If-Match</Condition>",
        after=1,
    )
    file = Objects(replaced.client(), max_bytes=1).open(SOURCE, max_bytes=10 << 20)
    assert file.read(1 << 20) == DATA
    with pytest.raises(RequestError, match="replaced while it was read") as refused:
        file.read(1)
    assert error_kind({"error": refused.value.problem()}) == "object-changed"


def test_a_video_that_was_replaced_before_it_is_opened_is_not_judged_under_the_old_bytes_name() -> None:
    """One of a single piece too: a line would say of the old bytes what is true of the new ones."""
    store = ObjectStore({"pictures": {"a.mp4": b"old"}})
    objects = Objects(store, max_bytes=100)
    found, _ = objects.read_start(Source(bucket="pictures", key="a.mp4"))
    store.upload("pictures", "a.mp4", b"new")
    with pytest.raises(RequestError, match="replaced while it was read"):
        objects.open(found, max_bytes=100).read(1)


@pytest.mark.parametrize("kind", ["archived", "changed"])
def test_another_run_tries_what_was_about_the_moment_again(kind: str) -> None:
    assert not is_final({"error": {"type": f"urn:clip-video-moderator:problem:object-{kind}"}})
