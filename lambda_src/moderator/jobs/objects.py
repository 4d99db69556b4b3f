"""Reads objects of S3: whole ones up to a limit, and large ones piece by piece, as `object_file.py` asks for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from moderator.errors import TooMuch
from moderator.jobs.object_errors import patiently
from moderator.jobs.object_file import ObjectFile
from moderator.jobs.sources import Source
from moderator.jobs.video_kind import is_video

# What tells a picture from a video.
HEAD_BYTES = 64


class Objects:
    """Reads from S3 by a client of boto3's, which may be used by several threads."""

    def __init__(self, s3: Any, *, max_bytes: int) -> None:
        self._s3 = s3
        self.max_bytes = max_bytes

    def e_tag(self, source: Source) -> str:
        """Return the ETag of the bytes that are there now, without reading any; archived objects have one too.

        Raises:
            RequestError: S3 does not say.
        """
        e_tag: str = patiently(lambda: self._s3.head_object(**source.as_asked())["ETag"])
        return e_tag.strip('"')

    def read_start(self, source: Source, *, before: Callable[[int], None] = lambda _: None) -> tuple[Source, bytes]:
        """Read all bytes of a picture up to the limit, of a larger one, or a video, the first; by one request, mostly.

        `before` is told how many bytes come, before they are read: it may wait. Return the source with the ETag,
        version and size that S3 tells, and the bytes.

        Raises:
            RequestError: the object cannot be read.
        """
        is_large = source.size is not None and source.size > self.max_bytes
        found, data = self._range(source, 0, HEAD_BYTES if is_large else self.max_bytes, before=before)
        if is_large and found.size is not None and HEAD_BYTES < found.size <= self.max_bytes:
            return self._range(found, 0, self.max_bytes, before=before)  # it is smaller than it was when it was listed
        return found, data

    def check(self, source: Source) -> None:
        """Refuse an object over the limit.

        Raises:
            TooMuch: as it says.
        """
        if source.size is not None and source.size > self.max_bytes:
            raise TooMuch(f"The object has {source.size:,} bytes: at most {self.max_bytes:,} are allowed.")

    def open(self, source: Source, *, max_bytes: int) -> ObjectFile:
        """Open the object, as `read_start` has found it, as a file of which at most `max_bytes` are ever read.

        Reading raises ObjectChanged where it is not the same any more: pieces of two different objects make no video.
        """

        def read(start: int, length: int) -> bytes:
            return self._range(source, start, length, e_tag=source.e_tag)[1]

        return ObjectFile(read, source.size or 0, max_bytes)

    def _range(
        self,
        source: Source,
        start: int,
        length: int,
        *,
        before: Callable[[int], None] | None = None,
        e_tag: str | None = None,
    ) -> tuple[Source, bytes]:
        """Read a range, only of an object with the ETag, if one is given.

        With `before`, who wants all of an object that is over the limit, or a video, gets its first bytes.
        """
        asked = source.as_asked() | {"Range": f"bytes={start}-{start + length - 1}"}
        if e_tag:
            asked["IfMatch"] = f'"{e_tag}"'
        return patiently(lambda: self._get(source, asked, before))

    def _get(self, source: Source, asked: dict[str, Any], before: Callable[[int], None] | None) -> tuple[Source, bytes]:
        from botocore.exceptions import ClientError

        try:
            answer = self._s3.get_object(**asked)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRange":
                raise
            # An empty object has no first byte.
            answer = self._s3.get_object(**{name: value for name, value in asked.items() if name != "Range"})
        # botocore's body, as a context, would give urllib3's in its place, whose breaking off nobody would notice.
        with closing(answer["Body"]) as body:
            total = answer.get("ContentRange", "").rpartition("/")[2]
            size, comes = int(total) if total.isdigit() else answer["ContentLength"], answer["ContentLength"]
            data = body.read(None if before is None else HEAD_BYTES)
            if before is not None:
                is_whole = size <= self.max_bytes and not is_video(data)
                before(comes if is_whole else len(data))
                data += body.read() if is_whole else b""
        found = replace(
            source,
            e_tag=answer["ETag"].strip('"'),
            version_id=answer.get("VersionId") or source.version_id,
            size=size,
        )
        return found, data
