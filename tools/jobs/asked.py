"""What a job is asked to judge - a prefix, an S3 Inventory, a list - as the state machine takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tools.jobs.trouble import Trouble

Source = Literal["prefix", "inventory", "csv", "jsonl"]

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_ENDINGS: dict[str, Source] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One job: `bucket` and `prefix` of what is judged, or `list_bucket` and `list_key` of the list of it."""

    source: Source
    policy: str
    # With a list: the bucket of those objects for which the list names none.
    bucket: str = ""
    prefix: str = ""
    list_bucket: str = ""
    list_key: str = ""

    def as_input(self) -> dict[str, str]:
        """Return the state machine's input (infra/job_states.py)."""
        common = {"source": self.source, "policy": self.policy}
        if self.source == "prefix":
            return {**common, "bucket": self.bucket, "prefix": self.prefix}
        listed = {**common, "listBucket": self.list_bucket, "listKey": self.list_key}
        return {**listed, "bucket": self.bucket} if self.bucket else listed

    def in_words(self) -> str:
        """Say what is judged."""
        if self.source == "prefix":
            return f"s3://{self.bucket}/{self.prefix}"
        return f"what s3://{self.list_bucket}/{self.list_key} lists"


def read_asked(*, policy: str, bucket: str, prefix: str, inventory: str, listed: str) -> Asked:
    """Read what the command was given; whatever was not given is empty.

    Raises:
        Trouble: it names nothing to judge, or several things.
    """
    if not policy:
        raise Trouble("POLICY= is needed: the name of a policy.")
    if bucket and not re.fullmatch(_BUCKET, bucket):
        raise Trouble(f"BUCKET={bucket} is no bucket's name: give it without s3://, and what is below it as PREFIX=.")
    if inventory and listed:
        raise Trouble("INVENTORY= and LIST= are both given: a job judges one of them.")
    if inventory or listed:
        if prefix:
            raise Trouble(
                "PREFIX= is given beside a list: a job judges either what is below a prefix or what is listed."
            )
        if inventory and bucket:
            raise Trouble("BUCKET= is given beside INVENTORY=: an inventory names the bucket of each object itself.")
        where, key = _address("INVENTORY" if inventory else "LIST", inventory or listed)
        source = _inventory(key) if inventory else _kind(key)
        return Asked(source=source, policy=policy, bucket=bucket, list_bucket=where, list_key=key)
    if not bucket:
        raise Trouble(
            "BUCKET= is needed (with PREFIX=, or all of it is judged), or INVENTORY=s3://... or LIST=s3://..."
        )
    return Asked(source="prefix", policy=policy, bucket=bucket, prefix=prefix)


def _address(name: str, text: str) -> tuple[str, str]:
    found = re.fullmatch(rf"s3://({_BUCKET})/(.+)", text)
    if not found:
        raise Trouble(f"{name}={text} is no object of S3: it must look like s3://BUCKET/KEY.")
    return found[1], found[2]


def _inventory(key: str) -> Source:
    if not key.endswith("manifest.json"):
        raise Trouble(f"INVENTORY= names {key}: it must be the manifest.json that S3 Inventory wrote beside its files.")
    return "inventory"


def _kind(key: str) -> Source:
    for ending, source in _ENDINGS.items():
        if key.lower().endswith(ending):
            return source
    raise Trouble(f"LIST= names {key}: by its ending it must be one of {', '.join(_ENDINGS)}.")
