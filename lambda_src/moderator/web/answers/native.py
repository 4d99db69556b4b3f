"""The service's own form of answers (docs/api.md)."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context
from typing import Any

from moderator.classifier import Answer, Classification, Seen
from moderator.clip.model import Model
from moderator.labels.label_sets import LabelSet
from moderator.moderation import Moderation
from moderator.policy.policy import Policy
from moderator.policy.verdict import Reason, Verdict
from moderator.question import ModerationQuestion, Question
from moderator.web.answers.caveats import of_classification, of_moderation
from moderator.web.embeddings import write_embedding
from moderator.web.requests import Asking

_SIX_DIGITS = Context(prec=6, rounding=ROUND_DOWN)


def classification(asking: Asking[Question], found: Classification, model: Model) -> dict[str, Any]:
    """Give each picture's probabilities."""
    results: list[dict[str, Any]] = []
    for answers, seen in zip(found.answers, found.scores.pictures, strict=True):
        named = zip(asking.question.wanted, answers, strict=True)
        one = [_probabilities(wanted.labels, answer) for wanted, answer in named]
        result = one[0] if asking.names is None else {"answers": dict(zip(asking.names, one, strict=True))}
        if asking.question.view != "center":
            result |= _view(seen)
        results.append(result | _embedding(asking, seen, model))
    answer = {"results": results} if asking.many else results[0]
    return answer | {"model": model_name(model)} | _warnings(of_classification(asking.question, found, model))


def moderation(asking: Asking[ModerationQuestion], found: Moderation, model: Model) -> dict[str, Any]:
    """Give each picture's verdict, and why."""
    results = [
        _verdict(verdict) | _view(seen) | _frames(seen) | _embedding(asking, seen, model)
        for verdict, seen in zip(found.verdicts, found.scores.pictures, strict=True)
    ]
    answer = {"verdict": found.worst, "results": results} if asking.many else results[0]
    return (
        answer
        | {"policy": policy_name(found.policy), "model": model_name(model)}
        | _warnings(of_moderation(found, model))
    )


def label_set(described: LabelSet) -> dict[str, Any]:
    """Describe a label set."""
    by_category: dict[str, list[str]] | None = None
    if described.categories is not None:
        by_category = {}
        for label, category in zip(described.labels, described.categories, strict=True):
            by_category.setdefault(category, []).append(label)
    return {
        "name": described.name,
        "description": described.description,
        "labels": list(described.labels),
        "categories": by_category,
    }


def policy(described: Policy) -> dict[str, Any]:
    """Describe a policy."""
    return policy_name(described) | {
        "description": described.description,
        "view": described.view,
        "candidate": described.candidate,
        "categories": {
            category.name: {
                "labels": [described.labels[place] for place in category.labels],
                "against": [described.labels[place] for place in category.against],
                "review": category.review,
                "block": category.block,
            }
            for category in described.categories
        },
        "policy": described.written,
    }


def model_name(model: Model) -> dict[str, str]:
    """Name the model that answered."""
    return {"name": model.name, "pretrained": model.pretrained, "fingerprint": model.fingerprint}


def policy_name(policy: Policy) -> dict[str, Any]:
    """Name the policy that judged; one that came with the request has no name."""
    return {"name": policy.name, "version": policy.version, "calibrated": policy.calibrated}


def reasons(verdict: Verdict) -> list[dict[str, Any]]:
    """Say why a picture is not simply allowed."""
    return [_reason(reason) for reason in verdict.reasons]


def six_digits(number: float) -> float:
    """Round to six significant digits: a model's answer has no more, and says so."""
    return float(f"{number:.6g}")


def score_digits(score: float) -> float:
    """Cut a score off after six significant digits, so that what is shown never passes a threshold that it missed."""
    return float(_SIX_DIGITS.create_decimal(repr(score)))


def _probabilities(labels: tuple[str, ...], answer: Answer) -> dict[str, Any]:
    values = map(six_digits, answer.probabilities.tolist())
    result: dict[str, Any] = {"result": dict(zip(labels, values, strict=True))}
    if answer.categories is not None:
        result["categories"] = {category: six_digits(share) for category, share in answer.categories.items()}
    return result


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.action,
        "reasons": reasons(verdict),
        "categories": {
            name: {"score": score_digits(category.score), "action": category.action}
            for name, category in verdict.categories.items()
        },
    }


def _reason(reason: Reason) -> dict[str, Any]:
    said: dict[str, Any] = {"category": reason.category, "action": reason.action}
    if reason.score is not None:
        said |= {"score": score_digits(reason.score), "threshold": reason.threshold, "label": reason.label}
    if reason.moment is not None:
        said |= {"frame": reason.moment.frame, "seconds": six_digits(reason.moment.seconds)}
    return said


def _view(seen: Seen) -> dict[str, Any]:
    if seen.coverage is None:
        return {}
    coverage = seen.coverage
    return {"view": {"kind": coverage.kind, "parts": coverage.parts, "unseen": six_digits(coverage.unseen)}}


def _frames(seen: Seen) -> dict[str, Any]:
    if seen.total_frames == 1:
        return {}
    frames = {"seen": len(seen.numbers), "of": seen.total_frames}
    return {"frames": frames | ({"reachable": seen.total_frames - seen.unreached} if seen.unreached else {})}


def _embedding(asking: Asking[Any], seen: Seen, model: Model) -> dict[str, str]:
    return {"embedding": write_embedding(seen, model)} if asking.return_embedding else {}


def _warnings(sentences: list[str]) -> dict[str, list[str]]:
    return {"warnings": sentences} if sentences else {}
