"""Sends requests to a server in a process of its own, and holds each of them to what a request may cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from support.harness import Reply
from support.server_process import ServerProcess

SECONDS = 1.0
BYTES = 300 * 1000 * 1000


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a request took of the server: seconds, and bytes of memory above what it had."""

    seconds: float
    bytes: int


@dataclass(frozen=True)
class Probe:
    """Measures each request, in the server's own processor time, because others use this machine too."""

    server: ServerProcess

    def measure(self, ask: Callable[[], Reply]) -> tuple[Reply, Cost]:
        """Ask, and say what it took."""
        before = self.server.resident_bytes
        self.server.forget_peak()
        began, used = time.perf_counter(), self.server.processor_seconds
        reply = ask()
        seconds = min(time.perf_counter() - began, self.server.processor_seconds - used)
        return reply, Cost(seconds=seconds, bytes=self.server.peak_bytes - before)

    def ask(self, name: str, ask: Callable[[], Reply], *, tries: int = 3) -> Reply:
        """Ask, and fail where it takes more than a request may; the least time of three counts."""
        reply, cost = self.measure(ask)
        assert cost.bytes < BYTES, f"{name}: {cost.bytes / 1e6:.0f} MB more"
        if cost.seconds >= SECONDS and tries > 1:
            return self.ask(name, ask, tries=tries - 1)
        assert cost.seconds < SECONDS, f"{name}: {cost.seconds:.2f} s"
        return reply

    def picture(self, name: str, data: bytes) -> Reply:
        """Send a picture to be classified."""
        return self.ask(name, lambda: self.server.service.post_picture(data, "label=a+red+circle&label=a+blue+square"))
