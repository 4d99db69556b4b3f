"""The named label sets: one JSON file each, read and checked at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moderator import strict_json
from moderator.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Labels under a name; with categories where its file maps each label to one."""

    name: str
    description: str
    labels: tuple[str, ...]
    categories: tuple[str, ...] | None  # of each label, in the labels' order


def read_label_sets(folder: Path, *, max_labels: int) -> Mapping[str, LabelSet]:
    """Read every `NAME.json` in `folder`.

    A file holds `description` and `labels`: a list of labels, or an object that maps each label to its category.

    Raises:
        ConfigurationError: names the file, the field and what would be right.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"The folder of label sets {folder} does not exist: set LABEL_SETS_DIR.")
    return {path.stem: _read(path, max_labels) for path in sorted(folder.glob("*.json"))}


def _read(path: Path, max_labels: int) -> LabelSet:
    try:
        content = strict_json.loads(path.read_bytes())
    except strict_json.RepeatedKeyError as error:
        raise ConfigurationError(f"{path}: {error}.") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON in UTF-8: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold an object with description and labels.")
    unknown = sorted(content.keys() - {"description", "labels"})
    if unknown:
        raise ConfigurationError(
            f"{path}: {unknown[0]!r} is no field of a label set; those are description and labels."
        )

    description = content.get("description")
    if not isinstance(description, str) or not description.strip():
        raise ConfigurationError(f"{path}: description must be a sentence.")
    labels, categories = _labels(path, content.get("labels"))
    if not 1 <= len(labels) <= max_labels:
        raise ConfigurationError(f"{path}: labels must hold 1 to {max_labels} labels, it holds {len(labels)}.")
    return LabelSet(name=path.stem, description=description, labels=labels, categories=categories)


def _labels(path: Path, value: Any) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    categories: tuple[Any, ...] | None
    if isinstance(value, dict):
        labels, categories = tuple(value.keys()), tuple(value.values())
    elif isinstance(value, list):
        labels, categories = tuple(value), None
    else:
        raise ConfigurationError(f"{path}: labels must be a list of labels or an object {{label: category}}.")
    for place, label in enumerate(labels):
        if not isinstance(label, str) or not label.strip():
            raise ConfigurationError(f"{path}: labels[{place}] is {label!r}, it must be a text that is not empty.")
    for label, category in zip(labels, categories or (), strict=False):
        if not isinstance(category, str) or not category.strip():
            raise ConfigurationError(f"{path}: labels[{label!r}] has the category {category!r}, it must be a text.")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ConfigurationError(f"{path}: labels has {twice!r} twice.")
    return labels, categories
