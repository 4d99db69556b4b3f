"""How many requests to S3 were sent, as S3 bills them: for reading, or for writing and listing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

# https://aws.amazon.com/s3/pricing/: PUT, COPY, POST and LIST cost more than all others; DELETE costs nothing.
_WRITES = ("Put", "Copy", "Create", "Upload", "Complete", "List")
_FREE = ("Delete", "Abort")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Numbers of requests."""

    reads: int = 0
    writes: int = 0


class Requests:
    """Counts what clients of boto3's send, each try of a request: by several threads, and told by other processes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reads = self._writes = 0

    def watch(self, s3: Any) -> None:
        """Count what this client sends from now on."""
        # https://docs.aws.amazon.com/boto3/latest/guide/events.html
        s3.meta.events.register("before-send.s3", self._sent)

    def add(self, sent: Sent) -> None:
        """Count what another process has sent."""
        with self._lock:
            self._reads += sent.reads
            self._writes += sent.writes

    def take(self) -> Sent:
        """Return what was sent since this was last asked."""
        with self._lock:
            sent = Sent(reads=self._reads, writes=self._writes)
            self._reads = self._writes = 0
        return sent

    def _sent(self, *, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        if operation.startswith(_FREE):
            return
        is_write = operation.startswith(_WRITES)
        self.add(Sent(reads=not is_write, writes=is_write))
