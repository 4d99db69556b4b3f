"""Tries a job at a desk: a local AWS with what the Pulumi program makes, a folder's pictures in it, and `make job`.

Nothing leaves this machine. It ends with the local AWS; the results are copied into a folder first.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from moderator.errors import ConfigurationError, InvalidField
from moderator.jobs.judge import read_configured
from moderator.settings import read_settings
from support.emulator import Emulator, deploy, recorded, running
from tools.jobs.__main__ import main as job

_BUCKET = "pictures"
_UNUSABLE = 2
# In bytes, of most file systems; and what is kept of a longer name, whose beginning is a hash.
_LONGEST_NAME, _KEPT = 255, 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a folder by a job; return what `make job` does."""
    parser = argparse.ArgumentParser(prog="make job-local", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--out", type=Path, default=Path("build/job"))
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        print(f"job-local: There is no folder {given.folder}.", file=sys.stderr)
        return _UNUSABLE
    try:
        read_configured(read_settings(os.environ)).named(given.policy)
    except (ConfigurationError, InvalidField) as error:
        print(f"job-local: {error}", file=sys.stderr)
        return _UNUSABLE
    with tempfile.TemporaryDirectory() as temporary, running(Path(temporary)) as emulator:
        print("Making what the Pulumi program asks for on a local AWS", file=sys.stderr)
        deploy(emulator, recorded(settings(given.policy)), before=_model())
        return judge_folder(emulator, given.folder, given.policy, given.out)


def judge_folder(emulator: Emulator, folder: Path, policy: str, out: Path) -> int:
    """Put a folder into the bucket, judge it by a job, and copy the results; return what `make job` does."""
    prefix = f"{folder.resolve().name}/"
    uploaded = upload(emulator, folder, prefix)
    print(f"{uploaded} files are in the bucket {_BUCKET} at {emulator.url}", file=sys.stderr)
    given = ["--bucket", _BUCKET, "--prefix", prefix, "--policy", policy]
    status = job(["--endpoint", emulator.url, "--every", "0.2", *given])
    print(f"copied       {copy_results(emulator, out)} files of the results bucket, to {out}")
    return status


def settings(policy: str) -> dict[str, object]:
    """Return a stack's settings: with jobs, and with no more workers at once than a desk has processors."""
    return {
        "model": "demo",
        "cache": "none",
        "defaultPolicy": policy,
        "jobs": True,
        "jobBuckets": [_BUCKET],
        "streamBuckets": ["uploads"],
        "jobConcurrency": os.cpu_count() or 2,
    }


def upload(emulator: Emulator, folder: Path, prefix: str) -> int:
    """Put a folder's files into the bucket under their paths; return how many."""
    s3 = emulator.client("s3")
    number = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            s3.upload_file(str(path), _BUCKET, f"{prefix}{path.relative_to(folder).as_posix()}")
            number += 1
    return number


def copy_results(emulator: Emulator, out: Path) -> int:
    """Copy the results bucket into a folder, under shorter names where a file system takes no longer ones."""
    s3 = emulator.client("s3")
    number = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="results"):
        for found in page.get("Contents", []):
            path = out / file_name(found["Key"])
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file("results", found["Key"], str(path))
            number += 1
    return number


def file_name(key: str) -> str:
    """Return an object's key as a path: the names of parts and batches say more than 255 bytes can."""
    folder, _, name = key.rpartition("/")
    if len(name.encode()) <= _LONGEST_NAME:
        return key
    stem, _, suffix = name.rpartition(".")
    return f"{folder}/{stem[:_KEPT]}.{suffix}"


def _model() -> str:
    """The model of a local worker: the one that MODEL_DIR names here."""
    folder = os.environ.get("MODEL_DIR")
    return f"import os; os.environ['MODEL_DIR'] = {str(Path(folder).resolve())!r}" if folder else ""


if __name__ == "__main__":
    sys.exit(main())
