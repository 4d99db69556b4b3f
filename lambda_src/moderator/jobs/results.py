"""The results bucket: parts of verdict lines under names made of what they are about, and each job's own records.

    verdicts/bucket=B/policy=VERSION/model=FINGERPRINT/LAST-FIRST-HASH.jsonl   of jobs
    verdicts/bucket=B/policy=VERSION/model=FINGERPRINT/stream/HASH.jsonl       of uploads
    jobs/JOB/batches/HASH.allow_90.review_8.block_2.json                       what a batch counted
    jobs/JOB/summary.json, manifest.json                                       at a job's end

FIRST and LAST are keys of a part, in hexadecimal and so in S3's own order: a later run finds the parts that may hold
the lines of its batch with one listing, however the batches are cut then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from moderator.jobs.line import Line, Names, is_final, read_lines, write_lines
from moderator.jobs.sources import Source

# Two of them, and the rest of a name, fit into the 1024 bytes of a key.
_KEY_BYTES = 150
# Of a prefix, a batch meets three parts at most; of lists in any order it may meet all, and not all are read.
_PARTS_READ = 16


class Results:
    """Reads and writes the results bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def known(self, sources: Sequence[Source], names: Names) -> dict[str, list[Line]]:
        """Return the parts that may hold lines of these objects, with their lines; `sources` are of one bucket."""
        if not sources:
            return {}
        folder = folder_of(sources[0].bucket, names)
        first, last = _span([source.key for source in sources])
        listed = self._s3.list_objects_v2(
            Bucket=self._bucket, Prefix=folder, StartAfter=f"{folder}{first}", Delimiter="/", MaxKeys=_PARTS_READ
        )
        found = {}
        for part in listed.get("Contents", []):
            name = part["Key"].removeprefix(folder)
            if name.split("-")[1] <= last:
                lines = self._get(part["Key"])
                found[part["Key"]] = read_lines(lines)
        return found

    def write_part(self, lines: Sequence[Line], names: Names) -> str | None:
        """Write the lines of a batch, sorted by key; return the part's key, or None where there are none."""
        if not lines:
            return None
        body = write_lines(lines)
        keys = [line["source"]["key"] for line in lines]
        first, last = _span(keys)
        folder = folder_of(lines[0]["source"]["bucket"], names)
        key = f"{folder}{last}-{first}-{_digest(keys)}.jsonl"
        self._put(key, body)
        return key

    def write_upload(self, line: Line, names: Names) -> str:
        """Write the line of one upload; the same upload overwrites it."""
        source = line["source"]
        identity = [source["bucket"], source["key"], source["versionId"] or "", source["eTag"] or ""]
        key = f"{folder_of(source['bucket'], names)}stream/{_digest(identity)}.jsonl"
        self._put(key, write_lines([line]))
        return key

    def take_out(self, parts: Mapping[str, Sequence[Line]], sources: Iterable[Source]) -> None:
        """Take the lines of these objects out of earlier parts: newer ones were written."""
        gone = {(source.key, source.version_id) for source in sources}
        for part, lines in parts.items():
            kept = [line for line in lines if not gone & set(_names(line))]
            if len(kept) == len(lines):
                continue
            if kept:
                self._put(part, write_lines(kept))
            else:
                self._s3.delete_object(Bucket=self._bucket, Key=part)

    def write_count(self, job: str, batch: str, counted: Mapping[str, Any]) -> None:
        """Record what a batch counted; its verdicts stand in the name, so that a listing shows a job's progress."""
        verdicts = ".".join(f"{action}_{number}" for action, number in sorted(counted["verdicts"].items()))
        self._put(f"jobs/{job}/batches/{batch}.{verdicts or 'none_0'}.json", json.dumps(counted).encode())

    def counts(self, job: str) -> Iterator[dict[str, Any]]:
        """Yield what each batch of a job counted, once for each batch, however often it was tried."""
        from concurrent.futures import ThreadPoolExecutor

        newest: dict[str, tuple[Any, str]] = {}
        for found in self._listed(f"jobs/{job}/batches/"):
            batch = found["Key"].rpartition("/")[2].partition(".")[0]
            newest[batch] = max(newest.get(batch, (found["LastModified"], "")), (found["LastModified"], found["Key"]))
        with ThreadPoolExecutor(16) as pool:
            yield from pool.map(lambda named: json.loads(self._get(named[1])), newest.values())

    def write_record(self, job: str, name: str, record: Mapping[str, Any]) -> str:
        """Write `summary.json` or `manifest.json` of a job; return its key."""
        key = f"jobs/{job}/{name}.json"
        self._put(key, json.dumps(record, indent=2, ensure_ascii=False).encode())
        return key

    def _listed(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            yield from page.get("Contents", [])

    def _get(self, key: str) -> bytes:
        data: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return data

    def _put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/x-ndjson")


def lines_that_stand(
    parts: Mapping[str, Sequence[Line]], sources: Iterable[Source], names: Names
) -> dict[Source, Line]:
    """Return the lines that would come out the same again: same bytes, policy version and model."""
    wanted = {(source.key, source.version_id): source for source in sources if source.e_tag}
    stand = {}
    for lines in parts.values():
        for line in lines:
            source = next((wanted[name] for name in _names(line) if name in wanted), None)
            if source and line["source"]["eTag"] == source.e_tag and names.belongs(line) and is_final(line):
                stand[source] = line
    return stand


def _names(line: Line) -> tuple[tuple[str, str | None], ...]:
    """How a batch may name the line's object: by its version, or as whatever is there."""
    source = line["source"]
    return (source["key"], source["versionId"]), (source["key"], None)


def folder_of(bucket: str, names: Names) -> str:
    """Return the folder of one bucket's lines by one policy and model: partitions, as Athena calls them."""
    return (
        f"verdicts/bucket={bucket}/policy={names.policy['version']}/"
        f"model={quote(str(names.model['fingerprint']), safe='')[:64]}/"
    )


def batch_name(sources: Sequence[Source]) -> str:
    """Name a batch by what is in it."""
    return _digest([f"{source.bucket}\n{source.key}\n{source.version_id}" for source in sources])


def _span(keys: Sequence[str]) -> tuple[str, str]:
    encoded = sorted(key.encode("utf-8", "surrogatepass") for key in keys)
    return encoded[0][:_KEY_BYTES].hex(), encoded[-1][:_KEY_BYTES].hex()


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:24]
