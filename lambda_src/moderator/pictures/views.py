"""Which part of a picture is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

View = Literal["center", "squash", "pad", "tiles"]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How much of a picture is looked at."""

    kind: View
    parts: int
    unseen: float
