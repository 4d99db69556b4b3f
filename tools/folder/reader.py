"""Decodes pictures a batch ahead: the CPUs that the tower leaves idle between its batches do it meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from moderator.errors import RequestError
from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.decode import Decoded
from moderator.pictures.frames import FrameSampling
from moderator.policy.policy import Policy
from tools.core import Core
from tools.halving import in_halves


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture's bytes, and where they were found."""

    source: dict[str, Any]
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Read:
    """A picture's pixels, or why there are none."""

    found: Found
    decoded: Decoded | RequestError


class Reader:
    """Reads pictures as one policy looks at them."""

    def __init__(self, core: Core, policy: Policy) -> None:
        self._core = core
        self._view = policy.view
        self._sampling = FrameSampling(most=policy.frames.most, every=policy.frames.every)
        self._thread = ThreadPoolExecutor(1)
        self._decoding: Future[list[Read]] | None = None

    def __enter__(self) -> Self:
        """Start with nothing to decode."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread."""
        self._thread.shutdown()

    def exchange(self, batch: Sequence[Found]) -> list[Read]:
        """Begin to decode `batch`, and return the one before it: two are held, and no more."""
        before, self._decoding = self._decoding, self._thread.submit(self._read, batch)
        return before.result() if before else []

    def _read(self, batch: Sequence[Found]) -> list[Read]:
        decoded = in_halves(batch, self._decode, lambda _, error: error) if batch else []
        return [Read(found=found, decoded=one) for found, one in zip(batch, decoded, strict=True)]

    def _decode(self, batch: Sequence[Found]) -> Sequence[Decoded | RequestError]:
        return read_batch(
            [Picture(name="The file", data=found.data) for found in batch],
            self._core.model.preprocessing,
            view=self._view,
            frames=self._sampling,
            max_pixels=self._core.settings.max_pixels,
            threads=self._core.threads,
        )
