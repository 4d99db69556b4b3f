"""Sentences for where an answer is worth less than it seems."""

from __future__ import annotations

from moderator.classifier import Classification, Scores
from moderator.clip.model import Model
from moderator.moderation import Moderation
from moderator.question import Question

DEMO_MODEL = (
    "The demo model answers: it knows coloured shapes only, and what it says of anything else means nothing. "
    "`make model` exports a model for photographs."
)


def of_classification(question: Question, found: Classification, model: Model) -> list[str]:
    """List what makes an answer of probabilities worth less than it seems."""
    said = []
    if any(len(wanted.labels) == 1 for wanted in question.wanted):
        said.append(
            "There is only one label, which always gets 1: probabilities compare labels with each other. Add what the "
            "picture may show instead."
        )
    listed = next(
        (label for wanted in question.wanted for label in wanted.labels if _is_a_list(label, len(wanted.labels))), None
    )
    if listed is not None:
        shown = listed if len(listed) <= 60 else f"{listed[:60]}…"
        said.append(
            f"The label {shown!r} looks like several with commas between them, but is looked for as one: give each "
            "label by itself."
        )
    frames = [seen.total_frames for seen in found.scores.pictures if seen.total_frames > 1]
    if frames:
        said.append(
            f"Only the first of {frames[0]:,} frames was looked at: /moderate looks at several."
            if len(frames) == 1
            else f"Only the first frame of each of {len(frames)} animated pictures was looked at: "
            "/moderate looks at several."
        )
    return said + _of_pictures(found.scores) + _of_model(model)


def of_moderation(found: Moderation, model: Model) -> list[str]:
    """List what makes a verdict worth less than it seems."""
    said = []
    if not found.policy.calibrated:
        said.append(
            "The policy is not calibrated: its scores are not yet probabilities, and its thresholds are guesses."
        )
    if found.policy.sample > 0 and any(seen.coverage is None for seen in found.scores.pictures):
        said.append(
            "The policy's sample was not drawn: it is chosen by a picture's bytes, which an embedding does not hold."
        )
    return said + _of_pictures(found.scores) + _of_model(model)


def _is_a_list(label: str, labels: int) -> bool:
    parts = [part.split() for part in label.split(",")]
    if len(parts) < 2 or not all(parts):
        return False
    # "a red car, parked" is one label. A request's only label, or three or more short parts, are more likely a list.
    return labels == 1 or (len(parts) > 2 and all(len(words) <= 3 for words in parts))


def _of_pictures(scores: Scores) -> list[str]:
    return [warning for seen in scores.pictures for warning in seen.warnings]


def _of_model(model: Model) -> list[str]:
    return [DEMO_MODEL] if model.is_demo else []
