"""The Lambda's entry: builds everything once, then hands each event to whoever answers its kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from moderator.classifier import Classifier
from moderator.clip.model import Model, read_model
from moderator.clip.towers import ImageTower, TextTower
from moderator.cpus import usable_cpus
from moderator.errors import ConfigurationError
from moderator.jobs.warm_up import is_warm_up, warm_up
from moderator.labels.cache import LabelCache
from moderator.labels.label_sets import read_label_sets
from moderator.labels.precomputed import read_precomputed
from moderator.labels.store import LabelStore
from moderator.labels.store_client import connector
from moderator.moderation import Moderator
from moderator.policy.file import check_calibration, read_policies
from moderator.policy.policy import Policy
from moderator.question import Limits
from moderator.settings import Settings, read_settings
from moderator.telemetry import Telemetry
from moderator.web.answers.adapter import Known
from moderator.web.app import App
from moderator.web.buckets import Buckets
from moderator.web.http_event import is_http
from moderator.web.instance import begin_again

# The longest that a start waits for the store: about what a first request that misses takes to load the text tower.
_SIGN_IN_SECONDS = 1.0
_SNAPSHOT = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Towers:
    """What embeds pictures and labels."""

    image: ImageTower
    text: TextTower


def load_towers(model: Model, threads: int) -> Towers:
    """Load the image tower; the text tower loads itself when it is first needed."""
    return Towers(image=ImageTower(model, threads=threads), text=TextTower(model, threads=threads))


def build_handler(settings: Settings, *, load: Callable[[Model, int], Towers] = load_towers) -> Handler:
    """Build the service; `load` is where a test puts towers of its own.

    Raises:
        ConfigurationError: a setting, a label set or the model folder cannot be used.
    """
    # picture.py's own limit is stricter and answers with a status; Pillow's would only warn on standard error.
    Image.MAX_IMAGE_PIXELS = None

    telemetry = Telemetry(log_labels=settings.log_labels)
    model = read_model(settings.model_dir)
    store = _store(settings, model, telemetry)
    label_sets = read_label_sets(settings.label_sets_dir, max_labels=settings.max_labels)
    policies = read_policies(settings.policies_dir, max_labels=settings.max_labels)
    for policy in policies.values():
        check_calibration(policy, name=model.name, pretrained=model.pretrained)
        _warn_of_candidate(policy, policies, telemetry)
    _check_defaults(settings, label_sets, policies)
    threads = settings.threads or usable_cpus()
    towers = load(model, threads)
    labels = LabelCache(
        towers.text,
        store,
        memory_labels=settings.memory_labels,
        precomputed=read_precomputed(model, telemetry.log),  # type: ignore[arg-type]  # Powertools' logger has its methods
    )
    classifier = Classifier(model, towers.image, labels, max_pixels=settings.max_pixels, threads=threads)
    moderator = Moderator(
        classifier, policies, logit_scale=model.logit_scale, candidate_failed=telemetry.candidate_failed
    )
    app = App(
        model=model,
        classifier=classifier,
        moderator=moderator,
        store=store,
        known=Known(
            policies=policies,
            label_sets=label_sets,
            limits=Limits(
                labels=settings.max_labels, pictures=settings.max_pictures, body_bytes=settings.max_body_bytes
            ),
            default_policy=settings.default_policy,
            default_label_set=settings.default_label_set,
            buckets=Buckets(
                settings.read_buckets.replace(",", " ").split(),
                most_bytes=settings.max_body_bytes,
                environment=os.environ,
            ),
            flag_from=settings.flag_from,
        ),
        max_seconds=settings.max_seconds,
        telemetry=telemetry,
    )
    # Asked in order: an HTTP request is never taken for anything else, whatever its body holds.
    kinds: tuple[tuple[Callable[[Mapping[str, Any]], bool], Handler], ...] = (
        (is_http, app.answer),
        (is_warm_up, lambda event, _: warm_up(event, labels, label_sets, policies)),
    )

    if _SNAPSHOT:
        _after_restore(begin_again)  # first: the sign-in is a part of the start
    if store is not None:
        _sign_in(store)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        for is_kind, answer in kinds:
            if is_kind(event):
                return answer(event, context)
        raise ValueError(
            "The event is neither an HTTP request of API Gateway or a function URL, nor a warm-up: "
            'send {"warm": {"label_sets": ["NAME"], "policies": ["NAME"]}} or {"warm": {"labels": ["..."]}}.'
        )

    return handle


def _warn_of_candidate(policy: Policy, policies: Mapping[str, Policy], telemetry: Telemetry) -> None:
    """Say where a candidate asks to look elsewhere: it is judged by what the live policy looks at."""
    candidate = policies.get(policy.candidate) if policy.candidate else None
    if candidate is None:
        return
    looks = [(one.view, one.frames.most, one.frames.every) for one in (policy, candidate)]
    if looks[0] != looks[1]:
        telemetry.log.warning(
            "A candidate is judged by the view and the frames of the live policy, and asks for others: as a candidate "
            "it shows what its labels and thresholds change, and no more.",
            extra={"policy": policy.name, "candidate": candidate.name},
        )


def _check_defaults(settings: Settings, label_sets: Collection[str], policies: Collection[str]) -> None:
    usual = Settings()
    for variable, name, names in (
        ("DEFAULT_POLICY", settings.default_policy, policies),
        ("DEFAULT_LABEL_SET", settings.default_label_set, label_sets),
    ):
        # Whoever has a folder of their own, and none of that name, need not say so: a request that needs it is told.
        if name not in names and name != getattr(usual, variable.lower()):
            raise ConfigurationError(f"{variable} is {name!r}: it must be one of {', '.join(names) or 'none'}.")


def _store(settings: Settings, model: Model, telemetry: Telemetry) -> LabelStore | None:
    if not settings.cache_url:
        return None
    store = LabelStore(
        connector(settings, os.environ),
        fingerprint=model.fingerprint,
        embedding_size=model.embedding_size,
        ttl_seconds=settings.cache_ttl_seconds,
        budget_seconds=settings.cache_budget_ms / 1000,
        retry_seconds=settings.cache_retry_seconds,
        log=telemetry.log,  # type: ignore[arg-type]  # Powertools' logger has Logger's methods
    )
    if _SNAPSHOT:
        import redis  # noqa: F401  # into the snapshot: no connection is made before it, and none may wait for this
    else:
        store.open()  # while the model is loaded
    return store


def _after_restore(call: Callable[..., object], *arguments: object) -> None:
    """Let Lambda call this when a snapshot has been restored, before the first request.

    https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html
    """
    from snapshot_restore_py import register_after_restore  # type: ignore[import-untyped]  # the runtime's; no types

    register_after_restore(call, *arguments)


def _sign_in(store: LabelStore) -> None:
    """Connect before the first request. No connection outlives a snapshot: after one, as soon as it is restored."""
    if _SNAPSHOT:
        _after_restore(store.open, _SIGN_IN_SECONDS)
    else:
        # What `open` began in the background imports it too: wait for that first, for it says nothing of the store.
        import redis  # noqa: F401

        store.open(_SIGN_IN_SECONDS)


handler = build_handler(read_settings(os.environ))
