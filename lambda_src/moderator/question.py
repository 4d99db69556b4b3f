"""The questions that the service answers, as values. Knows nothing of who asks, or how."""

from __future__ import annotations

from dataclasses import dataclass

from moderator.clip.towers import Embeddings
from moderator.pictures.batch import Picture
from moderator.pictures.decode import Decoded
from moderator.pictures.views import View
from moderator.policy.policy import Policy


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one request may hold."""

    labels: int
    pictures: int
    body_bytes: int


@dataclass(frozen=True, kw_only=True)
class Animation:
    """Where the frames of an animated picture belong that was seen before."""

    numbers: tuple[int, ...]  # of each frame, from 0
    seconds: tuple[float, ...]  # of each frame, from the start
    total_frames: int
    unreached: int  # of the last frames, how many were not looked at


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A picture that was seen before: its embeddings, as an earlier answer gave them."""

    name: str
    frames: tuple[Embeddings, ...]  # of each frame, (parts, dim)
    animation: Animation | None = None  # None: a still picture


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to look for in one question."""

    labels: tuple[str, ...]
    categories: tuple[str, ...] | None  # of each label, in the labels' order


@dataclass(frozen=True, kw_only=True)
class Question:
    """Asks how probable the labels of each of `wanted` are, in each picture."""

    pictures: tuple[Picture | Embedded, ...]
    wanted: tuple[Wanted, ...]
    view: View = "center"


@dataclass(frozen=True, kw_only=True)
class ModerationQuestion:
    """Asks what `policy` says of each picture."""

    pictures: tuple[Picture | Embedded | Decoded, ...]
    policy: Policy
    view: View | None = None  # instead of the policy's
