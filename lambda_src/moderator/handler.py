"""The Lambda's entry: builds everything once, then answers HTTP events and the warm-up event."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from PIL import Image

from moderator.classifier import Classifier
from moderator.clip.model import Model, read_model
from moderator.clip.towers import ImageTower, TextTower
from moderator.cpus import usable_cpus
from moderator.jobs.warm_up import is_warm_up, warm_up
from moderator.labels.cache import LabelCache
from moderator.labels.label_sets import read_label_sets
from moderator.labels.store import Store
from moderator.labels.store_client import connector
from moderator.settings import Settings, read_settings
from moderator.telemetry import Telemetry
from moderator.web import http_event
from moderator.web.app import App
from moderator.web.payload import Limits

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def build_handler(settings: Settings) -> Handler:
    """Build the service.

    Raises:
        ConfigurationError: a setting, a label set or the model folder cannot be used.
    """
    # picture.py's own limit is stricter and answers with a status; Pillow's would only warn on standard error.
    Image.MAX_IMAGE_PIXELS = None

    telemetry = Telemetry(log_labels=settings.log_labels)
    model = read_model(settings.model_dir)
    label_sets = read_label_sets(settings.label_sets_dir, max_labels=settings.max_labels)
    store = _store(settings, model, telemetry)
    threads = settings.threads or usable_cpus()
    labels = LabelCache(TextTower(model, threads=threads), store, memory_labels=settings.memory_labels)
    app = App(
        model=model,
        classifier=Classifier(
            model, ImageTower(model, threads=threads), labels, max_pixels=settings.max_pixels, threads=threads
        ),
        label_sets=label_sets,
        store=store,
        limits=Limits(labels=settings.max_labels, pictures=settings.max_pictures, body_bytes=settings.max_body_bytes),
        telemetry=telemetry,
    )

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if is_warm_up(event):
            return warm_up(event, labels, label_sets)
        if http_event.is_http(event):
            return app.answer(event, context)
        raise ValueError(
            "The event is neither an HTTP request of API Gateway or a function URL, nor a warm-up: "
            'send {"warm": {"label_sets": ["NAME"]}} or {"warm": {"labels": ["..."]}}.'
        )

    return handle


def _store(settings: Settings, model: Model, telemetry: Telemetry) -> Store | None:
    if not settings.cache_url:
        return None
    return Store(
        connector(settings, os.environ),
        fingerprint=model.fingerprint,
        embedding_size=model.embedding_size,
        ttl_seconds=settings.cache_ttl_seconds,
        budget_seconds=settings.cache_budget_ms / 1000,
        retry_seconds=settings.cache_retry_seconds,
        log=telemetry.log,  # type: ignore[arg-type]  # Powertools' logger has Logger's methods
    )


handler = build_handler(read_settings(os.environ))
