"""S3 in memory, with the answers and the errors of boto3's client, as far as the worker asks it; and EventBridge's."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody

from moderator.jobs.requests import Requests

if TYPE_CHECKING:
    from moderator.jobs.clients import Clients


def refused(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


@dataclass
class ObjectStore:
    """Buckets by name, each with its objects by key."""

    buckets: dict[str, dict[str, bytes]]
    asked: Counter[str] = field(default_factory=Counter)
    bytes_read: int = 0
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    # By bucket and key; of a version, with a question mark and its id.
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    # What buckets with versions hold, by bucket and key, and by id; the newest is what the buckets have.
    versions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    # Told of each call about one object, before it is answered: what others do between two calls of a worker.
    meanwhile: Callable[[str, str], None] = field(default=lambda _bucket, _call: None)
    # By bucket and key: what nobody may look at.
    refuses: set[str] = field(default_factory=set)
    # Every so many reads or writes fail as S3 does when it is busy; 0 for none.
    fails_every: int = 0
    page: int = 1000  # names that a listing gives at once
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0

    def clients(self) -> Clients:
        """A worker's clients, which count nothing: they send no requests."""
        return cast("Clients", SimpleNamespace(s3=self, events=self, requests=Requests()))

    def upload(self, bucket: str, key: str, data: bytes, *, version: str = "") -> dict[str, Any]:
        """Put an object there as a stranger does, in place of another, or as a version; return the event of it."""
        self.buckets[bucket][key] = data
        found = {"key": key, "size": len(data), "etag": hashlib.md5(data).hexdigest()}  # noqa: S324 - S3's own
        if version:
            self.versions.setdefault(f"{bucket}/{key}", {})[version] = data
            found["version-id"] = version
        else:
            self.tags.pop(f"{bucket}/{key}", None)  # which were the other object's
        return {"detail": {"bucket": {"name": bucket}, "object": found}}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", **more: str) -> dict[str, Any]:
        self.meanwhile(Bucket, "get_object")
        self._may_fail("get")
        data = self._data(Bucket, Key, more.get("VersionId", ""))
        e_tag = f'"{hashlib.md5(data).hexdigest()}"'  # noqa: S324 - S3's own
        if more.get("IfMatch", e_tag) != e_tag:
            raise refused(412, "PreconditionFailed")
        answer: dict[str, Any] = {"ETag": e_tag, "Metadata": self.metadata.get(f"{Bucket}/{Key}", {})}
        if known := self.versions.get(f"{Bucket}/{Key}"):
            answer["VersionId"] = more.get("VersionId") or list(known)[-1]
        if Range:
            first, last = (int(number) for number in re.findall(r"\d+", Range))
            if first >= len(data):
                raise refused(416, "InvalidRange")
            answer["ContentRange"] = f"bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
            data = data[first : last + 1]
        self.bytes_read += len(data)
        return answer | {"Body": StreamingBody(io.BytesIO(data), len(data)), "ContentLength": len(data)}

    def head_object(self, *, Bucket: str, Key: str, VersionId: str = "") -> dict[str, Any]:
        self.meanwhile(Bucket, "head_object")
        self._may_fail("head")
        try:
            data = self._data(Bucket, Key, VersionId)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise refused(status, str(status)) from error  # an answer without a body names no error
        return {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "ContentLength": len(data)}  # noqa: S324 - S3's own

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any,
        Metadata: Any = None,
        IfMatch: str = "",
        IfNoneMatch: str = "",
        **_: str,
    ) -> None:
        self._may_fail("put")
        assert len(Key.encode()) <= 1024
        with self._lock:
            self._match(Bucket, Key, IfMatch)
            if IfNoneMatch and Key in self.buckets[Bucket]:
                raise refused(412, "PreconditionFailed")
            self.buckets[Bucket][Key] = Body if isinstance(Body, bytes) else Body.read()
            self.metadata[f"{Bucket}/{Key}"] = Metadata or {}

    def delete_object(self, *, Bucket: str, Key: str, IfMatch: str = "") -> None:
        with self._lock:
            self._match(Bucket, Key, IfMatch)
            self.buckets[Bucket].pop(Key, None)

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str,
        StartAfter: str = "",
        Delimiter: str = "",
        MaxKeys: int = 1000,
    ) -> dict[str, Any]:
        self.asked["list"] += 1
        keys = sorted(key for key in list(self.buckets[Bucket]) if key.startswith(Prefix) and key > StartAfter)
        if Delimiter:
            keys = [key for key in keys if Delimiter not in key.removeprefix(Prefix)]
        return {"Contents": [{"Key": key, "LastModified": datetime.now(UTC)} for key in keys[:MaxKeys]]}

    def get_paginator(self, _: str) -> ObjectStore:
        return self

    def paginate(self, **asked: str) -> Iterator[dict[str, Any]]:
        after = ""
        while True:
            page = self.list_objects_v2(**asked, StartAfter=after, MaxKeys=self.page)
            yield page
            if len(page["Contents"]) < self.page:
                return
            after = page["Contents"][-1]["Key"]

    def get_object_tagging(self, *, Bucket: str, Key: str, VersionId: str = "") -> dict[str, Any]:
        self.meanwhile(Bucket, "get_object_tagging")
        self._data(Bucket, Key, VersionId)
        return {"TagSet": self.tags.get(_tagged(Bucket, Key, VersionId), [])}

    def put_object_tagging(self, *, Bucket: str, Key: str, Tagging: dict[str, Any], VersionId: str = "") -> None:
        self.meanwhile(Bucket, "put_object_tagging")
        self._data(Bucket, Key, VersionId)
        self.tags[_tagged(Bucket, Key, VersionId)] = Tagging["TagSet"]

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.events += Entries
        return {"FailedEntryCount": 0, "Entries": []}

    def items(self, bucket: str, prefix: str = "") -> list[dict[str, Any]]:
        """What a distributed map finds by a listing."""
        found = sorted(self.buckets[bucket].items())
        return [
            {"Key": key, "Size": len(data), "Etag": f'"{hashlib.md5(data).hexdigest()}"'}  # noqa: S324 - S3's own
            for key, data in found
            if key.startswith(prefix)
        ]

    def _data(self, bucket: str, key: str, version: str) -> bytes:
        if f"{bucket}/{key}" in self.refuses:
            raise refused(403, "AccessDenied")
        if version:
            data = self.versions.get(f"{bucket}/{key}", {}).get(version)
        else:
            data = self.buckets.get(bucket, {}).get(key)
        if data is None:
            raise refused(404, "NoSuchVersion" if version else "NoSuchKey")
        return data

    def _match(self, bucket: str, key: str, e_tag: str) -> None:
        if not e_tag:
            return
        data = self.buckets[bucket].get(key)
        if data is None:
            raise refused(404, "NoSuchKey")
        if e_tag != f'"{hashlib.md5(data).hexdigest()}"':  # noqa: S324 - S3's own
            raise refused(412, "PreconditionFailed")

    def _may_fail(self, what: str) -> None:
        with self._lock:
            self._calls += 1
            self.asked[what] += 1
            fails = self.fails_every and self._calls % self.fails_every == 0
        if fails:
            # boto3 asks again by itself; what comes through is a connection that breaks.
            raise ReadTimeoutError(endpoint_url="https://s3")


def _tagged(bucket: str, key: str, version: str) -> str:
    return f"{bucket}/{key}" + (f"?{version}" if version else "")
