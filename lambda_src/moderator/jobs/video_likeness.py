"""Finds frames that are nearly black, and neighbours that show the same.

Both are asked of small blocks, not of a frame on average: a small thing in a dark or still scene is a thing to look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from moderator.pictures.decode import Frame
from moderator.pictures.preprocessing import Pixels

_BLOCKS = 14  # along a side: of 16 x 16 pixels at 224 x 224, the smallest patches of the usual towers

# Of 255. The darkest scene in which one would see anything has a block brighter than that; a faded one has none.
_BLACK = 12.0
# What encoding the same scene twice changes in a block is less; a thing that comes or goes changes its blocks by tens.
_SAME = 5.0

_Blocks = npt.NDArray[np.float32]  # (parts, down, across, 3)


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """The frames to judge; those that are alike share their parts, the very same tuple."""

    frames: tuple[Frame, ...]  # in order of time, at least one
    dark: int  # left out
    alike: int  # of `frames`, how many share the parts of the one before


def likeness(frames: Sequence[Frame]) -> Likeness:
    """Leave out black frames, and have each frame that shows what the one before showed share its parts.

    A video that is all black keeps one frame: something must be judged. A frame is compared with the one that was kept,
    not with the one before it, so that what changes slowly is looked at again.
    """
    kept: list[Frame] = []
    alike = dark = 0
    blocks: _Blocks | None = None
    for frame in frames:
        these = np.stack([_blocks(part) for part in frame.parts])
        if these.max() < _BLACK:
            dark += 1
            continue
        if blocks is not None and np.abs(these - blocks).max() < _SAME:
            kept.append(replace(frame, parts=kept[-1].parts))
            alike += 1
            continue
        kept.append(frame)
        blocks = these
    if not kept:
        kept, dark = [frames[0]], dark - 1
    return Likeness(frames=tuple(kept), dark=dark, alike=alike)


def _blocks(part: Pixels) -> _Blocks:
    """Average a part over blocks of as many whole pixels as fit; the rest joins the last ones' neighbours."""
    down, across = (np.linspace(0, side, min(_BLOCKS, side) + 1).astype(int)[:-1] for side in part.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(part, down, axis=0, dtype=np.float32), across, axis=1)
    areas = np.outer(np.diff([*down, part.shape[0]]), np.diff([*across, part.shape[1]]))
    means: _Blocks = (sums / areas[:, :, np.newaxis]).astype(np.float32)
    return means
