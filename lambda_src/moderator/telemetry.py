"""What the service says about itself: one log line a request, and CloudWatch metrics in the log (EMF).

Neither holds a picture, nor - unless LOG_LABELS is set - a label.
"""

from __future__ import annotations

import os

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.functions import is_metrics_disabled

from moderator.classifier import Classification
from moderator.errors import RequestError
from moderator.web.payload import Question

NAMESPACE = "ClipVideoModerator"
SERVICE = "clip-video-moderator"


class Telemetry:
    """Counts and logs requests."""

    def __init__(self, *, log_labels: bool) -> None:
        # Powertools' own variables would lose against the arguments: a deployment's names go first.
        service = os.environ.get("POWERTOOLS_SERVICE_NAME") or SERVICE
        namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or NAMESPACE
        self.log = Logger(service=service)
        # Powertools gathers what it must not print, and prints it nevertheless when it has a hundred.
        self._metrics = None if is_metrics_disabled() else Metrics(namespace=namespace, service=service)
        self._log_labels = log_labels
        self._cold = True

    def classified(
        self, question: Question, classification: Classification, milliseconds: float, store_state: str | None
    ) -> None:
        """Record an answered question."""
        timing, labels = classification.timing, classification.labels
        counts = {
            "Requests": 1,
            "Pictures": len(question.pictures),
            "ColdStart": int(self._cold),
            "LabelsFromMemory": labels.memory,
            "LabelsFromStore": labels.store,
            "LabelsComputed": labels.computed,
        }
        if store_state is not None and labels.memory < len(question.labels):
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
        fields: dict[str, object] = {"labels": len(question.labels), "ms": round(milliseconds, 1), **counts}
        if self._log_labels:
            fields["asked"] = question.labels
        self.log.info("classified", extra=fields)

    def refused(self, error: RequestError) -> None:
        """Record a request that was the caller's mistake; its detail may quote a label, so only its kind is kept."""
        fields: dict[str, object] = {"status": int(error.status), "problem": type(error).__name__}
        if self._log_labels:
            fields["detail"] = error.detail
        self.log.info("refused", extra=fields)
