"""The calibrated policy's file: the same prompts, new thresholds, and how they were found."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moderator.clip.model import Model
from tools.calibration.calibrate import Calibrated, Calibration, reports_only
from tools.calibration.embed import Pictures
from tools.calibration.fit import Method
from tools.calibration.thresholds import Targets

_MEASURED = "measured by five-fold cross-validation that keeps near-duplicates together"
_METHODS = {
    "platt": f"scale and offset by Platt's logistic fit, {_MEASURED}",
    "isotonic": f"scale and offset of the logistic curve closest to an isotonic fit, {_MEASURED}",
}


def calibrated_content(
    content: Mapping[str, Any],
    name: str,
    calibration: Calibration,
    model: Model,
    pictures: Pictures,
    targets: Targets,
    method: Method,
    date: str,
) -> dict[str, Any]:
    """Return the policy's JSON with the calibration in it.

    A category that could not be calibrated keeps its thresholds, and its scale and offset from an earlier calibration
    for the same model.
    """
    new = copy.deepcopy(dict(content))
    if new.get("candidate") == name:
        del new["candidate"]  # nobody is their own candidate
    known = {"name": model.name, "pretrained": model.pretrained}
    earlier = new.pop("calibration", None) or {}
    curves = dict(earlier.get("categories", {})) if earlier.get("model") == known else {}
    for done in calibration.done:
        curves[done.category.name] = {"scale": done.curve.scale, "offset": done.curve.offset}
        _set_thresholds(new["categories"][done.category.name], done)
    new["calibration"] = {
        "model": known,
        "categories": dict(sorted(curves.items())),
        "data": {
            "sha256": _hash(pictures),
            "pictures": len(pictures.paths),
            "different": len(set(pictures.groups.tolist())),
            "categories": {one.category.name: one.pictures for one in calibration.categories},
        },
        "targets": {"block_precision": targets.precision, "review_recall": targets.recall},
        "method": _METHODS[method],
        "date": date,
    }
    return new


def earlier_date(path: Path, content: Mapping[str, Any]) -> str | None:
    """Return the date in the file at `path` if nothing else in it changes: it was calibrated then, not now."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        date = str(there["calibration"].pop("date"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    calibration = {key: value for key, value in content["calibration"].items() if key != "date"}
    return date if there == dict(content) | {"calibration": calibration} else None


def written(content: Mapping[str, Any]) -> str:
    """Write the JSON as a file holds it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _set_thresholds(category: dict[str, Any], done: Calibrated) -> None:
    if reports_only(done.category):
        return
    if "review" in category:
        category["review"] = done.thresholds.review.value
    if "block" in category:
        category["block"] = done.thresholds.block.value


def _hash(pictures: Pictures) -> str:
    lines = sorted(
        f"{content} {json.dumps(sorted(names))}"
        for content, names in zip(pictures.contents, pictures.categories, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
