"""Finds near-duplicates, such as frames of one video or a picture saved twice: they should not count as several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from moderator.pictures.batch import Picture, read_batch
from moderator.pictures.preprocessing import Preprocessing

Groups = npt.NDArray[np.int64]  # (pictures,), the same number for near-duplicates
Weights = npt.NDArray[np.float64]  # (pictures,)

_SIDE = 9
# Not the model's own: which pictures are alike is no matter of the model.
_SMALL = Preprocessing(height=_SIDE, width=_SIDE, resize_mode="squash", interpolation="bicubic")
# Of 255. Less is noise: a flat ground would otherwise have another hash whenever it is saved.
_LEAST_STEP = 2.0
# Bits of 128 in which near-duplicates may differ.
_MOST_BITS = 6
# Pictures that are compared with all others at once.
_ROWS = 64


def look_hash(picture: Picture, *, max_pixels: int) -> bytes:
    """Return 16 bytes that hardly change when the picture is scaled, saved again or lightened.

    A difference hash (https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html), over rows and
    over columns.

    Raises:
        RequestError: the picture cannot be read.
    """
    (decoded,) = read_batch([picture], _SMALL, view="squash", frames=None, max_pixels=max_pixels, threads=1)
    grey = decoded.frames[0].parts[0].astype(np.float64).mean(axis=2)
    across = np.diff(grey, axis=1)[:-1] > _LEAST_STEP
    down = np.diff(grey, axis=0)[:, :-1] > _LEAST_STEP
    return np.packbits([across, down]).tobytes()


def groups(hashes: Sequence[bytes]) -> Groups:
    """Number the pictures so that near-duplicates, and near-duplicates of near-duplicates, share a number."""
    words = np.frombuffer(b"".join(hashes), np.uint64).reshape(len(hashes), -1)
    different, places = np.unique(words, axis=0, return_inverse=True)
    numbers = np.arange(len(different))
    columns = np.ascontiguousarray(different.T)
    for start in range(0, len(different), _ROWS):
        # (rows, pictures from the first of the rows on): how many bits differ.
        apart = np.zeros((len(different[start : start + _ROWS]), len(different) - start), np.uint8)
        for column in columns:
            apart += np.bitwise_count(column[start : start + _ROWS, np.newaxis] ^ column[start:])
        for near in apart <= _MOST_BITS:
            joined = np.unique(numbers[start:][near])
            if len(joined) > 1:
                numbers[np.isin(numbers, joined)] = joined[0]
    return numbers[places.reshape(-1)].astype(np.int64)


def first_of_each(groups: Groups, truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the places of the pictures that count: the first of each group.

    Where a group has both kinds, the first of each kind counts. Which one that is does not depend on what it scores.
    """
    _, first = np.unique(_kinds(groups, truth), axis=1, return_index=True)
    return np.sort(first)


def weights(groups: Groups, truth: npt.NDArray[np.bool_]) -> Weights:
    """Weigh the pictures so that each group weighs as much as one picture; where it has both kinds, each kind does."""
    _, places, counts = np.unique(_kinds(groups, truth), axis=1, return_inverse=True, return_counts=True)
    weighed: Weights = 1.0 / counts[places.reshape(-1)]
    return weighed


def _kinds(groups: Groups, truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.stack([groups, truth.astype(np.int64)])
