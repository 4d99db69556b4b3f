"""The objects that a job or an event names, as values: which bytes of which bucket a verdict is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from moderator.errors import InvalidField


@dataclass(frozen=True, kw_only=True)
class Source:
    """One object; `e_tag` is without its quotation marks, and None (as `size`, in bytes) where it is not known yet."""

    bucket: str
    key: str
    version_id: str | None = None
    e_tag: str | None = None
    size: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the `source` of a line, as the contract has it."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "versionId": self.version_id,
            "eTag": self.e_tag,
            "bytes": self.size,
        }

    def as_asked(self) -> dict[str, str]:
        """Give what S3's client calls it."""
        version = {"VersionId": self.version_id} if self.version_id else {}
        return {"Bucket": self.bucket, "Key": self.key, **version}


def of_line(line: Mapping[str, Any]) -> Source:
    """Return the object that a line is about."""
    said = line["source"]
    return Source(
        bucket=said["bucket"], key=said["key"], version_id=said["versionId"], e_tag=said["eTag"], size=said["bytes"]
    )


def is_delete_marker(item: Any) -> bool:
    """Return whether an item, of an inventory of all versions, says that an object was deleted: it names no bytes.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html#storage-inventory-contents
    """
    return isinstance(item, Mapping) and str(_fields(item).get("isdeletemarker", "")).lower() == "true"


def of_item(item: Any, batch: Mapping[str, Any]) -> Source:
    """Read one item of a distributed map: of a listing, an inventory, or a list of one's own.

    A listing has `Key`, `Etag` and `Size`; an inventory and a list may have a bucket and a version of their own. The
    keys of an inventory are URL-encoded, which `encoded` of the batch's input says; all others are as they are.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html

    Raises:
        InvalidField: the item names no object.
    """
    if not isinstance(item, Mapping):
        raise InvalidField("An item of the list names no object: it must be an object itself, with a key.")
    fields = _fields(item)
    key = fields.get("key")
    bucket = fields.get("bucket") or batch.get("bucket")
    if not isinstance(key, str) or not key or not isinstance(bucket, str) or not bucket:
        raise InvalidField("An item of the list names no object: it must have a key, and a bucket or the job's.")
    version = fields.get("versionid")
    if version is not None and not isinstance(version, str):
        raise InvalidField("An item of the list names no object: its version must be text.")
    if version == "" and "islatest" in fields:
        # An inventory of all versions writes nothing for those that were there before the bucket had versions.
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/inventory-configure-bops.html
        version = "null"
    size = fields.get("size")
    return Source(
        bucket=bucket,
        key=unquote_plus(key) if batch.get("encoded") else key,
        version_id=version or None,
        e_tag=_bare(fields.get("etag")),
        # A list of one's own has text in its columns.
        size=int(size) if size not in (None, "") and str(size).isdigit() else None,
    )


def _fields(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower().replace("_", "").replace(" ", ""): value for name, value in item.items()}


def of_event(event: Mapping[str, Any]) -> Source:
    """Read an `Object Created` event of EventBridge, whose keys, unlike those of S3's own messages, are as they are.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

    Raises:
        InvalidField: the event is not about an object.
    """
    try:
        detail = event["detail"]
        found = detail["object"]
        return Source(
            bucket=detail["bucket"]["name"],
            key=found["key"],
            version_id=found.get("version-id") or None,
            e_tag=_bare(found.get("etag")),
            size=found.get("size"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidField(
            "The message is not an `Object Created` event of S3 by way of EventBridge: it has no detail.object.key."
        ) from error


def _bare(e_tag: object) -> str | None:
    return e_tag.strip('"') or None if isinstance(e_tag, str) else None
