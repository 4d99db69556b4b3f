"""On scores whose truth is known: intervals hold the truth, and promises are kept by the thresholds that are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import beta, binom, norm

from tools.calibration.calibrate import fit_and_choose
from tools.calibration.interval import (
    Share,
    at_least,
    mistakes_allowed,
    mistakes_with_confidence,
    needed_on_average,
    needed_with_confidence,
)
from tools.calibration.promises import table
from tools.calibration.thresholds import NEVER, Targets, Threshold, at, choose
from tools.tests.desk import ROOT
from tools.tests.drawn_scores import evidence_and_truth

pytestmark = pytest.mark.slow

DRAWS = 1000
# What so many draws allow: a count that true promises miss once in 2000 on either side.
RARE = 0.0005
# pictures, share of the category's, how far the kinds are apart: little, much, and at the edge of the targets.
WORLDS = [(200, 0.3, 2.0), (500, 0.5, 4.0), (1000, 0.3, 3.0)]


def counts_allowed(chance: float, draws: int = DRAWS) -> tuple[int, int]:
    return int(binom.ppf(RARE, draws, chance)), int(binom.ppf(1 - RARE, draws, chance))


def holds(interval: Share, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Thresholds as the tool chose them on one draw, and what is true of them on all pictures of its world."""

    positives: int
    review: Threshold
    block: Threshold | None  # None where nothing is blocked
    recall_at_review: float
    precision_at_block: float
    false_positives_at_block: float


@cache
def draws_of(pictures: int, share_of_it: float, apart: float) -> tuple[Draw, ...]:
    """Calibrate anew on each draw, from evidence whose scale is wrong, as CLIP's is."""
    rng = np.random.default_rng(4)
    drawn = []
    for _ in range(DRAWS):
        evidence, truth = evidence_and_truth(rng, pictures, share_of_it=share_of_it, apart=apart)
        fitted = fit_and_choose(7 * evidence - 40, truth, np.arange(pictures), Targets(), "platt")
        assert fitted is not None
        curve, chosen = fitted.curve, fitted.thresholds
        review, block = (
            ((logit(one.value) - curve.offset) / curve.scale + 40) / 7 if one.value < NEVER else np.inf
            for one in (chosen.review, chosen.block)
        )
        right, wrong = share_of_it * norm.sf(block - apart), (1 - share_of_it) * norm.sf(block)
        drawn.append(
            Draw(
                positives=int(truth.sum()),
                review=chosen.review,
                block=chosen.block if chosen.block.value < NEVER else None,
                recall_at_review=float(norm.sf(review - apart)),
                precision_at_block=float(right / (right + wrong)) if right + wrong else 1.0,
                false_positives_at_block=float(norm.sf(block)),
            )
        )
    return tuple(drawn)


def covers(of: int, chance: float) -> float:
    """Return how often the exact interval of `of` holds `chance`: by the tests that it inverts, not by its formula."""
    hits = np.arange(of + 1)
    inside = (binom.cdf(hits, of, chance) >= 0.025) & (binom.sf(hits - 1, of, chance) >= 0.025)
    return float(binom.pmf(hits, of, chance)[inside].sum())


def test_intervals_of_a_threshold_that_stands_cover_the_truth_as_often_as_they_should() -> None:
    """Neither less often nor more often than Clopper and Pearson's do for these very numbers of pictures."""
    rng = np.random.default_rng(14)
    value, apart = 0.9, 2.0
    above = norm.sf(logit(value) - apart), norm.sf(logit(value))
    true = {
        "recall": float(above[0]),
        "precision": float(0.3 * above[0] / (0.3 * above[0] + 0.7 * above[1])),
        "false_positives": float(above[1]),
    }
    held, expected = dict.fromkeys(true, 0), dict.fromkeys(true, 0.0)
    for _ in range(DRAWS):
        evidence, truth = evidence_and_truth(rng, 300, apart=apart)
        stands = at(value, expit(evidence), truth)
        for name, chance in true.items():
            interval: Share = getattr(stands, name)
            held[name] += holds(interval, chance)
            expected[name] += covers(interval.of, chance) / DRAWS
    for name in true:
        fewest, most = counts_allowed(expected[name])
        assert fewest <= held[name] <= most, (name, held, expected)


@pytest.mark.parametrize("world", WORLDS)
def test_intervals_of_chosen_thresholds_cover_the_truth(world: tuple[int, float, float]) -> None:
    """Although each was chosen on the very pictures that its interval is counted on, and not by being wider.

    One side of an interval is safe where the threshold is one of the scores; then the other holds 97.5 times in 100.
    """
    drawn = draws_of(*world)
    blocked = [one for one in drawn if one.block is not None]
    assert len(blocked) > 0.9 * DRAWS
    held = {
        "recall": [holds(one.review.recall, one.recall_at_review) for one in drawn],
        "precision": [holds(one.block.precision, one.precision_at_block) for one in blocked if one.block],
        "false positives": [
            holds(one.block.false_positives, one.false_positives_at_block) for one in blocked if one.block
        ],
    }
    for name, ones in held.items():
        fewest, most = counts_allowed(0.95, len(ones))[0], counts_allowed(0.975, len(ones))[1]
        assert fewest <= sum(ones) <= most, (name, sum(ones), len(ones))


def test_the_recall_of_a_threshold_that_is_one_of_the_scores_is_distributed_as_it_should_be() -> None:
    """Where no gap moves it, the true recall at the score of rank m + 1 is Beta(n - m, m + 1) distributed."""
    expected, held = 0.0, 0
    for one in draws_of(*WORLDS[0]):
        missed = mistakes_allowed(one.positives, 0.95)
        assert one.review.recall.hits == one.positives - missed
        true = beta(one.positives - missed, missed + 1)
        expected += (true.cdf(one.review.recall.high) - true.cdf(one.review.recall.low)) / DRAWS
        held += holds(one.review.recall, one.recall_at_review)
    fewest, most = counts_allowed(expected)
    assert fewest <= held <= most


@pytest.mark.parametrize("world", WORLDS)
def test_a_promised_precision_is_broken_in_one_calibration_in_twenty_at_most(world: tuple[int, float, float]) -> None:
    """By the threshold that was chosen, which is one of hundreds that could have been."""
    drawn = draws_of(*world)
    broken = sum(one.block is not None and one.block.promised and one.precision_at_block < 0.95 for one in drawn)
    assert broken <= counts_allowed(0.05)[1]
    if world != WORLDS[0]:  # 60 pictures of which a third lie among the others promise nothing
        assert sum(one.block is not None and one.block.promised for one in drawn) > 0.6 * DRAWS


@pytest.mark.parametrize("pictures", [300])
def test_a_precision_that_is_nowhere_reached_is_hardly_ever_promised(pictures: int) -> None:
    """Of all thresholds, none has it, and each just misses it: trying all of them must not find one that seems to."""
    rng = np.random.default_rng(15)
    promised = sum(
        choose(rng.random(pictures), rng.random(pictures) < 0.949, Targets()).block.promised for _ in range(DRAWS)
    )
    fewest, most = counts_allowed(0.949**59)  # the first test passes, which needs 59 right in a row
    assert fewest <= promised <= most


@pytest.mark.parametrize("world", WORLDS)
def test_a_recall_that_is_certain_to_95_percent_is_missed_in_one_calibration_in_twenty_at_most(
    world: tuple[int, float, float],
) -> None:
    drawn = draws_of(*world)
    missed = 0
    for one in drawn:
        surely = at_least(one.positives - mistakes_allowed(one.positives, 0.95), one.positives)
        assert f"with 95 % confidence at least {100 * surely:.3g} %" in one.review.sentence
        missed += one.recall_at_review < surely
    assert missed <= counts_allowed(0.05)[1]
    if world != WORLDS[1]:  # there, the gap between the kinds makes it better
        assert missed >= counts_allowed(0.05)[0]


def test_what_is_promised_on_average_is_kept_on_average() -> None:
    rng = np.random.default_rng(5)
    recalls = []
    for _ in range(DRAWS):
        evidence, truth = evidence_and_truth(rng, 100)
        chosen = choose(expit(evidence), truth, Targets(recall=0.9))
        assert chosen.review.promised
        recalls.append(norm.sf(logit(chosen.review.value) - 2.0))
    error = 4 * float(np.std(recalls)) / DRAWS**0.5
    assert np.mean(recalls) >= 0.9 - error
    assert np.mean(recalls) <= 0.93  # and not by sending everything to review


def test_thresholds_move_the_right_way_with_the_number_of_pictures() -> None:
    """With few, review begins lower and block higher than with many, and both come towards the true ones."""
    rng = np.random.default_rng(6)
    review, block, width = {}, {}, {}
    for pictures in (100, 400, 1600, 6400):
        drawn = [
            choose(expit(evidence), truth, Targets())
            for evidence, truth in (evidence_and_truth(rng, pictures, apart=3.0) for _ in range(100))
        ]
        review[pictures] = np.mean([logit(one.review.value) for one in drawn])
        block[pictures] = np.mean([logit(one.block.value) for one in drawn if one.block.promised] or [np.inf])
        width[pictures] = np.mean([one.review.recall.high - one.review.recall.low for one in drawn])
    assert review[100] < review[400] < review[1600] <= review[6400] + 0.01
    assert width[100] > width[400] > width[1600] > width[6400]
    assert review[6400] == pytest.approx(norm.ppf(0.05) + 3.0, abs=0.05)
    # Where the precision is 0.95: 0.3 sf(t - 3) = 19 * 0.7 sf(t).
    points = np.linspace(1, 4, 30001)
    precise = 0.3 * norm.sf(points - 3) / (0.3 * norm.sf(points - 3) + 0.7 * norm.sf(points))
    true = points[np.argmax(precise >= 0.95)]
    assert block[100] == np.inf
    assert block[400] > block[1600] > block[6400] > true


def test_a_promise_needs_pictures() -> None:
    """The numbers of the conformal bound, and of Clopper and Pearson's."""
    assert [needed_on_average(target) for target in (0.9, 0.95, 0.99)] == [9, 19, 99]
    assert [needed_with_confidence(target) for target in (0.95, 0.99)] == [59, 299]
    assert [mistakes_allowed(pictures, 0.95) for pictures in (18, 19, 38, 39, 99)] == [-1, 0, 0, 1, 4]
    # One side of the exact interval at 59 of 59 just holds 0.95; at 58 it does not.
    assert 0.05 ** (1 / 59) >= 0.95 > 0.05 ** (1 / 58)
    assert 0.05 ** (1 / 299) >= 0.99 > 0.05 ** (1 / 298)
    # On average, 1 in n + 1 is missed: at 19 just 5 %, at 99 just 1 %.
    assert pytest.approx((0.05, 0.01)) == (1 / 20, 1 / 100)


def test_a_precision_is_shown_by_as_many_as_the_exact_interval_says() -> None:
    """With one mistake, 93 pictures show it: the smallest sample sizes of acceptance tests at 95 % are the same."""
    smallest = [int(np.argmax(mistakes_with_confidence(np.arange(400), 0.95) >= mistakes)) for mistakes in range(5)]
    assert smallest == [59, 93, 124, 153, 181]
    for pictures, mistakes in enumerate(mistakes_with_confidence(np.arange(1, 400), 0.95).tolist(), start=1):
        assert at_least(pictures - mistakes - 1, pictures) < 0.95
        assert mistakes == -1 or at_least(pictures - mistakes, pictures) >= 0.95


def test_how_often_a_precision_is_promised_is_what_the_docs_say() -> None:
    assert table() in (ROOT / "docs/policies.md").read_text(encoding="utf-8")
