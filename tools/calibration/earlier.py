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
    if len(known) == len(LIMITS):
        known["block"] = max(known["review"], known["block"])
    return known


def used(content: Mapping[str, Any], name: str) -> frozenset[Limit]:
    """Return which of a category's thresholds its author wants: those that are written and not out of reach."""
    return frozenset(limit for limit, value in _written(content, name).items() if value is None or value < NEVER)


def looks_for(content: Mapping[str, Any], name: str) -> str:
    """Hash what a category's evidence depends on besides the model: view, frames and prompts."""
    category = content["categories"][name]
    prompts = [
        sorted(set(texts)) for texts in (content.get("neutral", []), category["labels"], category.get("against", []))
    ]
    seen = json.dumps([content.get("view", "tiles"), content.get("frames", {}), prompts], sort_keys=True)
    return hashlib.sha256(seen.encode()).hexdigest()[:16]


def note(content: Mapping[str, Any], name: str, chosen: Mapping[Limit, float]) -> dict[str, Any]:
    """Return what is noted of a category whose thresholds are chosen anew."""
    written = {limit: value for limit, value in _written(content, name).items() if value is not None}
    return {"chosen": dict(chosen), "written": written, "looks_for": looks_for(content, name)}


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
    chosen, written = noted.get("chosen", {}), noted.get("written", {})
    # What was put out of reach after the calibration, or before calibrations took notes, is the author's wish.
    return {
        limit: value if value >= NEVER and chosen.get(limit) != value else written.get(limit)
        for limit, value in there.items()
    }
