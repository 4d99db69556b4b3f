"""Several exported models on the same labelled pictures: what each of them does and costs.

AUROC needs no calibration and no thresholds: it says how well a model tells a category's pictures from the others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from moderator.clip.model import Model
from moderator.clip.towers import ImageTower
from moderator.policy.policy import Policy
from moderator.settings import Settings
from tools.calibration.data import DataError, Labelled
from tools.calibration.embed import Embedder, Pictures
from tools.calibration.evidence import Similarities
from tools.calibration.lookalikes import Groups, groups, weights
from tools.calibration.run import policy_before
from tools.calibration.thresholds import LEAST_PICTURES
from tools.core import build_core

_TOGETHER, _RUNS = 16, 9


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What one model does on the pictures."""

    folder: str
    model: str
    auroc: dict[str, float]  # by category; those with too few pictures are left out
    pictures: int  # that it could read, each content once
    compared: int  # that all models could read, each content once: what the AUROCs are of
    different: int  # of those; near-duplicates count once
    unreadable: int
    milliseconds: float  # of the image tower on this machine, a picture, with all parts that the policy looks at
    megabytes: float  # of the model folder


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """The pictures as one model sees them. The model itself is not held: only one is loaded at a time."""

    folder: Path
    model: Model
    policy: Policy
    pictures: Pictures
    part_ms: float


def compare(
    settings: Settings,
    labelled: Labelled,
    policy: str,
    folders: Sequence[Path],
    store: Path,
    advance: Callable[[], None],
) -> list[Compared]:
    """Measure each model; `advance` is called after each picture of each.

    Raises:
        ConfigurationError: a model folder or the policy cannot be used.
        DataError: no picture can be read, or no category has enough of them.
        InvalidField: a label is longer than a model's context.
    """
    seen = [_seen(settings, labelled, policy, folder, store, advance) for folder in folders]
    together = _groups_of_common([one.pictures for one in seen])
    compared = [_compared(one, together) for one in seen]
    if not any(one.auroc for one in compared):
        raise DataError(f"No category has {LEAST_PICTURES} pictures of its own and {LEAST_PICTURES} others.")
    return compared


def _seen(
    settings: Settings, labelled: Labelled, policy: str, folder: Path, store: Path, advance: Callable[[], None]
) -> _Seen:
    core = build_core(replace(settings, model_dir=folder))
    _, judged_by = policy_before(core, policy)
    pictures = Embedder(core, judged_by, store).embed(labelled, advance)
    part_ms = _part_ms(core.model, core.threads)
    return _Seen(folder=folder, model=core.model, policy=judged_by, pictures=pictures, part_ms=part_ms)


def _compared(seen: _Seen, together: Mapping[str, int]) -> Compared:
    model, pictures = seen.model, seen.pictures
    common = _only(pictures, together)
    numbers = np.array([together[content] for content in common.contents])
    return Compared(
        folder=str(seen.folder),
        model=f"{model.name} ({model.pretrained}), {model.precision}",
        auroc=_aurocs(seen.policy, common, numbers, model.logit_scale),
        pictures=len(pictures.paths),
        compared=len(common.paths),
        different=len(np.unique(numbers)),
        unreadable=len(pictures.unreadable),
        milliseconds=seen.part_ms * pictures.parts / len(pictures.paths),
        megabytes=sum(path.stat().st_size for path in seen.folder.iterdir() if path.is_file()) / 1e6,
    )


def table(compared: Sequence[Compared]) -> str:
    """Return the table in Markdown, with a column for each model."""
    # All models have the same ones, for they are compared on the same pictures.
    categories = sorted(compared[0].auroc)
    rows = [["", *(one.folder for one in compared)], ["---", *("---:" for _ in compared)]]
    rows.append(["model", *(one.model for one in compared)])
    rows += [[f"AUROC, {name}", *(f"{one.auroc[name]:.4f}" for one in compared)] for name in categories]
    rows.append(["AUROC, mean", *(f"{statistics.fmean(one.auroc.values()):.4f}" for one in compared)])
    rows.append(["pictures that could be read", *(_readable(one) for one in compared)])
    rows.append(["compared, because all models could read them", *(f"{one.compared:,}" for one in compared)])
    rows.append(["of them different", *(f"{one.different:,}" for one in compared)])
    rows.append(["image tower, ms per picture", *(f"{one.milliseconds:.1f}" for one in compared)])
    rows.append(["size, MB", *(f"{one.megabytes:.0f}" for one in compared)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _groups_of_common(seen: Sequence[Pictures]) -> dict[str, int]:
    """Group the pictures that all models can read, by content: near-duplicates are the same ones for all models.

    Raises:
        DataError: there are none.
    """
    read = set.intersection(*(set(one.contents) for one in seen))
    if not read:
        raise DataError("There is no picture that all of the models can read, so that they cannot be compared.")
    looks = {content: look for one in seen for content, look in zip(one.contents, one.looks, strict=True)}
    common = [content for content in looks if content in read]
    return dict(zip(common, groups([looks[content] for content in common]).tolist(), strict=True))


def _only(pictures: Pictures, wanted: Container[str]) -> Pictures:
    """Return the pictures whose contents are wanted; the others are not counted as unreadable."""
    kept = [place for place, content in enumerate(pictures.contents) if content in wanted]
    ends = np.cumsum(pictures.frames)
    rows = [pictures.rows[ends[place] - pictures.frames[place] : ends[place]] for place in kept]
    return replace(
        pictures,
        paths=tuple(pictures.paths[place] for place in kept),
        contents=tuple(pictures.contents[place] for place in kept),
        categories=tuple(pictures.categories[place] for place in kept),
        looks=tuple(pictures.looks[place] for place in kept),
        groups=pictures.groups[kept],
        rows=np.concatenate(rows),
        frames=tuple(pictures.frames[place] for place in kept),
    )


def _readable(one: Compared) -> str:
    return f"{one.pictures:,} of {one.pictures + one.unreadable:,}"


def _aurocs(policy: Policy, pictures: Pictures, numbers: Groups, logit_scale: float) -> dict[str, float]:
    similarities = Similarities.of(policy, pictures.rows, pictures.frames, logit_scale)
    aurocs = {}
    for category in policy.categories:
        truth = np.array([category.name in names for names in pictures.categories], np.bool_)
        weighed = weights(numbers, truth)
        # Rounded, because a group of three near-duplicates weighs three thirds.
        if round(min(weighed[truth].sum(), weighed[~truth].sum()), 6) >= LEAST_PICTURES:
            evidence = similarities.evidence(category)
            aurocs[category.name] = float(roc_auc_score(truth, evidence, sample_weight=weighed))
    return aurocs


def _part_ms(model: Model, threads: int) -> float:
    """Return the image tower's time for one part of a picture, in milliseconds: the median over whole batches."""
    tower = ImageTower(model, threads=threads)
    size = (model.preprocessing.height, model.preprocessing.width, 3)
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, size, dtype=np.uint8) for _ in range(_TOGETHER)]
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        tower.embed(parts)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000 / _TOGETHER
