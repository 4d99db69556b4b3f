"""Real embeddings of real photographs as the calibration takes them: real cosines at a real logit scale."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from moderator.policy.file import check_calibration, read_policies
from moderator.settings import Settings
from support.lit_embeddings import LOGIT_SCALE, photographs, texts
from tools.calibration.embed import Pictures
from tools.calibration.run import Done, Request, calibrate_and_write, policy_before
from tools.calibration.thresholds import Targets
from tools.core import Core, build_core
from tools.tests.desk import policies

# By what their descriptions say.
SHOWN = {
    "animals": frozenset({"1", "3", "4", "5", "6", "22", "23", "25", "32", "44", "49", "51", "52"}),
    "toys": frozenset({"13", "15", "19", "20", "28", "33", "45", "50", "54", "57"}),
    "motorbikes": frozenset({"20", "30"}),
}

POLICY: dict[str, Any] = {
    "neutral": ["a mountain", "a book", "hands", "waffles", "a telephone", "a vibrant painting", "words on a wall"],
    "categories": {
        "animals": {
            "labels": [
                *("a dog", "a cat", "a horse", "a bird", "a buffalo"),
                *("a raccoon in a tree", "a hedgehog", "grass"),
            ],
            "against": ["a teddy bear", "action toy"],
            "review": 0.5,
            "block": 0.9,
        },
        "toys": {"labels": ["a teddy bear", "action toy", "a monkey doll", "a small toy"], "review": 0.5, "block": 0.9},
        "motorbikes": {"labels": ["a motorbike"], "review": 0.6, "block": 0.7},
    },
}


def core_of(policies_dir: Path, pretrained: str = "tiny") -> Core:
    """Return a core with the photographs' model in it, as far as a calibration on embeddings needs one."""
    core = build_core(Settings(policies_dir=policies_dir))
    return replace(core, model=replace(core.model, name="lit", pretrained=pretrained, logit_scale=LOGIT_SCALE))


def calibrate(policies_dir: Path, policy: str, name: str, *, pretrained: str = "tiny", **request: Any) -> Done:
    """Calibrate a policy of the folder on all photographs, without thumbnails, which nobody has."""
    core = core_of(policies_dir, pretrained)
    content, before = policy_before(core, policy)
    seen, words = photographs(), texts()
    labels = np.stack([words[label] for label in before.labels])
    numbers = tuple(sorted(seen))
    pictures = Pictures(
        paths=numbers,
        contents=numbers,
        categories=tuple(
            frozenset(shown for shown in before.written["categories"] if number in SHOWN[shown]) for number in numbers
        ),
        looks=(b"",) * len(numbers),
        groups=np.arange(len(numbers)),
        rows=np.stack([seen[number] @ labels.T for number in numbers]),
        frames=(1,) * len(numbers),
        parts=len(numbers),
        unreadable=(),
        copies=0,
    )
    asked: dict[str, Any] = {"targets": Targets(), "method": "platt", "date": "2026-01-01"}
    asked |= {"report": policies_dir.parent / "report"} | request
    return calibrate_and_write(
        core, content, before, pictures, Request(policy=policy, name=name, policies_dir=policies_dir, **asked), _none
    )


def changed(**categories: dict[str, Any]) -> dict[str, Any]:
    """Return the policy with other thresholds."""
    policy = copy.deepcopy(POLICY)
    for name, thresholds in categories.items():
        category = policy["categories"][name]
        policy["categories"][name] = {k: v for k, v in category.items() if k not in ("review", "block")} | thresholds
    return policy


def calibrated(folder: Path, policy: dict[str, Any], name: str = "mine", **request: Any) -> dict[str, Any]:
    """Calibrate a policy, check that it runs with its model, and return what was written."""
    policies(folder / "policies", **{name: policy})
    pretrained = request.get("pretrained", "tiny")
    calibrate(folder / "policies", name, f"{name}-next", **request)
    written = read_policies(folder / "policies", max_labels=1000)[f"{name}-next"]
    check_calibration(written, name="lit", pretrained=pretrained)
    content: dict[str, Any] = json.loads((folder / f"policies/{name}-next.json").read_text())
    return content


def thresholds(content: dict[str, Any], name: str) -> dict[str, float]:
    """Return a category's thresholds, those of them that are there."""
    return {
        limit: content["categories"][name][limit]
        for limit in ("review", "block")
        if limit in content["categories"][name]
    }


def _none(_: Iterable[str]) -> Mapping[str, str]:
    return {}
