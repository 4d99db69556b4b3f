"""Which frames of an animated picture are looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FrameSampling:
    """How an animated picture is sampled."""

    most: int
    every: float
