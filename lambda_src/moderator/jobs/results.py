"""The results bucket: parts of verdict lines under names made of what they are about, and each job's own records.

    verdicts/bucket=B/policy=VERSION/model=FINGERPRINT/PART.jsonl          of jobs (`parts.py`)
    verdicts/bucket=B/policy=VERSION/model=FINGERPRINT/stream/HASH.jsonl   of uploads
    jobs/JOB/batches/HASH.allow_90.review_8.block_2.PACKED.json            what a batch counted
    jobs/JOB/summary.json, manifest.json, unjudged.jsonl                   at a job's end

Jobs keep one line for each object, the newest; uploads leave one line each, by version or bytes.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, BinaryIO

from moderator.jobs.line import Line, Names, read_lines, write_lines
from moderator.jobs.parts import PartsIndex, digest, folder_of
from moderator.jobs.sources import Source

# What a worker remembers of earlier parts: 120 MB. Where there is more, each batch goes through all names by itself.
_OBJECTS_REMEMBERED = 10_000_000
_READERS = 16
_LONGEST_KEY = 1024  # bytes
_TRIES = 8
# What S3 answers where an object is not the one that was to be replaced.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_CHANGED = (404, 409, 412)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part as it was read: the job that wrote it last, and its ETag, which is that of its content.

    `new` is how many of the lines that job has judged itself: they come first. The others were there before.
    """

    lines: Sequence[Line] = ()
    job: str = ""
    new: int = 0
    e_tag: str = ""


class Results:
    """Reads and writes the results bucket."""

    def __init__(self, s3: Any, bucket: str, *, remembered: int = _OBJECTS_REMEMBERED) -> None:
        self._s3, self._bucket, self._remembered = s3, bucket, remembered
        self._job = ""
        self._indexes: dict[str, PartsIndex] = {}  # of that job, by folder

    def part(self, key: str) -> Part:
        """Read a part; one that is not there is empty."""
        from botocore.exceptions import ClientError

        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return Part()
            raise
        # As a context it would be urllib3's body, some versions of which end too early without a word.
        with closing(answer["Body"]) as body:
            lines = read_lines(body.read())
        told = answer["Metadata"]
        return Part(lines=lines, job=told.get("job", ""), new=int(told.get("new", "0")), e_tag=answer["ETag"])

    def elsewhere(
        self, job: str, sources: Sequence[Source], names: Names, own: Collection[str]
    ) -> dict[str, list[Line]]:
        """Return the lines of these objects that stand in other parts than their own, by the part's key."""
        folder = folder_of(sources[0].bucket, names)
        wanted = {source.key for source in sources}
        keys = [folder + name for name in self._parts_with(job, folder, wanted) if folder + name not in own]

        def lines(key: str) -> list[Line]:
            return [line for line in self.part(key).lines if line["source"]["key"] in wanted]

        with ThreadPoolExecutor(_READERS) as pool:
            return {key: found for key, found in zip(keys, pool.map(lines, keys), strict=True) if found}

    def write_part(self, key: str, lines: Sequence[Line], job: str, *, new: int, instead_of: str) -> bool:
        """Write a part, in place of the one with this ETag, or of none; the first `new` of the lines are the job's own.

        Return whether it was: another worker may have written one since.
        """
        from botocore.exceptions import ClientError

        condition = {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"}
        try:
            self._put(key, write_lines(lines), Metadata={"job": digest([job]), "new": str(new)}, **condition)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in _CHANGED:
                raise
            return False
        return True

    def take_out(self, key: str, is_old: Callable[[Line], bool]) -> None:
        """Take lines out of a part, also while another worker does that.

        Raises:
            RuntimeError: others change it all the time.
        """
        from botocore.exceptions import ClientError

        for _ in range(_TRIES):
            part = self.part(key)
            kept = [line for line in part.lines if not is_old(line)]
            if len(kept) == len(part.lines):
                return
            try:
                if kept:
                    new = sum(not is_old(line) for line in part.lines[: part.new])
                    told = {"job": part.job, "new": str(new)}
                    self._put(key, write_lines(kept), Metadata=told, IfMatch=part.e_tag)
                else:
                    self._s3.delete_object(Bucket=self._bucket, Key=key, IfMatch=part.e_tag)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] not in _CHANGED:
                    raise
            else:
                return
        raise RuntimeError(f"Other workers change {key} all the time: the batch must be tried again.")

    def write_upload(self, line: Line, names: Names) -> str:
        """Write the line of one upload; the same upload overwrites it."""
        source = line["source"]
        identity = [source["bucket"], source["key"], source["versionId"] or "", source["eTag"] or ""]
        key = f"{folder_of(source['bucket'], names)}stream/{digest(identity)}.jsonl"
        self._put(key, write_lines([line]))
        return key

    def write_count(self, job: str, batch: str, counted: Mapping[str, Any]) -> None:
        """Record what a batch counted; its verdicts stand in the name, so that a listing shows a job's progress.

        So does all the rest, packed, unless it is too long for a name: a job of 100,000 batches is added up by 100
        listings, where reading their records would take longer than a Lambda may.
        """
        verdicts = ".".join(f"{action}_{number}" for action, number in sorted(counted["verdicts"].items()))
        body = json.dumps(counted, separators=(",", ":")).encode()
        start = f"jobs/{job}/batches/{batch}.{verdicts or 'none_0'}"
        packed = base64.b32encode(zlib.compress(body, 9)).decode().rstrip("=").lower()
        whole = f"{start}.{packed}.json"
        self._put(whole if len(whole.encode()) <= _LONGEST_KEY else f"{start}.json", body)

    def counts(self, job: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each batch's name and what it counted, once for each batch of a job, however often it was tried."""
        newest: dict[str, tuple[Any, str]] = {}
        for page in self._pages(Prefix=f"jobs/{job}/batches/"):
            for found in page:
                batch = found["Key"].rpartition("/")[2].partition(".")[0]
                this = (found["LastModified"], found["Key"])
                newest[batch] = max(newest.get(batch, this), this)
        with ThreadPoolExecutor(_READERS) as pool:
            yield from zip(newest, pool.map(lambda named: self._count(named[1]), newest.values()), strict=True)

    def write_record(self, job: str, name: str, record: Mapping[str, Any]) -> str:
        """Write `summary.json` or `manifest.json` of a job; return its key."""
        key = f"jobs/{job}/{name}.json"
        self._put(key, json.dumps(record, indent=2, ensure_ascii=False).encode())
        return key

    def write_list(self, job: str, name: str, file: BinaryIO) -> str:
        """Write a list of objects of a job, from a file; return its key."""
        key = f"jobs/{job}/{name}.jsonl"
        self._put(key, file)
        return key

    def forget_list(self, job: str, name: str) -> None:
        """Delete a list of objects of a job, if there is one."""
        key = f"jobs/{job}/{name}.jsonl"
        # Deleting what is not there would leave a marker of that.
        if any(found["Key"] == key for page in self._pages(Prefix=key) for found in page):
            self._s3.delete_object(Bucket=self._bucket, Key=key)

    def with_parts(self, folders: Sequence[str]) -> list[str]:
        """Return those of these folders in which there are parts of jobs."""

        def has_parts(folder: str) -> bool:
            asked = {"Bucket": self._bucket, "Prefix": folder, "Delimiter": "/", "MaxKeys": 1}
            return bool(self._s3.list_objects_v2(**asked).get("Contents"))

        with ThreadPoolExecutor(_READERS) as pool:
            return [folder for folder, has in zip(folders, pool.map(has_parts, folders), strict=True) if has]

    def body(self, key: str) -> Any:
        """Open an object of the bucket, to be read piece by piece."""
        return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]

    def _parts_with(self, job: str, folder: str, keys: Iterable[str]) -> list[str]:
        """Name the parts that may have lines of these keys.

        A job of many batches lists the names once for each worker, at its first batch; as long as one request lists
        them all, that is done for each batch. Its own batches' parts need not be among them: no batch has the objects
        of another.
        """
        if job != self._job:
            self._job, self._indexes = job, {}
        if folder in self._indexes:
            return self._indexes[folder].find(keys)
        left = self._remembered - sum(map(len, self._indexes.values()))
        found: set[str] = set()
        index, pages, fits = PartsIndex(), 0, True
        for page in self._pages(Prefix=folder, Delimiter="/"):
            for listed in page:
                index.add(listed["Key"].removeprefix(folder))
            pages += 1
            if len(index) > left:
                found.update(index.find(keys))
                index, fits = PartsIndex(), False
        if fits and pages > 1:
            self._indexes[folder] = index
        return sorted(found.union(index.find(keys)))

    def _count(self, key: str) -> dict[str, Any]:
        packed = key.split(".")[-2]
        if "_" in packed:  # a verdict's number: the rest did not fit
            body: bytes = self.body(key).read()
        else:
            body = zlib.decompress(base64.b32decode(packed.upper() + "=" * (-len(packed) % 8)))
        counted: dict[str, Any] = json.loads(body)
        return counted

    def _pages(self, **asked: str) -> Iterator[list[dict[str, Any]]]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, **asked):
            yield page.get("Contents", [])

    def _put(self, key: str, body: bytes | BinaryIO, **more: Any) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/x-ndjson", **more)
