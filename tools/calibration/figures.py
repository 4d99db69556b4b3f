"""The report's figures as JSON: everything that the page shows, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from moderator.policy.policy import ACTIONS, Policy
from tools.calibration.calibrate import Calibrated, Calibration, Names
from tools.calibration.embed import Pictures
from tools.calibration.interval import Share
from tools.calibration.metrics import Metrics
from tools.calibration.outcome import Outcome, changes, confusion, mistakes, transitions
from tools.calibration.prompts import Prompt, harmful_neutral
from tools.calibration.thresholds import NEVER, Threshold
from tools.files import printable

# How rare a category may be in real streams, unlike in a collection that was made for calibration.
_PREVALENCES = (0.1, 0.01, 0.001)


def figures(
    *,
    before: Policy,
    after: Policy,
    outcomes: tuple[Outcome, Outcome],
    calibration: Calibration,
    pictures: Pictures,
    made: dict[str, Any],
) -> dict[str, Any]:
    """Return the figures; `outcomes` are the two policies', and `made` is the policy's own note of its calibration."""
    names: Names = pictures.categories
    return {
        "policy": {"before": before.version, "after": after.version, "name": after.name},
        "calibration": made,
        "unreadable": [{"path": printable(path), "why": why} for path, why in pictures.unreadable],
        "copies": pictures.copies,
        "categories": {one.category.name: _category(one, made) for one in calibration.done},
        "refused": {one.category.name: _refused(one.category.name, made) for one in calibration.refused},
        "neutral_that_hurts": harmful_neutral([one.prompts for one in calibration.done]),
        "verdicts": {
            "before": confusion(before, outcomes[0], names),
            "after": confusion(after, outcomes[1], names),
            "from_to": {
                was: dict(zip(ACTIONS, row, strict=True))
                for was, row in zip(ACTIONS, transitions(outcomes[0].verdicts, outcomes[1].verdicts), strict=True)
            },
        },
        "changes": [
            {"kind": change.kind, "count": change.count}
            | {"pictures": [_changed(place, pictures, outcomes) for place in change.pictures]}
            for change in changes(*outcomes)
        ],
        "mistakes": [
            {"category": one.category, "kind": one.kind, "count": one.count}
            | {"pictures": [_mistaken(place, one.category, pictures, outcomes[1]) for place in one.pictures]}
            for one in mistakes(after, outcomes[1], names)
        ],
    }


def _category(one: Calibrated, made: dict[str, Any]) -> dict[str, Any]:
    return {
        "targets": made["thresholds"][one.category.name]["targets"],
        "pictures": one.pictures,
        "others": one.others,
        "scale": one.curve.scale,
        "offset": one.curve.offset,
        "reports_only": not one.used,
        "review": _threshold(one.thresholds.review) if "review" in one.used else None,
        "block": _threshold(one.thresholds.block) if "block" in one.used else None,
        "review_before": _threshold(one.review_before) if _acts(one.category.review) else None,
        "block_before": _threshold(one.block_before) if _acts(one.category.block) else None,
        "metrics": {"before": _metrics(one.before), "after": _metrics(one.after)},
        "prompts": [asdict(prompt) for prompt in one.prompts],
        "advice": _advice(one.prompts),
    }


def _refused(name: str, made: dict[str, Any]) -> str:
    """Return why a category was not calibrated, and what becomes of it."""
    kept: dict[str, Any] = made.get("kept", {})
    return str(kept[name]["why"] if name in kept else made["uncalibrated"][name])


def _acts(threshold: float | None) -> bool:
    return threshold is not None and threshold < NEVER


def _threshold(threshold: Threshold | None) -> dict[str, Any] | None:
    if threshold is None:
        return None
    said: dict[str, Any] = {
        "value": threshold.value,
        "recall": _share(threshold.recall),
        "precision": _share(threshold.precision),
        "false_positive_rate": _share(threshold.false_positives),
        "precision_where_rarer": {
            f"{prevalence:g}": _precision_at(prevalence, threshold) for prevalence in _PREVALENCES
        },
    }
    if threshold.sentence:
        said |= {"promised": threshold.promised, "sentence": threshold.sentence}
    return said


def _share(share: Share) -> dict[str, Any]:
    return {"value": share.value if share.of else None, "low": share.low, "high": share.high} | {
        "hits": share.hits,
        "of": share.of,
    }


def _precision_at(prevalence: float, threshold: Threshold) -> dict[str, float | None]:
    """Return the precision where one picture in 1/prevalence shows the category, and its lower bound."""

    def precision(recall: float, false_positives: float) -> float | None:
        right, wrong = prevalence * recall, (1 - prevalence) * false_positives
        return right / (right + wrong) if right + wrong else None

    return {
        "value": precision(threshold.recall.value, threshold.false_positives.value),
        "at_least": precision(threshold.recall.low, threshold.false_positives.high),
    }


def _metrics(metrics: Metrics) -> dict[str, Any]:
    return asdict(metrics)


def _advice(prompts: Sequence[Prompt]) -> dict[str, list[str]]:
    """Return which of a category's own prompts do what; `neutral` is judged over all categories together."""
    return {
        effect: [prompt.text for prompt in prompts if prompt.effect == effect and prompt.side != "neutral"]
        for effect in ("hurts", "helps", "unclear")
    }


def _changed(place: int, pictures: Pictures, outcomes: tuple[Outcome, Outcome]) -> dict[str, Any]:
    return _picture(place, pictures) | {
        "was": outcomes[0].verdicts[place],
        "now": outcomes[1].verdicts[place],
    }


def _mistaken(place: int, category: str, pictures: Pictures, judged: Outcome) -> dict[str, Any]:
    return _picture(place, pictures) | {"score": float(judged.scores[category][place])}


def _picture(place: int, pictures: Pictures) -> dict[str, Any]:
    return {
        "place": place,
        "path": printable(pictures.paths[place]),
        "shows": sorted(pictures.categories[place]),
    }
