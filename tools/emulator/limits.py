"""What Step Functions allows of data: batches by number and by bytes, and nothing over 256 KiB for any state; pure.

https://states-language.net/spec.html#batching-items
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

# Of a state's input or output, of what a task is called with, and of a batch.
DATA_BYTES = 262_144


def size_of(data: Any) -> int:
    """Return the bytes of data as JSON."""
    return len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def in_batches(items: Sequence[Any], *, most: int, most_bytes: int = DATA_BYTES) -> Iterator[list[Any]]:
    """Yield the items in arrays of at most so many, and so many bytes; what they are wrapped in comes on top.

    Raises:
        ValueError: there is an item that is larger by itself.
    """
    batch: list[Any] = []
    held = 2  # the array's brackets
    for item in items:
        more = size_of(item)
        if more + 2 > most_bytes:
            raise ValueError(f"An item has {more:,} bytes: a batch may have {most_bytes:,}.")
        if batch and (len(batch) == most or held + 1 + more > most_bytes):
            yield batch
            batch, held = [], 2
        held += more + (1 if batch else 0)
        batch.append(item)
    if batch:
        yield batch
