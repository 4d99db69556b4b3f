"""A stack of jobs on a local AWS, the commands at it, and what is in its results."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.emulator import JOBS, Emulator
from support.pictures import drawn, encoded
from tools.jobs.__main__ import main
from tools.jobs.redrive import main as redrive

SETTINGS = {**JOBS, "jobBatch": 10, "jobToleratedFailures": 50}
KINDS = [encoded(drawn(*what)) for what in (("red", "circle"), ("blue", "square"), ("green", "star"))]
PICTURES = {f"in/{number:03} ü+%20.png": KINDS[number % 3] for number in range(120)}
FEW = {f"few/{number} a+b ü.png": KINDS[number % 3] for number in range(6)}


@dataclass(frozen=True, kw_only=True)
class Stack:
    emulator: Emulator
    names: dict[str, str]

    def job(self, *arguments: str) -> int:
        return main(["--endpoint", self.emulator.url, "--policy", "demo", "--every", "0.1", *arguments])

    def redrive(self, *arguments: str) -> int:
        return redrive(["--endpoint", self.emulator.url, "--queue", self.names["queue"].rpartition("/")[2], *arguments])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the workers that there are do nothing meanwhile, so that a job cannot be over too soon."""
        workers = self.emulator.workers()
        for number in workers:
            os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            for number in workers:
                os.kill(number, signal.SIGCONT)

    def put(self, key: str, data: bytes, bucket: str = "pictures") -> None:
        self.emulator.client("s3").put_object(Bucket=bucket, Key=key, Body=data)

    def records(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        s3 = self.emulator.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="results", Prefix=prefix):
            for found in page.get("Contents", []):
                yield found["Key"], s3.get_object(Bucket="results", Key=found["Key"])["Body"].read()

    def lines(self, prefix: str, bucket: str = "pictures") -> list[dict[str, Any]]:
        parts = (part for _, part in self.records(f"verdicts/bucket={bucket}/"))
        lines = (json.loads(line) for part in parts for line in part.splitlines())
        return [line for line in lines if line["source"]["key"].startswith(prefix)]

    def judged(self, prefix: str, bucket: str = "pictures") -> Counter[str]:
        """The keys that begin like this, with their number of lines."""
        return Counter(line["source"]["key"] for line in self.lines(prefix, bucket))

    def waiting(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.emulator.client("sqs").get_queue_attributes(QueueUrl=self.names[queue], AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


def execution_in(text: str) -> str:
    """The ARN that a command said."""
    return next(word for word in text.split() if ":execution:" in word).removeprefix("EXECUTION=")


def summary_of(stack: Stack, execution: str) -> dict[str, Any]:
    ((_, data),) = stack.records(f"jobs/{execution.rpartition(':')[2]}/summary.json")
    found: dict[str, Any] = json.loads(data)
    return found


def event(key: str) -> str:
    detail = {"bucket": {"name": "uploads"}, "object": {"key": key, "size": len(KINDS[0])}}
    return json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
