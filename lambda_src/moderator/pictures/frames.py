"""Chooses the frames of an animated picture that are looked at."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

# Far more than float64's rounding, far less than a clock's tick.
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class FrameSampling:
    """How many frames of an animated picture are looked at."""

    most: int
    every: float  # the least number of seconds between two of them

    def chosen(self, starts: Sequence[float]) -> list[tuple[int, float]]:
        """Choose moments, evenly spread from the first frame's start to the last one's, and the frames shown then.

        Args:
            starts: the second at which each frame begins, at least one.

        Returns:
            number and second of each frame, in order; once for a frame that is shown at several moments.
        """
        last = starts[-1] - starts[0]
        # Seconds that are added up fall short of 0.3 / 0.1 = 3 by a bit, which must not cost a frame.
        steps = self.most - 1 if self.every <= 0 else int(min(self.most - 1, last / self.every * (1 + _ROUNDING)))
        moments = [starts[0] + last * step / steps for step in range(steps)] if steps else []
        moments.append(starts[-1] if steps else starts[0])
        shown: dict[int, float] = {}
        for moment in moments:
            number = bisect.bisect_right(starts, moment + last * _ROUNDING) - 1
            shown.setdefault(number, max(moment, starts[number]))
        return list(shown.items())
