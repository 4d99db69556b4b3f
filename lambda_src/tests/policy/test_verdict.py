"""From scores to what to do, and why."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moderator.policy.policy import ACTIONS, Action, Policy
from moderator.policy.score import Cosines
from moderator.policy.verdict import (
    CategoryVerdict,
    Moment,
    Reason,
    Verdict,
    action_of,
    judge,
    unjudged,
    with_sample,
    worst,
)
from support.policies import category, content, judged_by, policy

# How long an example takes depends on what else the machine is doing.
UNHURRIED = settings(deadline=None)
SHARES = st.floats(0, 1)

THREE = {
    "neutral": ["a street"],
    "categories": {
        "gore": {"labels": ["blood", "a wound"], "review": 0.5},
        "weapons": {"labels": ["a gun", "a knife"], "review": 0.6, "block": 0.9},
        "drugs": {"labels": ["powder"], "review": 0.6, "block": 0.999},
    },
}  # fmt: skip


def similar(to: Policy, **cosines: float) -> Cosines:
    """One frame in one part: similar to some labels (their spaces written as _), a little to a street."""
    named = {"a street": 0.12} | {label.replace("_", " "): cosine for label, cosine in cosines.items()}
    assert named.keys() <= set(to.labels)
    return np.array([[[named.get(label, 0.1) for label in to.labels]]], np.float32)


class TestAction:
    @UNHURRIED
    @given(score=SHARES, first=SHARES, second=SHARES, given_=st.sampled_from(["review", "block", "both"]))
    @example(score=0.5, first=0.5, second=0.75, given_="both")
    @example(score=0.75, first=0.5, second=0.75, given_="both")
    def test_it_follows_from_score_and_thresholds_alone(
        self, score: float, first: float, second: float, given_: str
    ) -> None:
        review, block = sorted((first, second))
        thresholds = {"review": review, "block": block} if given_ == "both" else {given_: review}
        (of_policy,) = judged_by(1, 1, **thresholds).categories
        expected = "allow"
        if score >= thresholds.get("review", 2):
            expected = "review"
        if score >= thresholds.get("block", 2):
            expected = "block"
        assert action_of(of_policy, score) == expected

    @UNHURRIED
    @given(seed=st.integers(0, 2**32 - 1), review=SHARES, block=SHARES)
    def test_a_verdict_holds_no_other(self, seed: int, review: float, block: float) -> None:
        policy = judged_by(3, 3, review=min(review, block), block=max(review, block))
        verdict = judge(policy, np.random.default_rng(seed).uniform(-1, 1, (2, 2, 6)).astype(np.float32), 10.0)
        assert verdict.categories["it"].action == action_of(policy.categories[0], verdict.categories["it"].score)
        assert verdict.action == verdict.categories["it"].action

    @pytest.mark.parametrize("threshold", ["review", "block"])
    def test_a_threshold_of_0_is_always_reached_and_one_of_1_never(self, threshold: str) -> None:
        for threshold_value, cosines, expected in ((0.0, [-1, 1], threshold), (1.0, [1, -1], "allow")):
            policy = judged_by(1, 1, **{threshold: threshold_value})
            assert judge(policy, np.array([[cosines]], np.float32), 1e4).action == expected

    def test_the_worst_is_the_worst(self) -> None:
        assert ACTIONS == ("allow", "review", "block")
        assert worst(["allow", "block", "review"]) == "block"
        assert worst(["allow", "review"]) == "review"
        assert worst(["allow"]) == "allow"


class TestReasons:
    def test_nothing_found_is_allowed_without_a_reason(self) -> None:
        three = policy(THREE)
        verdict = judge(three, similar(three, a_street=0.2), 100.0)
        assert (verdict.action, verdict.reasons, verdict.judged) == ("allow", (), True)
        assert {name: each.action for name, each in verdict.categories.items()} == dict.fromkeys(
            ("drugs", "gore", "weapons"), "allow"
        )

    def test_the_worst_action_comes_first_then_the_higher_score(self) -> None:
        three = policy(THREE)
        verdict = judge(three, similar(three, blood=0.14, a_knife=0.16, powder=0.15), 100.0)
        assert verdict.action == "block"
        assert [(reason.category, reason.action) for reason in verdict.reasons] == [
            ("weapons", "block"), ("drugs", "review"), ("gore", "review"),
        ]  # fmt: skip
        assert verdict.reasons[1].score is not None
        assert verdict.reasons[2].score is not None
        assert verdict.reasons[1].score > verdict.reasons[2].score

    def test_a_reason_names_the_threshold_that_was_passed_and_the_label_that_fired_most(self) -> None:
        three = policy(THREE)
        verdict = judge(three, similar(three, a_knife=0.16, a_gun=0.12, blood=0.13), 100.0)
        weapons, gore = verdict.reasons
        assert (weapons.category, weapons.threshold, weapons.label) == ("weapons", 0.9, "a knife")
        assert (gore.category, gore.threshold, gore.label) == ("gore", 0.5, "blood")
        assert verdict.categories["weapons"] == CategoryVerdict(score=weapons.score or 0, action="block")
        assert weapons.moment is None

    def test_the_label_may_have_fired_in_any_part(self) -> None:
        three = policy(THREE)
        parts = np.concatenate([similar(three), similar(three, a_gun=0.2), similar(three, a_knife=0.15)], axis=1)
        assert judge(three, parts, 100.0).reasons[0].label == "a gun"

    def test_a_frame_is_named_with_its_second(self) -> None:
        three = policy(THREE)
        frames = np.concatenate([similar(three), similar(three, a_gun=0.2), similar(three, a_knife=0.15)])
        moments = [Moment(frame=0, seconds=0.0), Moment(frame=12, seconds=1.2), Moment(frame=24, seconds=2.4)]
        (reason,) = judge(three, frames, 100.0, moments).reasons
        assert (reason.label, reason.moment) == ("a gun", Moment(frame=12, seconds=1.2))

    def test_as_many_frames_as_the_policy_asks_for_must_agree(self) -> None:
        two = policy(THREE | {"frames": {"at_least": 2}})
        once = np.concatenate([similar(two), similar(two, a_gun=0.2), similar(two)])
        assert judge(two, once, 100.0).action == "allow"
        twice = np.concatenate([similar(two, a_knife=0.15), similar(two, a_gun=0.2), similar(two)])
        verdict = judge(two, twice, 100.0)
        assert (verdict.action, verdict.reasons[0].label) == ("block", "a knife")
        # A still picture has no second frame that could agree.
        assert judge(two, similar(two, a_gun=0.2), 100.0).action == "block"


class TestSample:
    PICTURES = tuple(f"picture {number}".encode() for number in range(2000))
    ALLOWED = Verdict(action="allow", reasons=(), categories={})

    def sampled(self, share: float) -> set[bytes]:
        of_policy = policy(content(sample=share))
        return {
            picture for picture in self.PICTURES if with_sample(self.ALLOWED, of_policy, picture).action == "review"
        }

    def test_a_sampled_picture_goes_to_review_and_says_why(self) -> None:
        verdict = with_sample(self.ALLOWED, policy(content(sample=1)), b"picture")
        assert verdict == Verdict(action="review", reasons=(Reason(category="sample", action="review"),), categories={})

    def test_about_the_share_asked_for_is_sampled(self) -> None:
        """Of 2000, a tenth is 200 with a standard deviation of 13."""
        assert 150 <= len(self.sampled(0.1)) <= 250
        assert self.sampled(0) == set()
        assert self.sampled(1) == set(self.PICTURES)

    def test_the_same_picture_always_and_a_larger_share_takes_more_beside_it(self) -> None:
        assert self.sampled(0.1) == self.sampled(0.1)
        assert self.sampled(0.1) < self.sampled(0.2)

    def test_it_is_the_bytes_that_decide(self) -> None:
        """SHA-256's first 53 bits, read as a number from 0 to 1: the same with any version of this service."""
        number = int(hashlib.sha256(b"picture").hexdigest()[:16], 16) / 2**64
        assert with_sample(self.ALLOWED, policy(content(sample=number - 1e-9)), b"picture").action == "allow"
        assert with_sample(self.ALLOWED, policy(content(sample=number + 1e-9)), b"picture").action == "review"

    def test_only_what_is_allowed_is_sampled(self) -> None:
        everything = policy(category(review=0, block=1) | {"sample": 1})
        verdict = judge(everything, similar(everything), 100.0)
        assert with_sample(verdict, everything, b"picture") is verdict

    def test_what_was_not_judged_is_no_sample(self) -> None:
        lenient = policy(content(sample=1, on_error="allow"))
        assert with_sample(unjudged(lenient), lenient, b"picture") == unjudged(lenient)


@pytest.mark.parametrize(
    ("given_", "action"), [({}, "review"), ({"on_error": "block"}, "block"), ({"on_error": "allow"}, "allow")]
)
def test_what_cannot_be_judged_gets_the_owners_answer_and_is_marked(given_: dict[str, Any], action: Action) -> None:
    verdict = unjudged(policy(content(**given_)))
    assert verdict.action == action
    assert not verdict.judged
    assert verdict.categories == {}
    assert verdict.reasons == (() if action == "allow" else (Reason(category="error", action=action),))
