"""On scores whose truth is known: probabilities are probabilities, and thresholds do what they are chosen for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from tools.calibration.calibrate import fit_and_choose
from tools.calibration.fit import Method, fit, folds, out_of_fold
from tools.calibration.interval import (
    at_least,
    mistakes_allowed,
    share,
)
from tools.calibration.lookalikes import first_of_each, weights
from tools.calibration.metrics import bins, expected_calibration_error, measure
from tools.calibration.thresholds import NEVER, Targets, choose
from tools.tests.drawn_scores import alone, evidence_and_truth

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize(("share_of_it", "apart"), [(0.3, 2.0), (0.05, 2.0), (0.5, 4.0), (0.5, 0.5)])
def test_fitted_probabilities_are_calibrated(method: Method, share_of_it: float, apart: float) -> None:
    """The model's scale is wrong by a factor of 7 and shifted, as CLIP's are: the fit finds both back."""
    rng = np.random.default_rng(3)
    evidence, truth = evidence_and_truth(rng, 2000, share_of_it=share_of_it, apart=apart)
    known = expit(apart * evidence - apart**2 / 2 + logit(share_of_it))
    curve = fit(7 * evidence - 40, truth, alone(truth), method)
    assert curve is not None
    assert np.abs(curve(7 * evidence - 40) - known).mean() <= 0.03

    held_out = out_of_fold(7 * evidence - 40, truth, np.arange(2000), method)
    assert expected_calibration_error(bins(held_out, truth, alone(truth))) <= 0.03
    # Before, they were not.
    assert expected_calibration_error(bins(expit(7 * evidence - 40), truth, alone(truth))) > 0.04


def test_chosen_thresholds_meet_the_criteria_that_they_were_chosen_by() -> None:
    """Whatever the scores are, and also where any between two limits would do: none that meets only one of them."""
    rng = np.random.default_rng(17)
    between = 0
    for _ in range(1500):
        pictures = int(rng.integers(12, 300))
        truth = rng.random(pictures) < rng.uniform(0.2, 0.9)
        if truth.sum() < 5 or truth.all():
            continue
        scores = np.round(expit(rng.normal(np.where(truth, rng.uniform(0, 6), 0.0), 1.0)), 3)
        targets = Targets(precision=float(rng.uniform(0.05, 0.99)), recall=float(rng.uniform(0.3, 0.99)))
        chosen = choose(scores, truth, targets)
        missed = int(truth.sum()) - chosen.review.recall.hits
        assert missed <= max(0, mistakes_allowed(int(truth.sum()), targets.recall))
        assert chosen.review.value <= chosen.block.value
        if chosen.block.value < NEVER:
            hits, of = chosen.block.precision.hits, chosen.block.precision.of
            likely = of - hits <= mistakes_allowed(of, targets.precision)
            if chosen.block.promised:
                assert at_least(hits, of) >= targets.precision - 1e-12
            else:
                assert likely or (hits == of >= 5)
            # Of both thresholds the first is in the gap below the second.
            between += not ((scores >= chosen.review.value) & (scores < chosen.block.value)).any()
    assert between > 150


def test_higher_targets_move_both_thresholds_apart() -> None:
    evidence, truth = evidence_and_truth(np.random.default_rng(7), 2000)
    mild, strict = (choose(expit(evidence), truth, Targets(precision=p, recall=p)) for p in (0.9, 0.98))
    assert strict.review.value < mild.review.value < mild.block.value < strict.block.value


def test_near_duplicates_weigh_as_much_as_one_picture() -> None:
    """Whether a picture is there once or seven times, curve, figures and thresholds are the same."""
    rng = np.random.default_rng(16)
    evidence, truth = evidence_and_truth(rng, 400)
    times = np.where(rng.random(400) < 0.2, 7, 1)
    many, of_many, groups = np.repeat(evidence, times), np.repeat(truth, times), np.repeat(np.arange(400), times)
    weighed = weights(groups, of_many)
    assert weighed.sum() == pytest.approx(400)
    methods: tuple[Method, ...] = ("platt", "isotonic")
    for method in methods:
        once, often = fit(evidence, truth, alone(truth), method), fit(many, of_many, weighed, method)
        assert once is not None
        assert often is not None
        assert (often.scale, often.offset) == pytest.approx((once.scale, once.offset), rel=1e-4)
        unweighed = fit(many, of_many, alone(of_many), method)
        assert unweighed is not None
        assert (unweighed.scale, unweighed.offset) != pytest.approx((once.scale, once.offset), rel=1e-2)
    scores, of_all = expit(evidence), measure(expit(many), of_many, weighed)
    assert of_all.auroc == pytest.approx(roc_auc_score(truth, scores))
    assert of_all.average_precision == pytest.approx(average_precision_score(truth, scores))
    assert of_all.brier == pytest.approx(brier_score_loss(truth, scores))
    assert of_all.calibration_error == pytest.approx(measure(scores, truth, alone(truth)).calibration_error, abs=0.01)
    assert sum(one.weight for one in of_all.bins) == pytest.approx(400)
    assert [one.weight for one in of_all.bins] == pytest.approx([40] * 10, abs=1)
    # Of pictures with the same probability, every second one is the category's; the first one is there seven times.
    again, half = np.repeat(np.arange(40), [7] + [1] * 39), np.arange(40) % 2 == 0
    of_halves = bins(np.full(46, 0.3), half[again], weights(again, half[again]))
    assert [one.frequency for one in of_halves] == pytest.approx([0.5] * 10)
    assert of_halves[0].pictures == 10
    fitted = fit_and_choose(many, of_many, groups, Targets(), "platt")
    of_each = fit_and_choose(evidence, truth, np.arange(400), Targets(), "platt")
    assert fitted is not None
    assert of_each is not None
    assert fitted.thresholds.review.recall == of_each.thresholds.review.recall
    assert fitted.thresholds.block.precision == of_each.thresholds.block.precision


def test_a_group_of_both_kinds_counts_once_for_each() -> None:
    groups, truth = np.array([5, 5, 5, 9, 5]), np.array([True, False, True, True, True])
    assert first_of_each(groups, truth).tolist() == [0, 1, 3]
    assert weights(groups, truth).tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1, 1 / 3])


def test_too_few_pictures_are_said_to_be_too_few() -> None:
    scores = np.concatenate([np.linspace(0.8, 0.9, 12), np.linspace(0.1, 0.2, 30)])
    truth = np.arange(42) < 12
    chosen = choose(scores, truth, Targets())
    assert not chosen.review.promised
    assert not chosen.block.promised
    assert "cannot be promised with 12 pictures: it takes 19 to promise it on average" in chosen.review.sentence
    assert "cannot be promised with 12 pictures: it takes at least 59" in chosen.block.sentence
    assert "Of the 12 pictures here that would be blocked, 12 are right" in chosen.block.sentence
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


def test_a_threshold_with_fewer_mistakes_that_misses_a_target_is_not_taken() -> None:
    """Above 0.9 are 2 of 10, which is not 0.3, and 18 mistakes; above 0.5 are 12 of 31, which is, and 19 mistakes."""
    scores = np.repeat([0.9, 0.5, 0.1], [10, 21, 69])
    truth = np.concatenate([np.arange(10) < 2, np.arange(21) < 10, np.zeros(69, np.bool_)])
    chosen = choose(scores, truth, Targets(precision=0.3, recall=0.15))
    assert (chosen.block.precision.hits, chosen.block.precision.of) == (12, 31)


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


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_picture_is_scored_by_a_curve_that_never_saw_it(method: Method) -> None:
    evidence, truth = evidence_and_truth(np.random.default_rng(18), 300)
    groups = np.arange(300) // 2
    probabilities, weighed = out_of_fold(evidence, truth, groups, method), weights(groups, truth)
    for learned, held_out in folds(truth, groups):
        curve = fit(evidence[learned], truth[learned], weighed[learned], method)
        assert curve is not None
        assert (probabilities[held_out] == curve(evidence[held_out])).all()
    everything = fit(evidence, truth, weighed, method)
    assert everything is not None
    assert (probabilities != everything(evidence)).all()


def test_evidence_that_falls_with_the_truth_has_no_curve() -> None:
    evidence, truth = evidence_and_truth(np.random.default_rng(10), 300)
    assert fit(-evidence, truth, alone(truth)) is None


def test_kinds_that_lie_apart_have_a_finite_curve() -> None:
    evidence = np.concatenate([np.linspace(20, 30, 50), np.linspace(-30, -20, 50)])
    curve = fit(evidence, np.arange(100) < 50, np.ones(100))
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
        curve = fit(evidence, wrong, alone(wrong), method)
        assert curve is not None
        errors[method] = np.abs(curve(evidence) - known).mean()
    assert errors["isotonic"] < errors["platt"]


@pytest.mark.parametrize("apart", [0.1, 2.0, 30.0])
def test_the_fit_is_scikit_learns(apart: float) -> None:
    """Its own Platt's method, which is not public: the same targets, minimised by another algorithm."""
    from sklearn.calibration import _SigmoidCalibration

    evidence, truth = evidence_and_truth(np.random.default_rng(12), 500, apart=apart)
    theirs = _SigmoidCalibration().fit(evidence, truth.astype(int))
    ours = fit(evidence, truth, alone(truth))
    assert ours is not None
    assert (ours.scale, ours.offset) == pytest.approx((-theirs.a_, -theirs.b_), rel=2e-3)
