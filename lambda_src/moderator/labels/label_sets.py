"""The named label sets: one JSON file each, read and checked at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from moderator.errors import ConfigurationError
from moderator.json_file import check, read_json
from moderator.label_text import fault_of


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Labels under a name; with categories where its file maps each label to one."""

    name: str
    description: str
    labels: tuple[str, ...]
    categories: tuple[str, ...] | None  # of each label, in the labels' order


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    description: Annotated[str, Field(pattern=r"\S")]
    labels: list[str] | dict[str, str]


_MUST = {
    "": "an object with description and labels",
    "description": "a sentence",
    "labels": "a list of labels or an object {label: category}",
}


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
    file = check(path, read_json(path), _File, _MUST)
    labels = tuple(file.labels)
    categories = tuple(file.labels.values()) if isinstance(file.labels, dict) else None
    if not 1 <= len(labels) <= max_labels:
        raise ConfigurationError(f"{path}: labels has {len(labels):,} labels: it must have 1 to {max_labels:,}.")
    for place, label in enumerate(labels):
        if fault := fault_of(label):
            raise ConfigurationError(f"{path}: labels[{place}] {fault}.")
    for label, category in zip(labels, categories or (), strict=False):
        if fault := fault_of(category):
            raise ConfigurationError(f"{path}: labels[{label!r}] {fault}.")
    if len(set(labels)) != len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ConfigurationError(f"{path}: labels has {twice!r} twice.")
    return LabelSet(name=path.stem, description=file.description, labels=labels, categories=categories)
