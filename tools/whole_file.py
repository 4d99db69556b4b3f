"""Writes files whole: a program that stops, or a full disk, leaves what was there before."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever reads it finds the old one, or none, until the new one is whole.

    Until then it is beside it, under a name that nothing else has, and that does not end in .json: a service must not
    read it as a policy. What a link leads to is written, and the link stays.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".{secrets.token_hex(8)}.unfinished")
    try:
        with unfinished.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        unfinished.unlink(missing_ok=True)
