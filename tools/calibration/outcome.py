"""What a policy does with labelled pictures: each one's verdict and scores, and where it is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from moderator.policy.policy import ACTIONS, Action, Policy
from moderator.policy.verdict import action_of, worst
from tools.calibration.calibrate import Names, reports_only
from tools.calibration.evidence import Similarities
from tools.calibration.fit import Curve, Probabilities

Kind = Literal["missed", "wrongly blocked", "wrongly sent to review"]
_MOST_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one policy does."""

    scores: dict[str, Probabilities]  # by category
    actions: dict[str, tuple[Action, ...]]  # by category
    verdicts: tuple[Action, ...]


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """The pictures that one category is wrong about in one way."""

    category: str
    kind: Kind
    count: int
    pictures: tuple[int, ...]  # the worst first, no more than a page shows


@dataclass(frozen=True, kw_only=True)
class Change:
    """The pictures whose verdict is new."""

    kind: Literal["newly blocked", "newly allowed"]
    count: int
    pictures: tuple[int, ...]  # those that changed most first, no more than a page shows


def outcome(policy: Policy, similarities: Similarities) -> Outcome:
    """Judge all pictures, without the policy's sample, which is not a judgement."""
    scores = {
        category.name: Curve(category.scale, category.offset)(similarities.evidence(category))
        for category in policy.categories
    }
    actions = {
        category.name: tuple(action_of(category, score) for score in scores[category.name].tolist())
        for category in policy.categories
    }
    return Outcome(
        scores=scores,
        actions=actions,
        verdicts=tuple(worst(of_picture) for of_picture in zip(*actions.values(), strict=True)),
    )


def mistakes(policy: Policy, after: Outcome, names: Names) -> list[Mistakes]:
    """List where each category that acts is wrong; the kinds without a mistake are left out."""
    found = []
    for category in policy.categories:
        if reports_only(category):
            continue
        scores, actions = after.scores[category.name], after.actions[category.name]
        shows = [category.name in of_picture for of_picture in names]
        wrong: dict[Kind, list[int]] = {
            "missed": [place for place, action in enumerate(actions) if shows[place] and action == "allow"],
            "wrongly blocked": [
                place for place, action in enumerate(actions) if not shows[place] and action == "block"
            ],
            "wrongly sent to review": [
                place for place, action in enumerate(actions) if not shows[place] and action == "review"
            ],
        }
        for kind, places in wrong.items():
            places.sort(key=lambda place: (scores[place] if kind == "missed" else -scores[place], place))
            if places:
                found.append(
                    Mistakes(category=category.name, kind=kind, count=len(places), pictures=tuple(places[:_MOST_SHOWN]))
                )
    return found


def changes(before: Outcome, after: Outcome) -> list[Change]:
    """List the pictures that are newly blocked, and those that are newly allowed."""

    def change(kind: Literal["newly blocked", "newly allowed"], action: Action) -> Change:
        places = [
            place
            for place, (was, now) in enumerate(zip(before.verdicts, after.verdicts, strict=True))
            if now == action and was != action
        ]
        places.sort(key=lambda place: (-abs(ACTIONS.index(before.verdicts[place]) - ACTIONS.index(action)), place))
        return Change(kind=kind, count=len(places), pictures=tuple(places[:_MOST_SHOWN]))

    return [change("newly blocked", "block"), change("newly allowed", "allow")]


def confusion(policy: Policy, judged: Outcome, names: Names) -> dict[str, dict[Action, int]]:
    """Count verdicts by what pictures show; one that shows several things counts for each, and "nothing" is the rest.

    Categories that only report count as nothing.
    """
    acting = {category.name for category in policy.categories if not reports_only(category)}
    rows: dict[str, Counter[Action]] = {name: Counter() for name in [*sorted(acting), "nothing"]}
    for verdict, of_picture in zip(judged.verdicts, names, strict=True):
        for name in of_picture & acting or {"nothing"}:
            rows[name][verdict] += 1
    return {name: {action: counted[action] for action in ACTIONS} for name, counted in rows.items()}


def transitions(before: Sequence[Action], after: Sequence[Action]) -> list[list[int]]:
    """Count pictures by their verdict before (rows) and after (columns), from allow to block."""
    table = np.zeros((len(ACTIONS), len(ACTIONS)), np.int64)
    for was, now in zip(before, after, strict=True):
        table[ACTIONS.index(was), ACTIONS.index(now)] += 1
    counted: list[list[int]] = table.tolist()
    return counted
