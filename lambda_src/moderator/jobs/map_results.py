"""What a distributed map has written of the batches that failed, or were never begun, read one at a time.

https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
"""

from __future__ import annotations

import codecs
import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moderator.errors import InvalidField
from moderator.jobs.parts import batch_name
from moderator.jobs.results import Results
from moderator.jobs.sources import Source, is_delete_marker, of_item

_AT_ONCE = 1 << 20  # bytes; a file may have 5 GB


@dataclass(frozen=True, kw_only=True)
class FailedBatch:
    """A batch that has no answer: which objects, and why, in Step Functions' word for it.

    `nameless` items of a list name no object, which may be why.
    """

    name: str
    why: str
    policy: str
    sources: Sequence[Source]
    nameless: int


def failed_batches(results: Results, record: Mapping[str, Any] | None) -> Iterator[FailedBatch]:
    """Yield the failed batches of a map; `record` is its result, which names the manifest.

    Raises:
        ValueError: a file is not what Step Functions writes.
    """
    where = (record or {}).get("ResultWriterDetails")
    if not where:
        return
    manifest = json.loads(results.body(where["Key"]).read())
    for status in ("FAILED", "PENDING"):
        for file in manifest["ResultFiles"].get(status, []):
            for execution in each_of_array(results.body(file["Key"])):
                yield _failed_batch(execution, status)


def _failed_batch(execution: Mapping[str, Any], status: str) -> FailedBatch:
    batch = json.loads(execution["Input"])
    given = batch["BatchInput"]
    items = [item for item in batch["Items"] if not is_delete_marker(item)]
    sources = []
    for item in items:
        with contextlib.suppress(InvalidField):
            sources.append(of_item(item, given))
    return FailedBatch(
        name=batch_name(sources, batch["Items"]),
        why=str(execution.get("Error") or execution.get("Status") or status),
        policy=given["policy"],
        sources=sources,
        nameless=len(items) - len(sources),
    )


def each_of_array(body: Any) -> Iterator[dict[str, Any]]:
    """Yield each object of a JSON array, holding little more than one of them.

    Raises:
        ValueError: it is no array of objects, or ends too early.
    """
    decoder, decode = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")()
    text, begun, tried = "", False, 0
    while True:
        data = body.read(_AT_ONCE)
        text += decode.decode(data, final=not data)
        while True:
            text = text.lstrip(" \t\r\n[" if not begun else " \t\r\n,")
            if text.startswith("]"):
                return
            # An object that does not end yet is not read again from its start for each piece, but for each doubling.
            if not text or (data and len(text) < tried):
                break
            begun = True
            try:
                found, end = decoder.raw_decode(text)
            except ValueError:
                if not data:
                    raise
                tried = 2 * len(text)
                break
            yield found
            text, tried = text[end:], 0
        if not data:
            raise ValueError("The list of failed batches ends in the middle.")
