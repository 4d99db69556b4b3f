"""Does work in batches where one bad item fails its whole batch: the others are not made to suffer for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from moderator.errors import RequestError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_halves(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Sequence[Result]],
    refused: Callable[[Item, RequestError], Result],
) -> list[Result]:
    """Return `work(items)`; if that is refused, try each half, until the item at fault stands alone."""
    try:
        return list(work(items))
    except RequestError as error:
        if len(items) == 1:
            return [refused(items[0], error)]
    half = len(items) // 2
    return in_halves(items[:half], work, refused) + in_halves(items[half:], work, refused)
