"""On scores whose truth is known: probabilities are probabilities, intervals hold the truth, promises are kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit
from scipy.stats import beta, binom, norm
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from tools.calibration.calibrate import fit_and_choose
from tools.calibration.fit import Method, Truth, fit, folds, out_of_fold
from tools.calibration.interval import (
    Share,
    at_least,
    mistakes_allowed,
    mistakes_with_confidence,
    needed_on_average,
    needed_with_confidence,
    share,
)
from tools.calibration.lookalikes import first_of_each, weights
from tools.calibration.metrics import bins, expected_calibration_error, measure
from tools.calibration.thresholds import NEVER, Targets, Threshold, at, choose

pytestmark = pytest.mark.slow

DRAWS = 1000
# What so many draws allow: a count that true promises miss once in 2000 on either side.
RARE = 0.0005
# pictures, share of the category's, how far the kinds are apart: little, much, and at the edge of the targets.
WORLDS = [(200, 0.3, 2.0), (500, 0.5, 4.0), (1000, 0.3, 3.0)]


def counts_allowed(chance: float, draws: int = DRAWS) -> tuple[int, int]:
    return int(binom.ppf(RARE, draws, chance)), int(binom.ppf(1 - RARE, draws, chance))


def evidence_and_truth(
    rng: np.random.Generator, pictures: int, *, share_of_it: float = 0.3, apart: float = 2.0
) -> tuple[npt.NDArray[np.float64], Truth]:
    """Draw two normal distributions: the true probability is logistic in the evidence."""
    truth = rng.random(pictures) < share_of_it
    return rng.normal(np.where(truth, apart, 0.0), 1.0), truth


def holds(interval: Share, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def alone(truth: Truth) -> npt.NDArray[np.float64]:
    """Weigh pictures without near-duplicates."""
    return np.ones(len(truth))


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


def test_chosen_thresholds_meet_the_criteria_that_they_were_chosen_by() -> None:
    """Whatever the scores are, and also where any between two limits would do: none that meets only one of them."""
    rng = np.random.default_rng(17)
    between = 0
    for _ in range(3000):
        pictures = int(rng.integers(12, 300))
        truth = rng.random(pictures) < rng.uniform(0.2, 0.9)
        if truth.sum() < 5 or truth.all():
            continue
        scores = np.round(expit(rng.normal(np.where(truth, rng.uniform(0, 6), 0.0), 1.0)), 3)
        targets = Targets(precision=float(rng.uniform(0.3, 0.99)), recall=float(rng.uniform(0.3, 0.99)))
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
    assert between > 300


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
