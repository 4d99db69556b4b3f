"""What the decoder's process and its parent say to each other over two pipes: small messages of a kind and a length.

The parent sends the job and what is asked of the file; the child sends frames. No message can hold more than data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

# From the child
READY, READ, OPENED, FRAME, DONE, REFUSED = b"Y", b"R", b"O", b"F", b"D", b"E"
# From the parent
JOB, BYTES, NO_MORE = b"J", b"B", b"N"

HEAD = struct.Struct(">cI")  # kind, bytes that follow
REQUEST = struct.Struct(">QI")  # of READ: where, and how many bytes
MOMENT = struct.Struct(">IQddB")  # of FRAME: which moment, frame number, second, share unseen, parts; then pixels

Container = Literal["mov", "matroska"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one video may cost. The counts come first, so that a slower machine gives the same answer."""

    seconds: float = 60.0  # of the clock: the last resort, as the next one is
    cpu_seconds: int = 40
    bytes_read: int = 256_000_000
    memory: int = 1_000_000_000  # bytes beyond what the process has at its start
    pixels: int = 36_000_000  # of a frame: 8K has 33 million
    # Between key frames, where these are further apart than the moments that the policy asks for.
    frames_between: int = 20_000
    pixels_between: int = 2_000_000_000  # 6 minutes of 640 x 360, or 38 s of 1920 x 1080, at 25 frames a second


def message(kind: bytes, *payload: bytes | memoryview) -> bytes:
    """Return a message as it goes over the pipe."""
    return b"".join([HEAD.pack(kind, sum(map(len, payload))), *payload])
