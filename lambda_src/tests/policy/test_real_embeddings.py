"""A policy on real embeddings of real photographs.

Its texts and thresholds were chosen while looking at these very photographs. So this shows that the formula separates
on real cosines, at a real logit scale; it says nothing about how good a model or a policy is.
"""

from __future__ import annotations

import numpy as np
import pytest

from moderator.policy.verdict import Verdict, judge
from support.lit_embeddings import LOGIT_SCALE, descriptions, photographs, texts
from support.policies import policy

PHOTOGRAPHS = photographs()

POLICY = policy(
    {
        "description": "Block soft toys; have a person look at dogs, horses, motorbikes and Easter; allow the rest.",
        "neutral": [
            "a mountain", "a tree", "a book", "hands", "a car", "a robot", "chess", "waffles", "a telephone",
            "a vibrant painting", "words on a wall", "a wall", "fingers", "a cat", "a bird", "a fish out of water",
            "action toy", "a rabbit class", "the easter bunny", "a mathematician", "a man reading a newspaper",
            "astronaut in a space suit", "blue sky", "flowers in summer", "a construction helmet", "christmas presents",
            "an apple", "one penguin", "a buffalo", "a raccoon in a tree", "a hedgehog", "a dinosaur",
            "bright colored striped socks", "dragonfly dancing on water", "the inside of a computer",
            "many people skiing", "a beach in the sunset", "fountain", "a statue of a blue cow's head",
            "sci-fi movie poster", "an odd painting",
        ],
        "categories": {
            "dogs": {
                "labels": ["a dog", "a french dog", "an intellectual dog", "the dogecoin dog"],
                "against": ["a teddy bear", "a koala in a tree", "a horse"],
                "review": 0.9,
            },
            "horses": {
                "labels": ["a horse", "a baby horse", "a horse and her baby", "An astronaut riding a horse in space"],
                "against": ["a dog", "a pegasus", "black and white knight on a chess board"],
                "review": 0.9,
            },
            "motorbikes": {
                "labels": ["a motorbike", "a vintage chopper bike", "a rocket fuelled bike"],
                "against": ["a skateboard", "a bike"],
                "review": 0.8,
            },
            "Easter": {
                "labels": [
                    "coloured eggs", "a bowl of easter eggs", "easter eggs in a brown nest", "an easter egg on a rack",
                    "a brown rabbit figurine and a bowl of easter eggs",
                ],
                "against": [
                    "donuts", "fried eggs", "eggs for cooking", "egg food", "strawberry dessert", "coloured boxes",
                    "cured egg with beets emulsion", "a small yellow bird toy and a daffodil on brown wood",
                ],
                "review": 0.9,
            },
            "soft toys": {
                "labels": [
                    "a teddy bear", "a white teddy bear", "a teddybear on a skatboard in times square", "a bear doll",
                    "a monkey doll", "a small yellow bird toy and a daffodil on brown wood",
                ],
                "against": [
                    "a bear", "a monkey", "a screaming orange action hero toy",
                    "a round blue monster toy in the forest", "a dog", "a dog with a red cat",
                    "a brown rabbit figurine", "coloured eggs",
                ],
                "block": 0.9,
            },
        },
    }
)  # fmt: skip

# Photograph -> verdict and category, by what its description says; all others should be allowed.
EXPECTED = {
    "1": ("review", "dogs"),
    "25": ("review", "dogs"),
    "44": ("review", "dogs"),
    "6": ("review", "horses"),
    "43": ("review", "horses"),
    "20": ("review", "motorbikes"),
    "30": ("review", "motorbikes"),
    "53": ("review", "Easter"),
    "55": ("review", "Easter"),
    "56": ("review", "Easter"),
    "57": ("review", "Easter"),
    "28": ("block", "soft toys"),
    "33": ("block", "soft toys"),
    "45": ("block", "soft toys"),
    "50": ("block", "soft toys"),
    "54": ("block", "soft toys"),
}


def verdict_on(photograph: str) -> Verdict:
    embedded = texts()
    labels = np.stack([embedded[label] for label in POLICY.labels])
    cosines = np.einsum("pd,ld->pl", PHOTOGRAPHS[photograph][None], labels)
    return judge(POLICY, cosines[None], LOGIT_SCALE)


@pytest.mark.parametrize(
    "photograph", [pytest.param(number, id=f"{number}: {descriptions()[number]}") for number in PHOTOGRAPHS]
)
def test_a_photograph_gets_the_expected_verdict(photograph: str) -> None:
    verdict = verdict_on(photograph)
    action, category = EXPECTED.get(photograph, ("allow", None))
    assert verdict.action == action
    assert [reason.category for reason in verdict.reasons] == ([category] if category else [])


def test_the_files_are_whole() -> None:
    """As their note says: a cat, two penguins and a horse are told apart."""
    embedded = texts()
    for photograph, place, least in (("3", 0, 0.999), ("5", 1, 0.999), ("6", 2, 0.95)):
        logits = [
            LOGIT_SCALE * float(PHOTOGRAPHS[photograph] @ embedded[text])
            for text in ("a cat", "two penguins walking", "a horse")
        ]
        exponentials = np.exp(np.array(logits) - max(logits))
        assert exponentials[place] / exponentials.sum() == pytest.approx(least, abs=5e-3)
