"""Where policies come from: files that are read at the start, and requests. Both are held to the same rules."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from moderator.errors import ConfigurationError, InvalidField, TooMuch
from moderator.json_file import read_json
from moderator.policy.form import PolicyObject, check_policy
from moderator.policy.mistake import PolicyMistake, readable
from moderator.policy.policy import Category, Frames, ModelName, Policy

MOST_CATEGORIES = 100


def read_policies(folder: Path, *, max_labels: int) -> Mapping[str, Policy]:
    """Read every `NAME.json` in `folder`.

    A candidate must be another of them. A candidate's own candidate is not asked, so two policies may name each other.

    Raises:
        ConfigurationError: names the file, the field and what would be right.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"The folder of policies {folder} does not exist: set POLICIES_DIR.")
    paths = {path.stem: path for path in sorted(folder.glob("*.json"))}
    policies = {name: _read(path, max_labels) for name, path in paths.items()}
    for name, policy in policies.items():
        if policy.candidate is None:
            continue
        try:
            _check_candidate(policy.candidate, policies.keys() - {name})
        except PolicyMistake as mistake:
            raise ConfigurationError(f"{paths[name]}: {mistake.under()}.") from mistake
    return policies


def read_inline(content: Any, *, known: Collection[str], max_labels: int) -> Policy:
    """Read the policy object of a request's field `policy`.

    Args:
        content: the parsed JSON.
        known: the names of the configured policies, one of which may be its candidate.
        max_labels: the most that it may look for.

    Raises:
        InvalidField: names the field and what would be right.
        TooMuch: more labels or categories than are read.
    """
    if excess := _excess(content, max_labels):
        raise TooMuch(f"policy {excess}.")
    try:
        checked = check_policy(content)
        if checked.candidate is not None:
            _check_candidate(checked.candidate, known)
    except PolicyMistake as mistake:
        raise InvalidField(f"{mistake.under('policy')}.") from mistake
    return _build(None, checked, content)


def check_calibration(policy: Policy, *, name: str, pretrained: str) -> None:
    """Check that `policy`, if it is calibrated, is calibrated for the model that runs.

    Raises:
        ConfigurationError: it names another model, and comes from a file.
        InvalidField: it names another model, and came with a request.
    """
    made_for = policy.calibrated_for
    if made_for is None or (made_for.name, made_for.pretrained) == (name, pretrained):
        return
    sentence = (
        f"calibration.model is {made_for.name} ({made_for.pretrained}), but {name} ({pretrained}) is running: "
        "calibrate for this model, or leave calibration out."
    )
    if policy.name is None:
        raise InvalidField(f"policy.{sentence}")
    raise ConfigurationError(f"{policy.name}.json: {sentence}")


def _read(path: Path, max_labels: int) -> Policy:
    content = read_json(path)
    if excess := _excess(content, max_labels):
        raise ConfigurationError(f"{path}: the policy {excess}.")
    try:
        return _build(path.stem, check_policy(content), content)
    except PolicyMistake as mistake:
        raise ConfigurationError(f"{path}: {mistake.under()}.") from mistake


def _excess(content: Any, max_labels: int) -> str | None:
    """Count before looking at the items: a million of them need not be checked one by one to be refused."""
    if not isinstance(content, dict):
        return None
    categories = content.get("categories")
    if isinstance(categories, dict) and len(categories) > MOST_CATEGORIES:
        return f"has {len(categories):,} categories: at most {MOST_CATEGORIES} are allowed"
    labels = len(set(_texts(content)))
    if labels > max_labels:
        return f"has {labels:,} different labels in neutral, labels and against: at most {max_labels:,} are allowed"
    return None


def _texts(content: dict[str, Any]) -> Iterator[str]:
    categories = content.get("categories")
    parts = [(content, "neutral")]
    for category in categories.values() if isinstance(categories, dict) else ():
        parts += [(category, "labels"), (category, "against")]
    for part, field in parts:
        texts = part.get(field) if isinstance(part, dict) else None
        yield from (text for text in (texts if isinstance(texts, list) else ()) if isinstance(text, str))


def _check_candidate(candidate: str, others: Collection[str]) -> None:
    if candidate not in others:
        known = ", ".join(sorted(others)) or "none"
        raise PolicyMistake(
            ("candidate",), f"is {readable(candidate)}: it must be the name of another policy; those are {known}"
        )


def _build(name: str | None, checked: PolicyObject, written: Mapping[str, Any]) -> Policy:
    labels = sorted(
        {*checked.neutral}.union(*([*category.labels, *category.against] for category in checked.categories.values()))
    )
    place = {label: number for number, label in enumerate(labels)}
    calibration = checked.calibration
    scales = calibration.categories if calibration else {}

    def places(*lists: list[str]) -> tuple[int, ...]:
        return tuple(sorted({place[label] for labels in lists for label in labels}))

    return Policy(
        name=name,
        version=_version(checked),
        description=checked.description,
        view=checked.view,
        frames=Frames(most=checked.frames.most, at_least=checked.frames.at_least, every=checked.frames.every),
        on_error=checked.on_error,
        sample=checked.sample,
        labels=tuple(labels),
        categories=tuple(
            Category(
                name=category_name,
                labels=places(category.labels),
                against=places(checked.neutral, category.against),
                review=category.review,
                block=category.block,
                scale=scales[category_name].scale if category_name in scales else 1.0,
                offset=scales[category_name].offset if category_name in scales else 0.0,
                openai=category.as_.openai,
                rekognition=category.as_.rekognition,
            )
            for category_name, category in sorted(checked.categories.items())
        ),
        candidate=checked.candidate,
        calibrated_for=(
            ModelName(name=calibration.model.name, pretrained=calibration.model.pretrained) if calibration else None
        ),
        calibrated=scales.keys() == checked.categories.keys(),
        written=written,
    )


def _version(checked: PolicyObject) -> str:
    """Hash the content: 8 hexadecimal digits, the same everywhere.

    The order of keys and labels does not change it, and nor does a default that is written out. A field that a later
    version of the service adds will not change it either, as long as it has a default.
    """
    content = checked.model_dump(by_alias=True, exclude_defaults=True)
    for part in (content, *content["categories"].values()):
        for field in ("neutral", "labels", "against"):
            if field in part:
                part[field] = sorted(set(part[field]))
    canonical = json.dumps(_without_minus_zero(content), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def _without_minus_zero(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_minus_zero(item) for key, item in value.items()}
        case list():
            return [_without_minus_zero(item) for item in value]
        case float():
            return value + 0.0
        case _:
            return value
