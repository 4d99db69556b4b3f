"""Parts of verdict lines: what they are called, and which of them may hold an object's line, whatever order lists have.

    HASH PRINTS .jsonl

HASH stands for the objects of a batch: the same batch always has the same part, however often it is tried. PRINTS are
three bytes of each key's hash, so that a listing of the names alone, a thousand at a time, says which parts to read.
A print is never missing; by chance it is there in vain for one part in 170,000 and key, which costs a read.
"""

from __future__ import annotations

import base64
import hashlib
import json
from array import array
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from moderator.jobs.line import Names
from moderator.jobs.sources import Source

# A name has 1024 bytes: the folder takes up to 170 of them, the prints four for each object.
PART_OBJECTS = 150
_HASH = 24  # letters
_PRINT = 3  # bytes
_SUFFIX = ".jsonl"


def folder_of(bucket: str, names: Names) -> str:
    """Return the folder of one bucket's lines by one policy and model: partitions, as Athena calls them."""
    return (
        f"verdicts/bucket={bucket}/policy={names.policy['version']}/"
        f"model={quote(str(names.model['fingerprint']), safe='')[:64]}/"
    )


def part_name(sources: Sequence[Source]) -> str:
    """Name the part of up to 150 objects by what is in it."""
    prints = b"".join(sorted({_print(source.key) for source in sources}))
    return f"{batch_name(sources)}{base64.urlsafe_b64encode(prints).decode()}{_SUFFIX}"


def own_key(sources: Sequence[Source], names: Names) -> str:
    """Return the key of these objects' own part; all are of one bucket."""
    return folder_of(sources[0].bucket, names) + part_name(sources)


def part_hash(key: str) -> str:
    """Return the beginning of a part's name, which no other part of its folder has."""
    return key.rpartition("/")[2][:_HASH]


def batch_name(sources: Iterable[Source], items: Sequence[Any] = ()) -> str:
    """Name a batch by the objects in it; where `items` name none, by these."""
    named = [f"{source.bucket}\n{source.key}\n{source.version_id}" for source in sources]
    return digest(named or [json.dumps(item) for item in items])


def digest(texts: Iterable[str]) -> str:
    """Return a hash of texts, in hexadecimal."""
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]


class PartsIndex:
    """Names of parts, in 12 bytes for each object, and which of them may have lines of certain keys."""

    def __init__(self) -> None:
        self._entries = array("Q")  # a print, and the number of a part that has it
        self._names: list[bytes] = []
        self._sorted = True

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._entries)

    def add(self, name: str) -> None:
        """Add a part; what is not named as one is left out."""
        if not name.endswith(_SUFFIX):
            return
        prints = base64.urlsafe_b64decode(name[_HASH : -len(_SUFFIX)])
        number = len(self._names)
        self._names.append(name.encode())
        self._entries.extend(
            int.from_bytes(prints[at : at + _PRINT]) << 32 | number for at in range(0, len(prints), _PRINT)
        )
        self._sorted = False

    def find(self, keys: Iterable[str]) -> list[str]:
        """Return the names of the parts that may have lines of these keys."""
        if not self._names:
            return []
        entries = np.frombuffer(self._entries, np.uint64)
        if not self._sorted:
            entries.sort()  # in place: a second copy would be as large
            self._sorted = True
        wanted = np.array(sorted({int.from_bytes(_print(key)) for key in keys}), np.uint64) << np.uint64(32)
        firsts = np.searchsorted(entries, wanted)
        ends = np.searchsorted(entries, wanted + np.uint64(1 << 32))
        numbers = {
            int(entry) & 0xFFFF_FFFF
            for first, end in zip(firsts.tolist(), ends.tolist(), strict=True)
            for entry in entries[first:end]
        }
        return sorted(self._names[number].decode() for number in numbers)


def _print(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:_PRINT]
