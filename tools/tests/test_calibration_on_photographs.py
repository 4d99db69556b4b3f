"""The whole tool on real embeddings of real photographs: real cosines at a real logit scale, too few of all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit
from scipy.stats import ttest_1samp
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from moderator.clip.model import read_model
from moderator.errors import ConfigurationError
from moderator.labels.precomputed import write_precomputed
from moderator.policy.file import check_calibration, read_inline, read_policies
from moderator.policy.score import scores
from moderator.policy.verdict import action_of
from moderator.settings import Settings
from support.lit_embeddings import DIM, LOGIT_SCALE, photographs, texts
from tools.calibration.embed import EMBEDDINGS, open_store
from tools.calibration.fit import fit
from tools.calibration.run import Done
from tools.calibration.store import Stored
from tools.tests.desk import command, policies
from tools.tests.photographs import POLICY, SHOWN, calibrate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    folder = tmp_path_factory.mktemp("photographs")
    policies(folder / "policies", photographs=POLICY)
    return calibrate(folder / "policies", "photographs", "photographs-next"), folder


def test_real_numbers_come_out(done: tuple[Done, Path]) -> None:
    categories = done[0].figures["categories"]
    assert set(categories) == {"animals", "toys"}
    for one in categories.values():
        assert one["metrics"]["after"]["auroc"] > 0.8
        assert one["metrics"]["after"]["brier"] < one["metrics"]["before"]["brier"]
        assert 0 < one["scale"] < 1  # CLIP-like scores are too sure of themselves
        assert not one["review"]["promised"]  # 13 and 10 pictures promise nothing of 0.95
        assert not one["block"]["promised"]
        assert "cannot be promised" in one["review"]["sentence"]


def test_the_figures_are_those_that_the_service_itself_would_give(done: tuple[Done, Path]) -> None:
    """Scored by the service's own formula with the policy's file as it was written, measured by scikit-learn."""
    written = read_policies(done[1] / "policies", max_labels=1000)
    seen, words = photographs(), texts()
    for when, policy in (("before", written["photographs"]), ("after", written["photographs-next"])):
        labels = np.stack([words[label] for label in policy.labels])
        cosines = np.stack([seen[number] for number in sorted(seen)]) @ labels.T
        scored = scores(policy, cosines, LOGIT_SCALE)
        for name in ("animals", "toys"):
            place = [category.name for category in policy.categories].index(name)
            category, of_it = policy.categories[place], scored[:, place]
            truth = np.array([number in SHOWN[name] for number in sorted(seen)])
            said = done[0].figures["categories"][name]
            if when == "before":
                measured = said["metrics"]["before"]
                assert measured["auroc"] == pytest.approx(roc_auc_score(truth, of_it))
                assert measured["average_precision"] == pytest.approx(average_precision_score(truth, of_it))
                assert measured["brier"] == pytest.approx(brier_score_loss(truth, of_it))
            for threshold in ("review", "block"):
                above = of_it >= getattr(category, threshold)
                figure = said[f"{threshold}_before" if when == "before" else threshold]
                assert figure["value"] == getattr(category, threshold)
                counts = int((above & truth).sum()), int(truth.sum()), int(above.sum()), int((above & ~truth).sum())
                assert (figure["recall"]["hits"], figure["recall"]["of"]) == counts[:2]
                assert (figure["precision"]["hits"], figure["precision"]["of"]) == (counts[0], counts[2])
                assert figure["false_positive_rate"]["hits"] == counts[3]


def test_the_verdicts_are_counted_as_the_service_would_give_them(done: tuple[Done, Path]) -> None:
    written, numbers = read_policies(done[1] / "policies", max_labels=1000), sorted(photographs())
    rows = np.stack([photographs()[number] for number in numbers])
    verdicts: dict[str, list[str]] = {}
    for when, policy in (("before", written["photographs"]), ("after", written["photographs-next"])):
        scored = scores(policy, rows @ np.stack([texts()[label] for label in policy.labels]).T, LOGIT_SCALE)
        verdicts[when] = [
            max(
                (action_of(category, score) for category, score in zip(policy.categories, of_one, strict=True)),
                key=("allow", "review", "block").index,
            )
            for of_one in scored.tolist()
        ]
        shows = {name: [number in SHOWN[name] for number in numbers] for name in SHOWN}
        shows["nothing"] = [not any(number in of_it for of_it in SHOWN.values()) for number in numbers]
        assert done[0].figures["verdicts"][when] == {
            name: {
                action: sum(one == action and it for one, it in zip(verdicts[when], shown, strict=True))
                for action in ("allow", "review", "block")
            }
            for name, shown in shows.items()
        }
    changed = Counter(zip(verdicts["before"], verdicts["after"], strict=True))
    assert done[0].figures["verdicts"]["from_to"] == {
        was: {now: changed[was, now] for now in ("allow", "review", "block")} for was in ("allow", "review", "block")
    }


def evidence_of_toys(without: str = "") -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return each photograph's evidence by the formula of the docs, and whether it shows a toy."""
    seen, words = photographs(), texts()
    logits = {
        text: np.array([seen[number].astype(np.float64) @ words[text] for number in sorted(seen)]) * LOGIT_SCALE
        for text in words
    }
    labels, against = (
        np.log(np.mean([np.exp(logits[text]) for text in side if text != without], axis=0))
        for side in (POLICY["categories"]["toys"]["labels"], POLICY["neutral"])
    )
    return labels - against, np.array([number in SHOWN["toys"] for number in sorted(seen)])


def test_scale_and_offset_are_the_likeliest(done: tuple[Done, Path]) -> None:
    """None beside them are better, with Platt's own targets."""
    z, truth = evidence_of_toys()
    target = np.where(truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    said = done[0].figures["categories"]["toys"]

    def loss(scale: float, offset: float) -> float:
        p = expit(scale * z + offset)
        return float(-(target * np.log(p) + (1 - target) * np.log1p(-p)).sum())

    best = loss(said["scale"], said["offset"])
    for scale, offset in ((1.01, 1.0), (0.99, 1.0), (1.0, 1.01), (1.0, 0.99)):
        assert loss(said["scale"] * scale, said["offset"] * offset) > best


def test_a_prompts_margin_is_students_interval_for_all_prompts_together(done: tuple[Done, Path]) -> None:
    """One in twenty categories, not one in twenty prompts, may have a prompt that is called harmful by chance."""

    def losses(without: str = "") -> npt.NDArray[np.float64]:
        z, truth = evidence_of_toys(without)
        curve = fit(z, truth, np.ones(len(truth)))
        assert curve is not None
        return -np.log(np.where(truth, curve(z), 1 - curve(z)))

    prompts = done[0].figures["categories"]["toys"]["prompts"]
    assert len(prompts) == len(POLICY["categories"]["toys"]["labels"]) + len(POLICY["neutral"])
    for prompt in prompts:
        tested = ttest_1samp(losses(prompt["text"]) - losses(), 0.0)
        low, high = tested.confidence_interval(1 - 0.05 / len(prompts))
        assert prompt["contribution"] == pytest.approx((low + high) / 2, abs=1e-5)
        assert prompt["margin"] == pytest.approx((high - low) / 2, rel=1e-3)
        assert prompt["effect"] == ("hurts" if high < 0 else "helps" if low > 0 else "unclear")


def test_a_prompt_is_said_to_be_in_the_list_that_it_is_in(tmp_path: Path) -> None:
    """A reader who is told to change a prompt of `neutral` looks for it there."""
    toys, animals = (POLICY["categories"][name] for name in ("toys", "animals"))
    both = {
        "toys": toys | {"against": ["a mountain"]},
        "animals": animals | {"against": [*animals["against"], "a mountain"]},
    }
    policies(
        tmp_path / "policies",
        one={"neutral": POLICY["neutral"], "categories": {"toys": toys | {"against": ["grass"]}}},
        two={"neutral": ["a book", "hands"], "categories": both},
    )
    for name, neutral, against in (("one", POLICY["neutral"], ["grass"]), ("two", ["a book", "hands"], ["a mountain"])):
        prompts = calibrate(tmp_path / "policies", name, f"{name}-next").figures["categories"]["toys"]["prompts"]
        by_side = {
            side: sorted(one["text"] for one in prompts if one["side"] == side) for side in ("neutral", "against")
        }
        assert by_side == {"neutral": sorted(neutral), "against": against}


def test_the_numbers_of_pictures_are_said(done: tuple[Done, Path]) -> None:
    figures = done[0].figures
    assert figures["categories"]["animals"]["pictures"] == len(SHOWN["animals"])
    assert figures["refused"]["motorbikes"].startswith(
        "There are only 2 different pictures of motorbikes: it takes at least 5"
    )


def test_the_policy_runs_with_that_model_and_no_other(done: tuple[Done, Path]) -> None:
    policy = read_policies(done[1] / "policies", max_labels=1000)["photographs-next"]
    check_calibration(policy, name="lit", pretrained="tiny")
    with pytest.raises(ConfigurationError, match=r"calibration\.model is lit \(tiny\), but lit \(large\) is running"):
        check_calibration(policy, name="lit", pretrained="large")
    assert not policy.calibrated  # not all of it: motorbikes are missing


def test_pictures_that_nobody_has_leave_a_page_without_them(done: tuple[Done, Path]) -> None:
    page = (done[1] / "report/report.html").read_text()
    shown = sum(len(group["pictures"]) for key in ("mistakes", "changes") for group in done[0].figures[key])
    assert page.count("no picture available") == shown > 0


def test_the_same_again_is_bit_for_bit_the_same(done: tuple[Done, Path]) -> None:
    paths = [done[1] / "policies/photographs-next.json", done[1] / "report/report.json", done[1] / "report/report.html"]
    first = [path.read_bytes() for path in paths]
    calibrate(done[1] / "policies", "photographs", "photographs-next", date="2026-02-02")
    assert [path.read_bytes() for path in paths] == first
    assert json.loads(first[0])["calibration"]["date"] == "2026-01-01"


def test_the_command_itself_runs_on_real_numbers(done: tuple[Done, Path], tmp_path: Path) -> None:
    """From a table of pictures to the policy, with a model folder and a store of embeddings that hold the real ones.

    Nothing is embedded, because nobody here has the photographs or that model's towers: the store has all the pictures,
    and the precomputed tier all the labels.
    """
    model_dir = tmp_path / "lit"
    shutil.copytree(Settings().model_dir, model_dir)
    manifest = json.loads((model_dir / "manifest.json").read_text())
    manifest |= {"name": "lit", "pretrained": "tiny", "fingerprint": "00000000feedbeef", "embedding_size": DIM}
    (model_dir / "manifest.json").write_text(json.dumps(manifest | {"logit_scale": LOGIT_SCALE}))
    words, seen = texts(), photographs()
    write_precomputed(read_model(model_dir), list(words), np.stack(list(words.values())))

    policy = POLICY | {"view": "center"}
    judged_by = read_inline(policy, known=(), max_labels=1000)
    store = open_store(tmp_path / EMBEDDINGS, read_model(model_dir), judged_by, max_pixels=Settings().max_pixels)
    rng = np.random.default_rng(0)
    rows = ["path,categories"]
    for number in sorted(seen):
        (tmp_path / f"{number}.jpg").write_text(number)
        content = hashlib.sha256(number.encode()).hexdigest()
        store.add({content: Stored(frames=(seen[number][np.newaxis],), hash=rng.bytes(16))})
        rows.append(f"{number}.jpg,{';'.join(name for name in SHOWN if number in SHOWN[name])}")
    store.close()
    (tmp_path / "data.csv").write_text("\n".join(rows))
    told = command(
        *("tools.calibration", "data.csv", "--policy", "photographs"),
        cwd=tmp_path,
        policies_dir=policies(tmp_path / "policies", photographs=policy),
        model_dir=model_dir,
    )
    assert told.returncode == 0, told.stderr
    said = json.loads((tmp_path / "build/calibration/photographs-next/report.json").read_text())
    for name, one in done[0].figures["categories"].items():
        # All but what depends on how pictures are dealt into folds, which is by what they look like.
        for figure in ("scale", "offset", "pictures", "others", "review", "block", "review_before", "block_before"):
            assert said["categories"][name][figure] == one[figure], figure
        assert said["categories"][name]["metrics"]["before"]["brier"] == pytest.approx(
            one["metrics"]["before"]["brier"]
        )
        auroc = said["categories"][name]["metrics"]["after"]["auroc"]
        assert f"{name}: {one['pictures']} pictures, AUROC {auroc:.3f}" in told.stdout
        assert auroc == pytest.approx(one["metrics"]["after"]["auroc"], abs=0.1)
    assert said["refused"].keys() == {"motorbikes"}
