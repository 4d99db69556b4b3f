"""Whose thresholds a policy holds: its author's, or an earlier calibration's, which are worth nothing to another model.

A calibration notes for each category which thresholds it chose and which were written there before it, and a hash of
what its scores depend on besides the model.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from moderator.clip.model import Model
from moderator.policy.form import check_policy
from tools.calibration.thresholds import NEVER

Limit = Literal["review", "block"]
LIMITS: tuple[Limit, ...] = ("review", "block")

# Where nobody knows what the author wrote: odds of 4 and of 19 to 1, as in the policy that comes with the service.
START: dict[Limit, float] = {"review": 0.8, "block": 0.95}


def model_name(model: Model) -> dict[str, str]:
    """Return how a calibration names its model."""
    return {"name": model.name, "pretrained": model.pretrained}


def for_model(content: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """Return a policy's JSON as it may run with `model`: without what another model's calibration put into it."""
    new = copy.deepcopy(dict(content))
    calibration = new.get("calibration")
    if calibration and calibration["model"] != model_name(model):
        del new["calibration"]
        for name, category in new["categories"].items():
            category |= as_written(content, name)
    return new


def as_written(content: Mapping[str, Any], name: str) -> dict[Limit, float]:
    """Return a category's thresholds as its author wrote them; where nobody knows, a start."""
    known = {limit: START[limit] if value is None else value for limit, value in _written(content, name).items()}
    if len(known) == len(LIMITS) and known["block"] < known["review"]:
        # The one that still stands in the file was written last, and the other one gives way.
        last: Limit = "block" if content["categories"][name]["block"] == known["block"] else "review"
        known = dict.fromkeys(LIMITS, known[last])
    return known


def used(content: Mapping[str, Any], name: str) -> frozenset[Limit]:
    """Return which of a category's thresholds its author wants: those that are written and not out of reach."""
    return frozenset(limit for limit, value in _written(content, name).items() if value is None or value < NEVER)


def looks_for(content: Mapping[str, Any], name: str) -> str:
    """Hash what a category's evidence depends on besides the model: view, frames, and the prompts on its two sides.

    It is what the policy means, however it is written: a default that is written out and a label that is repeated do
    not change it.

    Raises:
        PolicyMistake: the policy is not valid.
    """
    policy = check_policy(content)
    category = policy.categories[name]
    sides = [sorted({*category.labels}), sorted({*policy.neutral, *category.against})]
    seen = json.dumps([policy.view, policy.frames.model_dump(), sides], sort_keys=True)
    return hashlib.sha256(seen.encode()).hexdigest()[:16]


def note(
    content: Mapping[str, Any], name: str, chosen: Mapping[Limit, float], targets: Mapping[str, float]
) -> dict[str, Any]:
    """Return what is noted of a category whose thresholds are chosen anew."""
    written = {limit: value for limit, value in _written(content, name).items() if value is not None}
    return {
        "chosen": dict(chosen),
        "written": written,
        "targets": dict(targets),
        "looks_for": looks_for(content, name),
    }


def kept_note(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what is noted of a category that keeps its calibration: what was noted before, as far as that is known."""
    calibration = content["calibration"]
    noted = dict(calibration.get("thresholds", {}).get(name, {}))
    # Older versions noted the targets of their last run alone: of what was kept then, nobody knows them.
    if "targets" in calibration and name not in calibration.get("kept", {}):
        noted.setdefault("targets", calibration["targets"])
    return noted


def found_for(content: Mapping[str, Any], name: str, noted: Mapping[str, Any]) -> str:
    """Say for which targets the thresholds of a category that keeps its calibration were found."""
    targets, said = noted.get("targets"), []
    for limit, target, aim in (("review", "review_recall", "recall"), ("block", "block_precision", "precision")):
        value = content["categories"][name].get(limit)
        if value is None:
            continue
        if "chosen" in noted and noted["chosen"].get(limit) != value:
            said.append(f"{limit} {value:g} was written by hand")
        elif targets:
            said.append(f"{limit} {value:g} was found for a {aim} of {100 * targets[target]:.3g} %")
        else:
            said.append(f"{limit} {value:g} was found, and nobody noted for which targets")
    return f"Its {', and its '.join(said)}."


def still_holds(content: Mapping[str, Any], name: str, model: Model) -> bool:
    """Return whether a category is calibrated by `model`, for what the policy still looks for."""
    calibration = content.get("calibration") or {}
    if calibration.get("model") != model_name(model) or name not in calibration["categories"]:
        return False
    # Calibrations that took no notes are believed.
    noted = calibration.get("thresholds", {}).get(name, {})
    there = looks_for(content, name)
    return bool(noted.get("looks_for", there) == there)


def _written(content: Mapping[str, Any], name: str) -> dict[Limit, float | None]:
    """Return the thresholds that the author wrote; None is one that is there, though nobody knows what it was."""
    category = content["categories"][name]
    calibration = content.get("calibration") or {}
    there: dict[Limit, float] = {limit: category[limit] for limit in LIMITS if category.get(limit) is not None}
    if name not in calibration.get("categories", {}):
        return dict(there)
    noted = calibration.get("thresholds", {}).get(name, {})
    if "chosen" not in noted:
        # Before calibrations took notes. What is out of reach is the author's wish even so.
        return {limit: value if value >= NEVER else None for limit, value in there.items()}
    # What is no longer what was chosen, somebody wrote since.
    return {
        limit: noted.get("written", {}).get(limit) if noted["chosen"].get(limit) == value else value
        for limit, value in there.items()
    }
