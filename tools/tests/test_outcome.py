"""A page has the twenty worst mistakes of each kind, and the count of all of them."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from moderator.policy.file import read_policies
from moderator.policy.verdict import action_of
from moderator.settings import Settings
from tools.calibration.outcome import Outcome, mistakes

REVIEW, BLOCK = 0.4, 0.7


def test_of_many_mistakes_the_twenty_worst_are_shown_and_all_are_counted() -> None:
    policy = read_policies(Settings().policies_dir, max_labels=1000)["demo"]
    category = replace(policy.categories[0], review=REVIEW, block=BLOCK)
    policy = replace(policy, categories=(category, *policy.categories[1:]))
    allowed = np.linspace(0, REVIEW, 60, endpoint=False).tolist()
    blocked = np.linspace(BLOCK, 1, 50).tolist()
    scores = [*allowed, *blocked]
    random.Random(1).shuffle(scores)
    # Whatever is allowed shows the category, and whatever is blocked does not.
    names = tuple(frozenset({category.name} if score < REVIEW else ()) for score in scores)
    judged = Outcome(
        scores={one.name: np.array(scores if one is category else [0.0] * len(scores)) for one in policy.categories},
        actions={
            one.name: tuple(action_of(one, score if one is category else 0.0) for score in scores)
            for one in policy.categories
        },
        verdicts=(),
    )
    missed, wrongly_blocked = mistakes(policy, judged, names)
    assert (missed.kind, missed.count) == ("missed", 60)
    assert [scores[place] for place in missed.pictures] == sorted(allowed)[:20]
    assert (wrongly_blocked.kind, wrongly_blocked.count) == ("wrongly blocked", 50)
    assert [scores[place] for place in wrongly_blocked.pictures] == sorted(blocked, reverse=True)[:20]
