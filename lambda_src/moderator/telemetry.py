"""What the service says about itself: one log line for each request, and CloudWatch metrics in the log (EMF).

Neither holds a picture, nor - unless LOG_LABELS is set - a label.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.metrics.functions import is_metrics_disabled

from moderator.classifier import Classification, Scores
from moderator.errors import RequestError
from moderator.moderation import Comparison, Moderation
from moderator.policy.policy import Policy
from moderator.policy.verdict import Verdict
from moderator.question import Question

NAMESPACE = "ClipVideoModerator"
SERVICE = "clip-video-moderator"

# What metrics call a policy that came with a request: clients could give it any number of names.
INLINE = "inline"


class Telemetry:
    """Counts and logs requests."""

    def __init__(self, *, log_labels: bool) -> None:
        # Arguments would override Powertools' own variables, so a deployment's names are read here first.
        self._service = os.environ.get("POWERTOOLS_SERVICE_NAME") or SERVICE
        self._namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or NAMESPACE
        self.log = Logger(service=self._service)
        # Where metrics are disabled, Powertools still collects them, and prints them once it has a hundred.
        self._metrics = None if is_metrics_disabled() else Metrics(namespace=self._namespace, service=self._service)
        self._log_labels = log_labels
        self._cold = True

    def classified(
        self, question: Question, found: Classification, milliseconds: float, store_state: str | None
    ) -> None:
        """Record an answered question."""
        fields = self._count(found.scores, milliseconds, store_state)
        if self._log_labels:
            fields["asked"] = [label for wanted in question.wanted for label in wanted.labels]
        self.log.info("classified", extra=fields)

    def moderated(self, found: Moderation, milliseconds: float, store_state: str | None) -> None:
        """Record a judgement: its verdicts, the actions of its categories, and where a candidate differs."""
        fields = self._count(found.scores, milliseconds, store_state)
        policy = found.policy.name or INLINE
        verdicts = [verdict.action for verdict in found.verdicts]
        counts = {f"Verdict{action.capitalize()}": verdicts.count(action) for action in ("allow", "review", "block")}
        self._count_by({"policy": policy}, counts)
        if found.policy.name is not None:
            # Only for configured policies, whose categories are few and known. Allowed ones are the rule: not counted.
            for category in found.policy.categories:
                actions = [verdict.categories[category.name].action for verdict in found.verdicts if verdict.judged]
                fired = {f"Category{action.capitalize()}": actions.count(action) for action in ("review", "block")}
                self._count_by({"policy": policy, "category": category.name}, {k: n for k, n in fired.items() if n})
        if found.comparison is not None:
            self._compared(found.comparison)
        if self._log_labels:
            fields["asked"] = list(found.policy.labels)
        self.log.info(
            "moderated", extra=fields | {"policy": policy, "version": found.policy.version, "verdicts": verdicts}
        )

    def candidate_failed(self, candidate: Policy, error: Exception) -> None:
        """Record that a candidate could not be judged; the answer does not show it."""
        self._count_by({"policy": candidate.name or INLINE}, {"CandidateFailed": 1})
        # Only the error's kind: its detail may quote a label.
        extra = {"candidate": candidate.name, "cause": type(error).__name__}
        self.log.warning("A candidate policy could not be judged.", extra=extra)

    def refused(self, error: RequestError) -> None:
        """Record a request that was the caller's mistake; its detail may quote a label, so only its kind is kept."""
        fields: dict[str, object] = {"status": int(error.status), "problem": type(error).__name__}
        if self._log_labels:
            fields["detail"] = error.detail
        self.log.info("refused", extra=fields)

    def failed(self) -> None:
        """Record the bug that is being handled, with its traceback; Lambda does not see it, so it is counted here."""
        self._count_by({}, {"Failed": 1})
        self.log.exception("A request failed; this is a bug.")

    def _compared(self, comparison: Comparison) -> None:
        pairs = list(zip(comparison.verdicts, comparison.candidate_verdicts, strict=True))
        differing = [(live, other) for live, other in pairs if live.action != other.action]
        policy, candidate = comparison.policy.name or INLINE, comparison.candidate.name or INLINE
        self._count_by(
            {"policy": policy, "candidate": candidate},
            {"CandidateCompared": len(pairs), "CandidateDiffers": len(differing)},
        )
        for live, other in differing:
            fields: dict[str, object] = {
                "policy": policy,
                "candidate": candidate,
                "verdict": live.action,
                "candidate_verdict": other.action,
                "categories": self._differing_categories(comparison, live, other),
            }
            if self._log_labels:
                fields |= {"fired": _fired(live), "candidate_fired": _fired(other)}
            self.log.info("candidate differs", extra=fields)

    def _differing_categories(self, comparison: Comparison, live: Verdict, other: Verdict) -> list[str]:
        """Name the categories that differ, and `error` where that does.

        Those of a policy that came with a request are its client's own words.
        """
        names = set(other.categories)
        if comparison.policy.name is not None or self._log_labels:
            names |= live.categories.keys()
        differing = [
            name
            for name in names
            if (live.categories[name].action if name in live.categories else None)
            != (other.categories[name].action if name in other.categories else None)
        ]
        errors = [[reason for reason in verdict.reasons if reason.category == "error"] for verdict in (live, other)]
        return sorted(differing + (["error"] if errors[0] != errors[1] else []))

    def _count(self, scores: Scores, milliseconds: float, store_state: str | None) -> dict[str, object]:
        timing, labels = scores.timing, scores.labels
        asked = labels.precomputed + labels.memory + labels.store + labels.computed
        counts = {
            "Requests": 1,
            "Pictures": len(scores.pictures),
            "ColdStart": int(self._cold),
            "LabelsPrecomputed": labels.precomputed,
            "LabelsFromMemory": labels.memory,
            "LabelsFromStore": labels.store,
            "LabelsComputed": labels.computed,
        }
        if store_state is not None and labels.precomputed + labels.memory < asked:
            counts["StoreAvailable"] = int(store_state == "up")
        times = {
            "RequestTime": milliseconds,
            "DecodeTime": timing.decode,
            "LabelTime": timing.labels,
            "ImageTime": timing.image,
        }
        if self._metrics is not None:
            for name, count in counts.items():
                self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
            for name, time in times.items():
                self._metrics.add_metric(name=name, unit=MetricUnit.Milliseconds, value=time)
            self._metrics.flush_metrics()
        self._cold = False
        return {"labels": asked, "ms": round(milliseconds, 1), **counts}

    def _count_by(self, dimensions: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """Count under dimensions of their own, beside the service's name."""
        if not counts or self._metrics is None:
            return
        # In a set of their own, so that the shared set keeps its dimensions.
        metrics = EphemeralMetrics(namespace=self._namespace, service=self._service)
        for name, value in dimensions.items():
            metrics.add_dimension(name=name, value=value)
        for name, count in counts.items():
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
        metrics.flush_metrics()


def _fired(verdict: Verdict) -> list[str]:
    return [reason.label for reason in verdict.reasons if reason.label is not None]
