"""What a folder's page shows: the pictures by verdict and category, the worst first, as far as a page can hold them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from moderator.policy.policy import ACTIONS, Policy
from tools.files import printable
from tools.folder.ledger import Line

# The most pictures that a group shows: a page of thousands would be slow to open, and nobody scrolls that far.
_MOST_SHOWN = 60


@dataclass(frozen=True, kw_only=True, order=True)
class Shown:
    """One picture within a group; the later in order, the worse: `over` is the score less the threshold."""

    over: float
    score: float
    path: str
    category: str
    threshold: float | None
    label: str | None
    is_video: bool = False
    seconds: float | None = None  # of what moves: when

    @property
    def shown(self) -> str:
        """The path as a page can carry it."""
        return printable(self.path)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The pictures that got one verdict because of one category; the allowed ones have none."""

    verdict: str
    category: str
    count: int
    pictures: tuple[Shown, ...]  # the worst first


def groups(lines: Iterable[Line], policy: Policy) -> list[Group]:
    """Group the pictures that could be judged, holding no more of them than are shown."""
    counts: Counter[tuple[str, str]] = Counter()
    worst: dict[tuple[str, str], list[Shown]] = {}
    lowest = {
        category.name: min(threshold for threshold in (category.review, category.block) if threshold is not None)
        for category in policy.categories
    }
    for line in lines:
        if "error" in line:
            continue
        for category, shown in _places(line, lowest):
            group = (line["verdict"], category)
            counts[group] += 1
            heap = worst.setdefault(group, [])
            (heapq.heappush if len(heap) < _MOST_SHOWN else heapq.heappushpop)(heap, shown)
    ordered = sorted(counts, key=lambda group: (-ACTIONS.index(group[0]), -counts[group], group[1]))
    return [
        Group(verdict=verdict, category=category, count=counts[verdict, category], pictures=_descending(heap))
        for verdict, category in ordered
        for heap in [worst[verdict, category]]
    ]


def _places(line: Line, lowest: dict[str, float]) -> Iterable[tuple[str, Shown]]:
    path = line["source"]["path"]
    # Where one category blocks a picture, another that only asks for review is not the reason.
    reasons = [reason for reason in line["reasons"] if reason["action"] == line["verdict"]]
    for reason in reasons:
        yield (
            reason["category"],
            Shown(
                over=reason.get("score", 0.0) - reason.get("threshold", 0.0),
                path=path,
                category=reason["category"],
                score=reason.get("score", 0.0),
                threshold=reason.get("threshold"),
                label=reason.get("label"),
                is_video="video" in line,
                seconds=reason.get("seconds"),
            ),
        )
    if not reasons:
        # Of an allowed picture, the category that came nearest to its threshold; those that only report never act.
        acting = {name: seen for name, seen in line["categories"].items() if lowest[name] < 1} or line["categories"]
        name = max(acting, key=lambda name: acting[name]["score"] - lowest[name])
        yield (
            "",
            Shown(
                over=acting[name]["score"] - lowest[name],
                path=path,
                category=name,
                score=acting[name]["score"],
                threshold=lowest[name],
                label=None,
                is_video="video" in line,
            ),
        )


def _descending(heap: list[Shown]) -> tuple[Shown, ...]:
    return tuple(sorted(heap, key=lambda shown: (-shown.over, shown.path)))
