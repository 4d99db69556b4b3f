"""The calibrated policy's content: the same prompts, new thresholds, and how they were found."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from moderator.clip.model import Model
from tools.calibration.calibrate import Calibrated, Calibration, Refused
from tools.calibration.earlier import LIMITS, Limit, as_written, found_for, kept_note, model_name, note, still_holds
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

    A category that could not be calibrated keeps an earlier calibration of the same model and prompts, if it has one;
    otherwise it has none, and the thresholds that its author wrote. Either is noted, for the rest of the notes are not
    about it.

    Args:
        content: the policy's JSON as it is in its file.
        name: of the policy that is written.
        calibration: what was found out.
        model: the one that runs.
        pictures: that it was found out on.
        targets: of the thresholds.
        method: of the fit.
        date: of the calibration.
    """
    new = copy.deepcopy(dict(content))
    if new.get("candidate") == name:
        del new["candidate"]  # nobody is their own candidate
    earlier = new.pop("calibration", None) or {}
    wanted = {"block_precision": targets.precision, "review_recall": targets.recall}
    curves: dict[str, Any] = {}
    thresholds: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    uncalibrated: dict[str, str] = {}
    for one in calibration.categories:
        of_it, category = one.category.name, new["categories"][one.category.name]
        if isinstance(one, Calibrated):
            curves[of_it] = {"scale": one.curve.scale, "offset": one.curve.offset}
            chosen = _chosen(one)
            thresholds[of_it] = note(content, of_it, chosen, wanted)
            category |= chosen
        elif still_holds(content, of_it, model):
            curves[of_it] = earlier["categories"][of_it]
            thresholds[of_it] = kept_note(content, of_it)
            kept[of_it] = _kept(one, earlier, found_for(content, of_it, thresholds[of_it]))
        else:
            category |= as_written(content, of_it)
            uncalibrated[of_it] = (
                f"{one.why} It is not calibrated: its thresholds are {_listed(category)}, and its scores are no "
                "probabilities."
            )
    new["calibration"] = {
        "model": model_name(model),
        "categories": dict(sorted(curves.items())),
        "thresholds": dict(sorted(thresholds.items())),
        **({"kept": kept} if kept else {}),
        **({"uncalibrated": uncalibrated} if uncalibrated else {}),
        "data": {
            "sha256": _hash(pictures),
            "pictures": len(pictures.paths),
            "different": len(set(pictures.groups.tolist())),
            "categories": {one.category.name: one.pictures for one in calibration.categories},
        },
        "targets": wanted,
        "method": _METHODS[method],
        "date": date,
    }
    new["calibration"]["sha256"] = content_hash(new)
    return new


def content_hash(content: Mapping[str, Any]) -> str:
    """Hash a calibrated policy's content, besides the date and this hash itself: what is changed by hand shows."""
    calibration = {key: value for key, value in content["calibration"].items() if key not in ("date", "sha256")}
    whole = json.dumps(dict(content) | {"calibration": calibration}, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def written(content: Mapping[str, Any]) -> str:
    """Write the JSON as a file holds it."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _chosen(done: Calibrated) -> dict[Limit, float]:
    values: dict[Limit, float] = {"review": done.thresholds.review.value, "block": done.thresholds.block.value}
    return {limit: values[limit] for limit in LIMITS if limit in done.used}


def _kept(refused: Refused, earlier: Mapping[str, Any], found: str) -> dict[str, str]:
    """Note where a calibration that is kept comes from; one that was kept before comes from where it came from then."""
    before = earlier.get("kept", {}).get(refused.category.name)
    date, data = (
        (before["date"], before["data"])
        if before
        else (str(earlier.get("date", "an earlier day")), str(earlier.get("data", {}).get("sha256", "")))
    )
    return {"date": date, "data": data, "why": f"{refused.why} It keeps its calibration of {date}. {found}"}


def _listed(category: Mapping[str, Any]) -> str:
    return " and ".join(f"{limit} {category[limit]:g}" for limit in LIMITS if category.get(limit) is not None)


def _hash(pictures: Pictures) -> str:
    lines = sorted(
        f"{content} {json.dumps(sorted(names))}"
        for content, names in zip(pictures.contents, pictures.categories, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
