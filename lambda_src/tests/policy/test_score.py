"""The formula: held to an independent computation, and to what must be true of any score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moderator.clip.probabilities import softmax
from moderator.policy.score import Cosines, Scores, evidence, frames_that_count, over_parts, scores
from support.policies import judged_by, policy

# How long an example takes depends on what else the machine is doing.
UNHURRIED = settings(deadline=None)
LOGIT_SCALES = st.floats(1e-3, 1e4)
SIDES = st.integers(1, 6)
SEEDS = st.integers(0, 2**32 - 1)


def cosines(seed: int, *shape: int) -> Cosines:
    """Any cosines, the ends of their range often among them."""
    rng = np.random.default_rng(seed)
    values = np.clip(rng.normal(0, rng.choice([0.05, 0.5, 2.0]), shape), -1, 1)
    return values.astype(np.float32)


def score(labels: int, row: Cosines, logit_scale: float, **of_policy: float) -> float:
    """Score one row, whose first `labels` speak for the category."""
    return float(scores(judged_by(labels, len(row) - labels, **of_policy), row, logit_scale)[0])


class TestFormula:
    @UNHURRIED
    @given(
        labels=SIDES,
        against=SIDES,
        seed=SEEDS,
        logit_scale=st.floats(1e-3, 120),
        scale=st.floats(0.1, 3),
        offset=st.floats(-3, 3),
    )
    def test_it_is_what_the_classifiers_probabilities_say(
        self, labels: int, against: int, seed: int, logit_scale: float, scale: float, offset: float
    ) -> None:
        """Means of probabilities over the same labels stand in the same ratio as the means of the formula."""
        row = cosines(seed, labels + against)
        probabilities = softmax(np.float32(logit_scale) * row[None])[0]
        odds = probabilities[:labels].mean() / probabilities[labels:].mean()
        calibrated = odds**scale * np.exp(offset)
        expected = calibrated / (1 + calibrated) if np.isfinite(calibrated) else 1.0
        assert score(labels, row, logit_scale, scale=scale, offset=offset) == pytest.approx(expected, abs=1e-5)

    def test_by_hand(self) -> None:
        """The mean of e and e^2 speaks for it, e^0 against it: (2.718 + 7.389) / 2 = 5.054 to 1."""
        assert score(2, np.array([0.1, 0.2, 0.0], np.float32), 10.0) == pytest.approx(5.0537 / 6.0537, abs=1e-4)

    def test_as_much_for_it_as_against_it_is_a_half(self) -> None:
        assert score(3, np.full(8, 0.25, np.float32), 100.0) == 0.5


class TestProperties:
    @UNHURRIED
    @given(labels=SIDES, against=SIDES, copies=st.integers(2, 5), seed=SEEDS, logit_scale=LOGIT_SCALES)
    def test_more_of_the_same_prompts_weigh_no_more(
        self, labels: int, against: int, copies: int, seed: int, logit_scale: float
    ) -> None:
        logits = cosines(seed, labels + against).astype(np.float64) * logit_scale
        first, second = logits[:labels], logits[labels:]
        alone = evidence(first, second)
        assert evidence(np.tile(first, copies), second) == pytest.approx(alone, rel=1e-12, abs=1e-9)
        assert evidence(first, np.tile(second, copies)) == pytest.approx(alone, rel=1e-12, abs=1e-9)

    @UNHURRIED
    @given(
        labels=SIDES,
        against=SIDES,
        seed=SEEDS,
        logit_scale=LOGIT_SCALES,
        step=st.floats(0, 2),
        place=st.integers(0, 11),
    )
    def test_a_score_rises_with_its_labels_and_falls_with_its_negatives(
        self, labels: int, against: int, seed: int, logit_scale: float, step: float, place: int
    ) -> None:
        before = cosines(seed, labels + against)
        place %= len(before)
        after = before.copy()
        after[place] = min(1.0, before[place] + step)
        change = score(labels, after, logit_scale) - score(labels, before, logit_scale)
        assert change >= -1e-12 if place < labels else change <= 1e-12

    @UNHURRIED
    @given(labels=SIDES, against=SIDES, seed=SEEDS, place=st.integers(0, 11))
    def test_and_visibly_so_at_a_common_scale(self, labels: int, against: int, seed: int, place: int) -> None:
        before = np.random.default_rng(seed).uniform(0.1, 0.15, labels + against).astype(np.float32)
        place %= len(before)
        after = before.copy()
        after[place] += 0.01
        change = score(labels, after, 100.0) - score(labels, before, 100.0)
        assert change > 1e-4 if place < labels else change < -1e-4

    @UNHURRIED
    @given(
        labels=SIDES,
        against=SIDES,
        seed=SEEDS,
        logit_scale=LOGIT_SCALES,
        scale=st.floats(0, 1.7e308, exclude_min=True),
        offset=st.floats(-1.7e308, 1.7e308),
    )
    def test_nothing_overflows(
        self, labels: int, against: int, seed: int, logit_scale: float, scale: float, offset: float
    ) -> None:
        with np.errstate(all="raise", under="ignore"):
            for row in (cosines(seed, labels + against), np.repeat([1, -1], [labels, against]).astype(np.float32)):
                for argument in (row, -row):
                    assert 0 <= score(labels, argument, logit_scale) < 1
                    assert 0 <= score(labels, argument, logit_scale, scale=scale, offset=offset) < 1

    def test_overwhelming_evidence_comes_as_near_to_1_as_can_be_but_not_to_it(self) -> None:
        """So that a threshold of 1 is never reached."""
        assert score(1, np.array([1, -1], np.float32), 1e4) == 1 - 2**-53

    @UNHURRIED
    @given(seed=SEEDS, frames=st.integers(1, 9), logit_scale=LOGIT_SCALES)
    def test_a_picture_is_scored_the_same_alone_and_in_company(
        self, seed: int, frames: int, logit_scale: float
    ) -> None:
        """Bit for bit, with enough labels for numpy to add them up in blocks."""
        many = judged_by(40, 300)
        rows = cosines(seed, frames, 340)
        together = scores(many, rows, logit_scale)
        odd = np.asfortranarray(rows)[::-1][:, None, :]
        for number in range(frames):
            alone = scores(many, rows[number], logit_scale)
            assert np.array_equal(alone, together[number])
            assert np.array_equal(alone, scores(many, odd, logit_scale)[frames - 1 - number, 0])

    @UNHURRIED
    @given(seed=SEEDS, order=st.permutations(range(20)), logit_scale=LOGIT_SCALES)
    def test_order_is_irrelevant(self, seed: int, order: list[int], logit_scale: float) -> None:
        """Bit for bit: categories and labels, as the request lists them."""
        labels = [f"label {number}" for number in range(20)]
        similarity = dict(zip(labels, cosines(seed, 20), strict=True))

        def scored(numbers: list[int]) -> dict[str, float]:
            shuffled = [labels[number] for number in numbers]
            a, b = set(labels[:12]), set(labels[11:14])
            categories: dict[str, Any] = {
                name: {
                    "labels": [label for label in shuffled if label in own],
                    "against": [label for label in shuffled if label not in own and label != labels[19]],
                    "review": 0.5,
                }
                for name, own in sorted({"a": a, "b": b}.items(), reverse=numbers[0] > 9)
            }
            read = policy({"neutral": [labels[19]], "categories": categories})
            row = np.array([similarity[label] for label in read.labels])
            return dict(
                zip((each.name for each in read.categories), scores(read, row, logit_scale).tolist(), strict=True)
            )

        assert scored(order) == scored(list(range(20)))

    @UNHURRIED
    @given(seed=SEEDS, logit_scale=LOGIT_SCALES)
    def test_each_category_is_judged_by_itself(self, seed: int, logit_scale: float) -> None:
        own = {"labels": ["1", "2"], "against": ["3"], "review": 0.5}
        alone = policy({"neutral": ["4"], "categories": {"x": own}})
        beside = policy(
            {"neutral": ["4"], "categories": {"x": own, "a": {"labels": ["0", "3"], "against": ["1"], "block": 0.1}}}
        )
        row = cosines(seed, 5)
        assert scores(alone, row[1:], logit_scale)[0] == scores(beside, row, logit_scale)[1]


class TestPartsAndFrames:
    def test_a_label_is_as_similar_as_to_the_part_that_it_fits_best(self) -> None:
        parts = np.array([[[0.1, 0.9, -0.3], [0.2, 0.8, -0.5]]], np.float32)  # (frames, parts, labels)
        assert over_parts(parts).tolist() == [pytest.approx([0.2, 0.9, -0.3])]

    @UNHURRIED
    @given(seed=SEEDS, frames=st.integers(1, 9), at_least=st.integers(1, 12))
    def test_the_frame_that_counts_has_the_nth_highest_score(self, seed: int, frames: int, at_least: int) -> None:
        by_frame: Scores = np.random.default_rng(seed).integers(0, 4, (frames, 3)) / 4
        counting = frames_that_count(by_frame, at_least)
        for category in range(3):
            column = by_frame[:, category].tolist()
            assert column[counting[category]] == sorted(column, reverse=True)[min(at_least, frames) - 1]

    @UNHURRIED
    @given(seed=SEEDS, frames=st.integers(1, 9))
    def test_of_equal_frames_the_first_counts(self, seed: int, frames: int) -> None:
        column: Scores = np.random.default_rng(seed).integers(0, 2, (frames, 1)) / 2
        assume(column.max() > 0)
        assert frames_that_count(column, 1)[0] == column[:, 0].tolist().index(0.5)
