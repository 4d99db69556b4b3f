"""What can be known to be wrong before a job starts: an unknown policy, a missing bucket, nothing to judge."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tools.jobs.asked import Asked
from tools.jobs.trouble import Trouble, code_of, is_denied

# Of a list, no more is read than this: its head shows what is wrong with all of it.
_HEAD_BYTES = 65_536


def known_policies(folder: Path) -> tuple[str, ...]:
    """Return the names of the policies that a stack made from here has."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))


def check_policy(name: str, known: Iterable[str]) -> None:
    """Look for the policy.

    Raises:
        Trouble: none of that name is here.
    """
    if name not in (names := list(known)):
        raise Trouble(
            f"There is no policy {name!r}: POLICY= must be one of {', '.join(names) or 'none'} "
            "(ANY_POLICY=1 where the stack was made from other files than these)."
        )


def check_objects(asked: Asked, s3: Any) -> str:
    """Look for what is to be judged; return what could not be looked at, in a sentence, or nothing.

    Raises:
        Trouble: it is not there, is empty, or is of another form.
    """
    bucket = asked.bucket if asked.source == "prefix" else asked.list_bucket
    try:
        if asked.source == "prefix":
            found = s3.list_objects_v2(Bucket=bucket, Prefix=asked.prefix, MaxKeys=1)
            if not found.get("KeyCount"):
                raise Trouble(f"There is no object below s3://{bucket}/{asked.prefix}: check PREFIX=.")
        elif asked.source == "inventory":
            _check_manifest(s3.get_object(Bucket=bucket, Key=asked.list_key)["Body"].read())
        else:
            head = s3.get_object(Bucket=bucket, Key=asked.list_key, Range=f"bytes=0-{_HEAD_BYTES - 1}")["Body"].read()
            _check_list(asked, head)
    except ClientError as error:
        match code_of(error):
            case "NoSuchBucket":
                raise Trouble(f"There is no bucket {bucket}.") from error
            case "NoSuchKey" | "404":
                raise Trouble(f"There is no object {asked.list_key} in {bucket}.") from error
            case "InvalidRange" | "416":
                raise Trouble(f"s3://{bucket}/{asked.list_key} is empty: it lists nothing.") from error
        if not is_denied(error):
            raise
        # The state machine has a role of its own, which may read what whoever starts it may not.
        return f"These credentials may not look into {bucket}, so nothing there was checked; the job's own role may."
    return ""


def _check_manifest(data: bytes) -> None:
    manifest = _object(data, "The inventory's manifest")
    if manifest.get("fileFormat") != "CSV":
        raise Trouble(
            f"The inventory is of the format {manifest.get('fileFormat')}: jobs read inventories of the format CSV."
        )
    columns = [column.strip() for column in str(manifest.get("fileSchema", "")).split(",")]
    if not {"Bucket", "Key"} <= set(columns):
        raise Trouble(f"The inventory has the columns {', '.join(columns)}: there must be Bucket and Key.")
    if not manifest.get("files"):
        raise Trouble("The inventory lists no files: there is nothing to judge.")


def _check_list(asked: Asked, head: bytes) -> None:
    # The last line may be cut off, also within a character.
    lines = head.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    if asked.source == "csv":
        fields = next(csv.reader(io.StringIO(lines[0])), []) if lines else []
        what = "The list's first line must name its columns"
        if len(lines) < 2:
            raise Trouble(f"The list names no object. {what}, and each other line names an object.")
    else:
        fields = list(_object(lines[0].encode() if lines else b"", "The list's first line"))
        what = "Each line must be an object of JSON"
    names = {field.strip().lower() for field in fields}
    if "key" not in names:
        raise Trouble(f"{what}, with `key` among them: there is {', '.join(fields) or 'nothing'}.")
    if "bucket" not in names and not asked.bucket:
        raise Trouble("The list does not say which bucket its objects are in: give BUCKET=, or add `bucket` to it.")


def _object(data: bytes, what: str) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Trouble(f"{what} is no object of JSON.")
    return found
