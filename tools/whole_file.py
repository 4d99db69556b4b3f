"""Writes files whole: a program that stops, or a full disk, leaves what was there before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever reads it finds the old one, or none, until the new one is whole.

    Until then it is beside it, under a short name that no other process uses, and that does not end in .json: a service
    must not read it as a policy. What a link leads to is written, and the link stays.
    """
    path = path.resolve()
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    unfinished = path.with_name(f".{name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
