"""Reads objects of S3: whole ones up to a limit, and large ones piece by piece, as a file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from moderator.errors import RequestError, TooMuch
from moderator.jobs.sources import Source

# A piece of a large object: few requests for a video's index and key frames, and little read in vain.
PIECE_BYTES = 1 << 20
_KEPT_PIECES = 8
# What tells a picture from a video.
_HEAD_BYTES = 64
_TRIES = 4

Answer = TypeVar("Answer")


class ObjectGone(RequestError):
    """The object is not there any more, or not in this version."""

    title = "The object is gone"


class ObjectRefused(RequestError):
    """S3 does not let the worker read the object."""

    title = "The object may not be read"


class ObjectUnreadable(RequestError):
    """S3 failed, several times."""

    title = "The object cannot be read now"


class Objects:
    """Reads from S3 by a client of boto3's, which may be used by several threads."""

    def __init__(self, s3: Any, *, max_bytes: int) -> None:
        self._s3 = s3
        self.max_bytes = max_bytes

    def head(self, source: Source) -> tuple[Source, bytes]:
        """Read the first bytes; return the source with its ETag, version and size, and the bytes.

        Raises:
            RequestError: the object cannot be read.
        """
        return self._range(source, 0, _HEAD_BYTES)

    def e_tag(self, source: Source) -> str:
        """Return the ETag of the bytes that are there now, without reading any; archived objects have one too.

        Raises:
            RequestError: S3 does not say.
        """
        e_tag: str = _patiently(lambda: self._s3.head_object(**source.as_asked())["ETag"])
        return e_tag.strip('"')

    def read_start(self, source: Source) -> tuple[Source, bytes]:
        """Read all bytes up to the limit, by one range request; return the same as `head` does.

        Raises:
            RequestError: the object cannot be read.
        """
        return self._range(source, 0, self.max_bytes)

    def check(self, source: Source) -> None:
        """Refuse an object over the limit.

        Raises:
            TooMuch: as it says.
        """
        if source.size is not None and source.size > self.max_bytes:
            raise TooMuch(f"The object has {source.size:,} bytes: at most {self.max_bytes:,} are allowed.")

    def open(self, source: Source, *, max_bytes: int) -> ObjectFile:
        """Open the object as a file, of which at most `max_bytes` are ever read."""
        return ObjectFile(lambda start, length: self._range(source, start, length)[1], source.size or 0, max_bytes)

    def _range(self, source: Source, start: int, length: int) -> tuple[Source, bytes]:
        asked = source.as_asked() | {"Range": f"bytes={start}-{start + length - 1}"}
        if start and source.e_tag:
            asked["IfMatch"] = f'"{source.e_tag}"'  # pieces of two different objects make no video
        return _patiently(lambda: self._get(source, asked))

    def _get(self, source: Source, asked: dict[str, Any]) -> tuple[Source, bytes]:
        from botocore.exceptions import ClientError

        try:
            answer = self._s3.get_object(**asked)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRange":
                raise
            # An empty object has no first byte.
            answer = self._s3.get_object(**{name: value for name, value in asked.items() if name != "Range"})
        with answer["Body"] as body:
            data = body.read()
        total = answer.get("ContentRange", "").rpartition("/")[2]
        size = int(total) if total.isdigit() else answer["ContentLength"]
        return (
            replace(
                source,
                e_tag=answer["ETag"].strip('"'),
                version_id=answer.get("VersionId") or source.version_id,
                size=size,
            ),
            data,
        )


@contextmanager
def when_gone() -> Iterator[None]:
    """Turn S3's word for an object that is not there into ours.

    Raises:
        ObjectGone: as it says.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        # 405: what is there is a delete marker.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 405):
            raise ObjectGone("The object was deleted meanwhile.") from error
        raise


def _patiently(read: Callable[[], Answer]) -> Answer:
    """Read again where S3 or the connection fails in the middle of a body, which boto3's own retries do not mend."""
    from botocore.exceptions import BotoCoreError, ClientError

    for left in reversed(range(_TRIES)):
        try:
            return read()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            code = error.response["Error"]["Code"]
            if status == 404:
                raise ObjectGone(f"The object is not there ({code}): it was deleted after it was listed.") from error
            if status in (400, 401, 403, 412):
                raise ObjectRefused(f"S3 refuses the object ({code}): give the worker's role this bucket.") from error
            if not left:
                raise ObjectUnreadable(f"S3 failed {_TRIES} times ({code}): run the job again.") from error
        except (BotoCoreError, OSError) as error:
            if not left:
                raise ObjectUnreadable(
                    f"S3 failed {_TRIES} times ({type(error).__name__}): run the job again."
                ) from error
    raise AssertionError("unreachable")


class ObjectFile(io.RawIOBase):
    """An object as a file that can be read and sought in; holds a few pieces of a megabyte, never the whole."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, max_bytes: int) -> None:
        super().__init__()
        self._read, self._size, self._left = read, size, max_bytes
        self._place = 0
        self._pieces: dict[int, bytes] = {}  # the least recently used first

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place; nothing is read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of a piece.

        Raises:
            TooMuch: more would be read from S3 than is allowed.
        """
        if self._place >= self._size:
            return 0
        number, within = divmod(self._place, PIECE_BYTES)
        data = self._piece(number)[within : within + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _piece(self, number: int) -> bytes:
        piece = self._pieces.pop(number, None)
        if piece is None:
            if self._left <= 0:
                raise TooMuch("More of the object would have to be read than is allowed for one video.")
            piece = self._read(number * PIECE_BYTES, PIECE_BYTES)
            self._left -= len(piece)
            while len(self._pieces) >= _KEPT_PIECES:
                self._pieces.pop(next(iter(self._pieces)))
        self._pieces[number] = piece
        return piece
