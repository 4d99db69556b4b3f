"""Reads objects of S3: whole ones up to a limit, and large ones piece by piece, as `object_file.py` asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from moderator.errors import RequestError, TooMuch
from moderator.jobs.object_file import ObjectFile
from moderator.jobs.sources import Source

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

# What tells a picture from a video.
HEAD_BYTES = 64
_TRIES = 4

Answer = TypeVar("Answer")


class ObjectGone(RequestError):
    """The object is not there any more, or not in this version."""

    title = "The object is gone"


class ObjectRefused(RequestError):
    """S3 does not let the worker read the object."""

    title = "The object may not be read"


class ObjectArchived(RequestError):
    """The object is in a class of storage that nothing can be read from."""

    title = "The object is archived"


class ObjectChanged(RequestError):
    """The object was replaced between two reads of it."""

    title = "The object changed"


class ObjectUnreadable(RequestError):
    """S3 failed, several times."""

    title = "The object cannot be read now"


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
        e_tag: str = _patiently(lambda: self._s3.head_object(**source.as_asked())["ETag"])
        return e_tag.strip('"')

    def read_start(self, source: Source, *, before: Callable[[int], None] = lambda _: None) -> tuple[Source, bytes]:
        """Read all bytes of an object up to the limit, of a larger one the first; by one request, mostly.

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

        With `before`, who wants all of an object that is over the limit gets its first bytes.
        """
        asked = source.as_asked() | {"Range": f"bytes={start}-{start + length - 1}"}
        if e_tag:
            asked["IfMatch"] = f'"{e_tag}"'
        return _patiently(lambda: self._get(source, asked, before))

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
            if before is None:
                data = body.read()
            elif size > self.max_bytes and comes > HEAD_BYTES:
                before(HEAD_BYTES)
                data = body.read(HEAD_BYTES)
            else:
                before(comes)
                data = body.read()
        found = replace(
            source,
            e_tag=answer["ETag"].strip('"'),
            version_id=answer.get("VersionId") or source.version_id,
            size=size,
        )
        return found, data


@contextmanager
def when_gone() -> Iterator[None]:
    """Turn S3's word for an object that is not there into ours, and leave its other words alone.

    Raises:
        ObjectGone: as it says.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if isinstance(meant := _meant(error), ObjectGone):
            raise meant from error
        raise


def _meant(error: ClientError) -> RequestError | None:
    """Return what S3's answer says about the object, and what is to be done; None where it may be otherwise soon.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    status, said = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]
    code = said["Code"]
    match status, code:
        case _, "InvalidObjectState":
            where = said.get("StorageClass") or said.get("AccessTier") or "by its class of storage"
            return ObjectArchived(f"The object is in an archive ({where}): restore it, then run the job again.")
        case _, "NoSuchBucket":
            return ObjectGone(f"There is no such bucket ({code}): is its name right, or was it deleted?")
        case 404, _:
            return ObjectGone(f"The object is not there ({code}): it was deleted after it was listed.")
        case 405, _:
            return ObjectGone(f"This version is a delete marker ({code}): the object was deleted, and has no bytes.")
        case 412, _:
            return ObjectChanged(f"The object was replaced while it was read ({code}): run the job again.")
        case ((401 | 403), _):
            return ObjectRefused(
                f"S3 refuses the object ({code}): give the worker's role this bucket, and its KMS key where it has one."
            )
        case 400, _:
            return ObjectRefused(f"S3 does not take the request ({code}): {said.get('Message') or 'it says no more.'}")
    return None


def _patiently(read: Callable[[], Answer]) -> Answer:
    """Read again where S3 or the connection fails in the middle of a body, which boto3's own retries do not mend."""
    from botocore.exceptions import BotoCoreError, ClientError

    for left in reversed(range(_TRIES)):
        try:
            return read()
        except ClientError as error:
            if (meant := _meant(error)) is not None:
                raise meant from error
            if not left:
                raise ObjectUnreadable(
                    f"S3 failed {_TRIES} times ({error.response['Error']['Code']}): run the job again."
                ) from error
        except (BotoCoreError, OSError) as error:
            if not left:
                raise ObjectUnreadable(
                    f"S3 failed {_TRIES} times ({type(error).__name__}): run the job again."
                ) from error
    raise AssertionError("unreachable")
