"""A policy as a value: all labels that it needs, and what each category does with their similarities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

View = Literal["center", "squash", "pad", "tiles"]
Action = Literal["allow", "review", "block"]

# From the mildest to the worst.
ACTIONS: tuple[Action, ...] = ("allow", "review", "block")


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Which frames of an animated picture are looked at, and how many of them must agree."""

    most: int = 8
    at_least: int = 1  # a category's score is its `at_least`-th highest over the frames
    every: float = 0.0  # seconds that two frames are apart, at the least


@dataclass(frozen=True, kw_only=True)
class Category:
    """One thing that is looked for, judged by itself."""

    name: str
    labels: tuple[int, ...]  # places in the policy's labels, ascending, each once
    against: tuple[int, ...]  # likewise: `neutral` and the category's own `against` together
    review: float | None
    block: float | None
    scale: float = 1.0
    offset: float = 0.0
    openai: str | None = None  # what OpenAI's form calls it, where the policy says so
    rekognition: str | None = None  # likewise, with its parents: "Violence/Weapons"


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """The model that a calibration was made for."""

    name: str
    pretrained: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy that has been checked.

    Labels and categories are sorted, so that policies of the same version give the same answer bit for bit, in whatever
    order they were written.
    """

    name: str | None  # None where it came with a request
    version: str
    description: str
    view: View
    frames: Frames
    on_error: Action
    sample: float
    labels: tuple[str, ...]  # every label that any category needs, each once
    categories: tuple[Category, ...]
    candidate: str | None
    calibrated_for: ModelName | None
    calibrated: bool  # every category has its own scale and offset
    # The JSON that it was read from, to be shown and changed. Not part of what the policy is: the order may differ.
    written: Mapping[str, Any] = field(repr=False, compare=False)
