"""From drawn pictures and a policy that is wrong to one that does what is asked of it, on pictures it has not seen."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import roc_auc_score

from model_build.demo_pictures import COLOURS, SHAPES
from moderator.policy.score import scores
from moderator.settings import Settings
from tools.calibration.data import read_data
from tools.calibration.embed import Embedder
from tools.calibration.interval import share
from tools.calibration.run import read
from tools.core import build_core
from tools.tests.desk import command, draw_into, lines, policies

pytestmark = pytest.mark.slow

# Each category's shape in a wrong colour, so that nothing of what they describe is the category's. They were chosen by
# these words alone, and the data was not made for them: all other shapes in all other colours are in it equally often.
USELESS = {"red circles": "a black circle", "blue squares": "a black square"}

# Its thresholds are wrong: red circles are blocked at the least suspicion, blue squares practically never.
POLICY: dict[str, Any] = {
    "description": "Wrong on purpose.",
    "view": "tiles",
    "neutral": ["a green triangle", "a white star", "a black cross", "an orange heart", "a purple arrow pointing up"],
    "candidate": "shapes-next",
    "categories": {
        "red circles": {"labels": ["a red circle", USELESS["red circles"]], "review": 1e-9, "block": 1e-8},
        "blue squares": {
            "labels": ["a blue square", USELESS["blue squares"]],
            "against": ["a blue star"],
            "review": 0.999999999,
            "block": 0.9999999999,
        },
    },
}


def draw_half(folder: Path, seed: int) -> None:
    kinds = {"red circles": ("red", "circle"), "blue squares": ("blue", "square")}
    others = [(colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in kinds.values()]
    for place, (name, kind) in enumerate(kinds.items()):
        draw_into(folder / name, [kind] * 260, seed=10 * seed + place)
    draw_into(folder / "neutral", others * 6, seed=10 * seed + 2)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A calibration that was run as a command."""

    folder: Path
    told: subprocess.CompletedProcess[str]

    @property
    def report(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "build/calibration/shapes-next/report.json").read_text())
        return read

    @property
    def written(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "policies/shapes-next.json").read_text())
        return read

    def files(self) -> dict[str, bytes]:
        paths = [self.folder / "policies/shapes-next.json", *self.folder.glob("build/calibration/shapes-next/*")]
        return {path.name: path.read_bytes() for path in paths}


def calibrate(folder: Path, *options: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return command(
        "tools.calibration",
        *("learn", "--policy", "shapes", *options),
        cwd=folder,
        policies_dir=folder / "policies",
        **settings,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("calibration")
    draw_half(folder / "learn", seed=1)
    draw_half(folder / "held out", seed=2)
    policies(folder / "policies", shapes=POLICY, **{"shapes-next": POLICY | {"candidate": "shapes"}})
    told = calibrate(folder, "--replace", source_date_epoch=1_790_000_000)
    assert told.returncode == 0, told.stderr
    return Finished(folder=folder, told=told)


def test_the_targets_are_reached_on_pictures_that_were_not_seen(finished: Finished) -> None:
    told = command(
        *("tools.folder", "held out", "--policy", "shapes-next", "--out", "out"),
        cwd=finished.folder,
        policies_dir=finished.folder / "policies",
    )
    assert told.returncode == 0, told.stderr
    judged = lines(finished.folder / "out/verdicts.jsonl")
    assert judged[0]["policy"]["calibrated"] is True
    for name in USELESS:
        actions: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        for line in judged:
            actions[line["source"]["path"].startswith(f"{name}/")][line["categories"][name]["action"]] += 1
        recall = share(actions[True]["review"] + actions[True]["block"], actions[True].total())
        precision = share(actions[True]["block"], actions[True]["block"] + actions[False]["block"])
        assert recall.high >= 0.95, (name, actions)
        assert precision.high >= 0.95, (name, actions)
        # And not by blocking nothing or by sending everything to review.
        assert actions[True]["block"] > 0.5 * actions[True].total(), actions
        assert actions[False]["allow"] > 0.9 * actions[False].total(), actions
        # And what the report said of them holds here.
        said = finished.report["categories"][name]
        assert said["review"]["recall"]["low"] <= recall.high
        assert said["review"]["recall"]["high"] >= recall.low
        assert said["block"]["precision"]["low"] <= precision.high
        assert said["block"]["precision"]["high"] >= precision.low
        assert said["review"]["promised"]


def test_before_the_targets_were_missed(finished: Finished) -> None:
    said = finished.report["categories"]
    assert said["red circles"]["block_before"]["precision"]["high"] < 0.95
    assert said["blue squares"]["review_before"]["recall"]["high"] < 0.95


def test_the_useless_prompts_are_named_and_no_others(finished: Finished) -> None:
    for name, useless in USELESS.items():
        assert finished.report["categories"][name]["advice"]["hurts"] == [useless]
        assert f"better without '{useless}'" in finished.told.stdout
    assert finished.told.stdout.count("better without") == len(USELESS)
    page = (finished.folder / "build/calibration/shapes-next/report.html").read_text()
    for useless in USELESS.values():
        assert f"would be recognised better without “{useless}”" in page


def test_the_prompts_that_are_named_are_those_without_which_the_service_does_better_on_other_pictures(
    finished: Finished,
) -> None:
    """Measured without the calibration: by the service's own scores of policies without one prompt."""
    core = build_core(Settings(policies_dir=finished.folder / "policies"))
    before = core.policy("shapes")
    pictures = Embedder(core, before, finished.folder / "held out.sqlite").embed(
        read_data(finished.folder / "held out", list(USELESS)), lambda: None
    )
    assert pictures.frames == (1,) * len(pictures.paths)

    def auroc(policy: dict[str, Any], name: str) -> float:
        read_one = read(core, policy, "one")
        places = [before.labels.index(label) for label in read_one.labels]
        place = [category.name for category in read_one.categories].index(name)
        scored = scores(read_one, pictures.rows[:, places], core.model.logit_scale)[:, place]
        return float(roc_auc_score([name in shown for shown in pictures.categories], scored))

    for name, useless in USELESS.items():
        better = []
        for label in POLICY["categories"][name]["labels"]:
            without = copy.deepcopy(POLICY)
            without["categories"][name]["labels"].remove(label)
            if auroc(without, name) > auroc(POLICY, name):
                better.append(label)
        assert better == [useless] == finished.report["categories"][name]["advice"]["hurts"]


def test_a_rerun_is_bit_for_bit_the_same(finished: Finished) -> None:
    first = finished.files()
    assert sorted(first) == ["report.html", "report.json", "shapes-next.json"]
    # On another day, from the embeddings on disk.
    assert calibrate(finished.folder).returncode == 0
    assert finished.files() == first
    # And from the pictures again.
    (finished.folder / "build/calibration/embeddings.sqlite").unlink()
    assert calibrate(finished.folder).returncode == 0
    assert finished.files() == first


def test_a_second_run_embeds_nothing(finished: Finished) -> None:
    """Not even where another policy asks, as long as the model and the view are the same."""
    store = finished.folder / "build/calibration/embeddings.sqlite"
    before = hashlib.sha256(store.read_bytes()).hexdigest()
    other = POLICY | {"neutral": ["a green star"]}
    policies(finished.folder / "policies", other=other | {"candidate": "shapes"})
    told = command(
        "tools.calibration",
        "learn",
        "--policy",
        "other",
        cwd=finished.folder,
        policies_dir=finished.folder / "policies",
    )
    assert told.returncode == 0, told.stderr
    assert hashlib.sha256(store.read_bytes()).hexdigest() == before


def test_the_policy_says_how_it_was_made_and_keeps_its_prompts(finished: Finished) -> None:
    written = finished.written
    made = written.pop("calibration")
    assert made["model"] == {"name": "demo-shapes", "pretrained": "demo-shapes.safetensors"}
    assert set(made["categories"]) == set(USELESS)
    assert made["date"] == "2026-09-21"
    assert made["data"]["pictures"] == len(list((finished.folder / "learn").rglob("*.png")))
    assert made["data"]["categories"].keys() == set(USELESS)
    assert re.fullmatch("[0-9a-f]{64}", made["data"]["sha256"])
    assert made["targets"] == {"block_precision": 0.95, "review_recall": 0.95}
    assert "Platt" in made["method"]
    expected = json.loads(json.dumps(POLICY))
    for name in USELESS:
        for threshold in ("review", "block"):
            assert 0 < written["categories"][name].pop(threshold) < 1
            del expected["categories"][name][threshold]
    del expected["candidate"]  # it was this very policy
    assert written == expected


def test_probabilities_are_better_than_before(finished: Finished) -> None:
    for category in finished.report["categories"].values():
        before, after = category["metrics"]["before"], category["metrics"]["after"]
        assert after["brier"] < before["brier"]
        assert after["calibration_error"] < before["calibration_error"]
        assert after["auroc"] == pytest.approx(before["auroc"], abs=0.005)  # folds have curves of their own


def test_the_report_has_all_figures_and_is_self_contained(finished: Finished) -> None:
    report = finished.report
    page = (finished.folder / "build/calibration/shapes-next/report.html").read_text()
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!data:image/jpeg;base64,|#)", page)
    assert page.count("<svg") == 4
    # Old verdicts in rows, new ones in columns; each picture is in one place.
    table = report["verdicts"]["from_to"]
    assert sum(sum(row.values()) for row in table.values()) == report["calibration"]["data"]["pictures"]
    changed = {change["kind"]: change["count"] for change in report["changes"]}
    assert changed["newly blocked"] == table["allow"]["block"] + table["review"]["block"]
    assert changed["newly allowed"] == table["review"]["allow"] + table["block"]["allow"] > 0
    for group in report["mistakes"]:
        assert len(group["pictures"]) == min(20, group["count"])
        scores = [picture["score"] for picture in group["pictures"]]
        assert scores == sorted(scores, reverse=group["kind"] != "missed")
    # What the two prompts do wrong is among the worst.
    wrong = [group for group in report["mistakes"] if group["kind"] == "wrongly blocked"]
    assert any("black-" in picture["path"] for group in wrong for picture in group["pictures"])
