"""The whole tool on real embeddings of real photographs: real cosines at a real logit scale, too few of all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderator.settings import Settings
from support.lit_embeddings import LOGIT_SCALE, photographs, texts
from tools.calibration.embed import Pictures
from tools.calibration.run import Done, Request, calibrate_and_write, read
from tools.calibration.thresholds import Targets
from tools.core import build_core
from tools.tests.desk import policies

# By what their descriptions say.
ANIMALS = frozenset({"1", "3", "4", "5", "6", "22", "23", "25", "32", "44", "49", "51", "52"})
TOYS = frozenset({"13", "15", "19", "20", "28", "33", "45", "50", "54", "57"})

POLICY: dict[str, Any] = {
    "neutral": ["a mountain", "a book", "hands", "waffles", "a telephone", "a vibrant painting", "words on a wall"],
    "categories": {
        "animals": {
            "labels": [
                "a dog",
                "a cat",
                "a horse",
                "a bird",
                "a buffalo",
                "a raccoon in a tree",
                "a hedgehog",
                "grass",
            ],
            "against": ["a teddy bear", "action toy"],
            "review": 0.5,
            "block": 0.9,
        },
        "toys": {"labels": ["a teddy bear", "action toy", "a monkey doll", "a small toy"], "review": 0.5, "block": 0.9},
        "motorbikes": {"labels": ["a motorbike"], "review": 0.5},
    },
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    folder = tmp_path_factory.mktemp("photographs")
    core = build_core(Settings(policies_dir=policies(folder / "policies", photographs=POLICY)))
    core = replace(core, model=replace(core.model, name="lit", pretrained="tiny", logit_scale=LOGIT_SCALE))
    policy = read(core, POLICY, "photographs")
    seen, words = photographs(), texts()
    labels = np.stack([words[label] for label in policy.labels])
    numbers = tuple(sorted(seen))
    pictures = Pictures(
        paths=numbers,
        contents=numbers,
        categories=tuple(
            frozenset(name for name, of_it in {"animals": ANIMALS, "toys": TOYS, "motorbikes": {"20", "30"}}.items()
                      if number in of_it)
            for number in numbers
        ),
        groups=np.arange(len(numbers)),
        rows=np.stack([seen[number] @ labels.T for number in numbers]),
        frames=(1,) * len(numbers),
        parts=len(numbers),
        unreadable=(),
        copies=0,
    )  # fmt: skip
    request = Request(
        policy="photographs",
        name="photographs-next",
        targets=Targets(),
        method="platt",
        date="2026-01-01",
        policies_dir=folder / "policies",
        report=folder / "report",
    )

    def nothing_at_hand(_: Iterable[str]) -> Mapping[str, str]:
        return {}

    return calibrate_and_write(core, POLICY, policy, pictures, request, nothing_at_hand), folder


def test_real_numbers_come_out(done: tuple[Done, Path]) -> None:
    categories = done[0].figures["categories"]
    assert set(categories) == {"animals", "toys"}
    for one in categories.values():
        assert one["metrics"]["after"]["auroc"] > 0.8
        assert one["metrics"]["after"]["brier"] < one["metrics"]["before"]["brier"]
        assert 0 < one["scale"] < 1  # CLIP-like scores are too sure of themselves
        assert not one["review"]["promised"]  # 13 and 10 pictures promise nothing of 0.95
        assert "cannot be promised" in one["review"]["sentence"]


def test_the_numbers_of_pictures_are_said(done: tuple[Done, Path]) -> None:
    figures = done[0].figures
    assert figures["categories"]["animals"]["pictures"] == len(ANIMALS)
    assert figures["refused"]["motorbikes"].startswith(
        "There are only 2 different pictures of motorbikes: it takes at least 5"
    )


def test_the_policy_runs_with_that_model_and_no_other(done: tuple[Done, Path]) -> None:
    written = json.loads((done[1] / "policies/photographs-next.json").read_text())
    assert written["calibration"]["model"] == {"name": "lit", "pretrained": "tiny"}
    assert "no picture available" in (done[1] / "report/report.html").read_text()
