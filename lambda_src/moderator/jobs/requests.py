"""How many requests S3 has answered, as it bills them: for reading, or for writing and listing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# https://aws.amazon.com/s3/pricing/: PUT, COPY, POST and LIST cost more than all others; DELETE costs nothing.
_WRITES = ("Put", "Copy", "Create", "Upload", "Complete", "List")
_FREE = ("Delete", "Abort")


@dataclass(frozen=True, kw_only=True)
class Answered:
    """Numbers of requests."""

    reads: int = 0
    writes: int = 0


class Requests:
    """Counts what clients of boto3's ask, each try of a request: by several threads, and told by other processes.

    Not what S3 fails at, which costs nothing: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ErrorCodeBilling.html
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reads = self._writes = 0

    def watch(self, s3: Any) -> None:
        """Count what this client asks from now on."""
        # https://docs.aws.amazon.com/boto3/latest/guide/events.html
        s3.meta.events.register("response-received.s3", self._answered)

    def add(self, answered: Answered) -> None:
        """Count what another process has asked."""
        with self._lock:
            self._reads += answered.reads
            self._writes += answered.writes

    def take(self) -> Answered:
        """Return what was counted since this was last asked."""
        with self._lock:
            answered = Answered(reads=self._reads, writes=self._writes)
            self._reads = self._writes = 0
        return answered

    def _answered(self, *, event_name: str, response_dict: Mapping[str, Any] | None, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        if response_dict is None or response_dict["status_code"] >= 500 or operation.startswith(_FREE):
            return
        is_write = operation.startswith(_WRITES)
        self.add(Answered(reads=not is_write, writes=is_write))
