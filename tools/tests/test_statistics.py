"""On scores whose truth is known: probabilities are probabilities, intervals hold the truth, promises need pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from tools.calibration.fit import Method, Truth, fit, folds, out_of_fold
from tools.calibration.interval import (
    Share,
    mistakes_allowed,
    needed_on_average,
    needed_with_confidence,
    share,
)
from tools.calibration.metrics import bins, expected_calibration_error
from tools.calibration.thresholds import NEVER, Targets, choose

pytestmark = pytest.mark.slow

DRAWS = 1000
# What 1000 draws allow: with a coverage of 95 %, four standard deviations.
LEAST_COVERED = 0.95 - 4 * (0.95 * 0.05 / DRAWS) ** 0.5


def evidence_and_truth(
    rng: np.random.Generator, pictures: int, *, share_of_it: float = 0.3, apart: float = 2.0
) -> tuple[npt.NDArray[np.float64], Truth]:
    """Draw two normal distributions: the true probability is logistic in the evidence."""
    truth = rng.random(pictures) < share_of_it
    return rng.normal(np.where(truth, apart, 0.0), 1.0), truth


def holds(interval: Share, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize(("share_of_it", "apart"), [(0.3, 2.0), (0.05, 2.0), (0.5, 4.0), (0.5, 0.5)])
def test_fitted_probabilities_are_calibrated(method: Method, share_of_it: float, apart: float) -> None:
    """The model's scale is wrong by a factor of 7 and shifted, as CLIP's are: the fit finds both back."""
    rng = np.random.default_rng(3)
    evidence, truth = evidence_and_truth(rng, 2000, share_of_it=share_of_it, apart=apart)
    known = expit(apart * evidence - apart**2 / 2 + logit(share_of_it))
    curve = fit(7 * evidence - 40, truth, method)
    assert curve is not None
    assert np.abs(curve(7 * evidence - 40) - known).mean() <= 0.03

    held_out = out_of_fold(7 * evidence - 40, truth, np.arange(2000), method)
    assert expected_calibration_error(bins(held_out, truth)) <= 0.03
    # Before, they were not.
    assert expected_calibration_error(bins(expit(7 * evidence - 40), truth)) > 0.04


@pytest.mark.parametrize(
    ("pictures", "share_of_it", "apart"), [(200, 0.3, 2.0), (2000, 0.1, 2.5), (500, 0.5, 4.0), (60, 0.3, 4.0)]
)
def test_intervals_cover_the_truth(pictures: int, share_of_it: float, apart: float) -> None:
    """Although each threshold was chosen on the very pictures that its interval is counted on."""
    rng = np.random.default_rng(4)
    held = {"recall": 0, "precision": 0, "false positives": 0}
    for _ in range(DRAWS):
        evidence, truth = evidence_and_truth(rng, pictures, share_of_it=share_of_it, apart=apart)
        chosen = choose(expit(evidence), truth, Targets())
        held["recall"] += holds(chosen.review.recall, norm.sf(logit(chosen.review.value) - apart))
        at = logit(chosen.block.value) if chosen.block.value < NEVER else np.inf
        right, wrong = share_of_it * norm.sf(at - apart), (1 - share_of_it) * norm.sf(at)
        # A threshold that does not exist has no precision to be wrong about.
        held["precision"] += at == np.inf or holds(chosen.block.precision, right / (right + wrong))
        held["false positives"] += holds(chosen.block.false_positives, norm.sf(at))
    assert min(held.values()) / DRAWS >= LEAST_COVERED, held


def test_what_is_promised_on_average_is_kept_on_average() -> None:
    rng = np.random.default_rng(5)
    recalls = []
    for _ in range(DRAWS):
        evidence, truth = evidence_and_truth(rng, 100)
        chosen = choose(expit(evidence), truth, Targets(recall=0.9))
        assert chosen.review.promised
        recalls.append(norm.sf(logit(chosen.review.value) - 2.0))
    assert np.mean(recalls) >= 0.9
    assert np.mean(recalls) <= 0.93  # and not by sending everything to review


def test_thresholds_move_the_right_way_with_the_number_of_pictures() -> None:
    """With few, review begins lower and block higher than with many, and both come to the true ones."""
    rng = np.random.default_rng(6)
    review, block, width = {}, {}, {}
    for pictures in (100, 400, 1600, 6400):
        drawn = [
            choose(expit(evidence), truth, Targets())
            for evidence, truth in (evidence_and_truth(rng, pictures) for _ in range(100))
        ]
        review[pictures] = np.mean([logit(one.review.value) for one in drawn])
        block[pictures] = np.mean([logit(one.block.value) for one in drawn if one.block.value < NEVER])
        width[pictures] = np.mean([one.review.recall.high - one.review.recall.low for one in drawn])
    assert review[100] < review[400] < review[1600] <= review[6400] + 0.01
    assert width[100] > width[400] > width[1600] > width[6400]
    assert review[6400] == pytest.approx(norm.ppf(0.05) + 2.0, abs=0.05)
    # Where the precision is 0.95: 0.3 sf(t - 2) = 19 * 0.7 sf(t).
    points = np.linspace(1, 4, 30001)
    precise = 0.3 * norm.sf(points - 2) / (0.3 * norm.sf(points - 2) + 0.7 * norm.sf(points))
    assert block[6400] == pytest.approx(points[np.argmax(precise >= 0.95)], abs=0.05)


def test_higher_targets_move_both_thresholds_apart() -> None:
    evidence, truth = evidence_and_truth(np.random.default_rng(7), 2000)
    mild, strict = (choose(expit(evidence), truth, Targets(precision=p, recall=p)) for p in (0.9, 0.98))
    assert strict.review.value < mild.review.value < mild.block.value < strict.block.value


def test_a_promise_needs_pictures() -> None:
    """The numbers of the conformal bound, and of Clopper and Pearson's."""
    assert [needed_on_average(target) for target in (0.9, 0.95, 0.99)] == [9, 19, 99]
    assert [needed_with_confidence(target) for target in (0.95, 0.99)] == [59, 299]
    assert [mistakes_allowed(pictures, 0.95) for pictures in (18, 19, 38, 39, 99)] == [-1, 0, 0, 1, 4]
    # One side of the exact interval at 59 of 59 just holds 0.95; at 58 it does not.
    assert 0.05 ** (1 / 59) >= 0.95 > 0.05 ** (1 / 58)


def test_too_few_pictures_are_said_to_be_too_few() -> None:
    scores = np.concatenate([np.linspace(0.8, 0.9, 12), np.linspace(0.1, 0.2, 30)])
    truth = np.arange(42) < 12
    chosen = choose(scores, truth, Targets())
    assert not chosen.review.promised
    assert not chosen.block.promised
    assert "cannot be promised with 12 pictures: 19 are needed" in chosen.review.sentence
    assert "59 without a miss for 95 % confidence" in chosen.review.sentence
    assert "the best is 92.3 %" in chosen.review.sentence
    # They are set nevertheless, as well as these pictures tell.
    assert chosen.review.value == pytest.approx(0.21)
    assert chosen.block.value == pytest.approx(0.8)


def test_kinds_that_lie_apart_leave_what_nobody_has_seen_to_review() -> None:
    scores = np.concatenate([np.linspace(0.8, 0.9, 100), np.linspace(0.1, 0.2, 300)])
    chosen = choose(scores, np.arange(400) < 100, Targets())
    assert (chosen.review.value, chosen.block.value) == (0.21, 0.8)
    assert chosen.review.promised
    assert chosen.block.promised
    assert (chosen.review.recall.hits, chosen.block.precision.hits) == (100, 100)


def test_where_no_threshold_is_precise_enough_nothing_is_blocked() -> None:
    rng = np.random.default_rng(8)
    chosen = choose(rng.random(500), rng.random(500) < 0.1, Targets())
    assert chosen.block.value == NEVER
    assert "nothing is blocked" in chosen.block.sentence


def test_shares_have_clopper_and_pearsons_intervals() -> None:
    """Of 20: https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval, and the rule of three for none."""
    assert [share(0, 59).low, share(0, 59).high] == pytest.approx([0.0, 1 - 0.025 ** (1 / 59)])
    assert [share(10, 20).low, share(10, 20).high] == pytest.approx([0.27196, 0.72804], abs=1e-5)


def test_near_duplicates_stay_on_one_side() -> None:
    rng = np.random.default_rng(9)
    truth = np.repeat(rng.random(40) < 0.5, 5)
    groups = np.repeat(np.arange(40), 5)
    splits = folds(truth, groups)
    assert len(splits) == 5
    for learned, held_out in splits:
        assert not set(groups[learned]) & set(groups[held_out])
        assert truth[learned].any()
        assert not truth[learned].all()


def test_evidence_that_falls_with_the_truth_has_no_curve() -> None:
    evidence, truth = evidence_and_truth(np.random.default_rng(10), 300)
    assert fit(-evidence, truth) is None


def test_kinds_that_lie_apart_have_a_finite_curve() -> None:
    evidence = np.concatenate([np.linspace(20, 30, 50), np.linspace(-30, -20, 50)])
    curve = fit(evidence, np.arange(100) < 50)
    assert curve is not None
    assert 0 < curve.scale < 1


def test_a_few_wrong_labels_far_out_pull_isotonic_less() -> None:
    rng = np.random.default_rng(11)
    evidence, truth = evidence_and_truth(rng, 2000, apart=4.0)
    known = expit(4.0 * evidence - 8.0 + logit(0.3))
    wrong = truth.copy()
    wrong[np.argsort(evidence)[:20]] = True  # the least likely ones of all
    errors = {}
    for method in ("platt", "isotonic"):
        curve = fit(evidence, wrong, method)
        assert curve is not None
        errors[method] = np.abs(curve(evidence) - known).mean()
    assert errors["isotonic"] < errors["platt"]


@pytest.mark.parametrize("apart", [0.1, 2.0, 30.0])
def test_the_fit_is_scikit_learns(apart: float) -> None:
    """Its own Platt's method, which is not public: the same targets, minimised by another algorithm."""
    from sklearn.calibration import _SigmoidCalibration

    evidence, truth = evidence_and_truth(np.random.default_rng(12), 500, apart=apart)
    theirs = _SigmoidCalibration().fit(evidence, truth.astype(int))
    ours = fit(evidence, truth)
    assert ours is not None
    assert (ours.scale, ours.offset) == pytest.approx((-theirs.a_, -theirs.b_), rel=2e-3)
