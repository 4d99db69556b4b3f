"""What becomes of an earlier calibration, and of what its author wrote by hand, when a policy is calibrated again."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tools.calibration.earlier import looks_for
from tools.calibration.thresholds import Targets
from tools.tests.photographs import POLICY, calibrated, changed, thresholds

pytestmark = pytest.mark.slow


def test_a_refused_category_keeps_what_its_author_wrote_and_the_file_says_so(tmp_path: Path) -> None:
    written = calibrated(tmp_path, POLICY)
    assert thresholds(written, "motorbikes") == {"review": 0.6, "block": 0.7}
    made = written["calibration"]
    assert set(made["categories"]) == set(made["thresholds"]) == {"animals", "toys"}
    (sentence,) = made["uncalibrated"].values()
    assert "its thresholds are review 0.6 and block 0.7" in sentence
    assert sentence in (tmp_path / "report/report.html").read_text()


def earlier(written: dict[str, Any], *, pretrained: str = "tiny", notes: bool = True) -> dict[str, Any]:
    """Return a policy as a calibration of all three categories would have left it."""
    policy = copy.deepcopy(written)
    made = policy["calibration"]
    made["model"]["pretrained"] = pretrained
    made["categories"]["motorbikes"] = {"scale": 0.25, "offset": -1.5}
    policy["categories"]["motorbikes"] |= {"review": 0.11, "block": 0.22}
    made["thresholds"]["motorbikes"] = made["thresholds"]["toys"] | {
        "chosen": {"review": 0.11, "block": 0.22},
        "written": {"review": 0.6, "block": 0.7},
    }
    del made["thresholds"]["motorbikes"]["looks_for"], made["uncalibrated"]
    if not notes:
        del made["thresholds"]
    return policy


def test_a_refused_category_keeps_a_calibration_of_the_same_model_and_says_of_when(tmp_path: Path) -> None:
    first = earlier(calibrated(tmp_path, POLICY, date="2025-05-05"))
    written = calibrated(tmp_path, first, "second")
    assert thresholds(written, "motorbikes") == {"review": 0.11, "block": 0.22}
    made = written["calibration"]
    assert made["categories"]["motorbikes"] == {"scale": 0.25, "offset": -1.5}
    assert made["kept"]["motorbikes"]["date"] == "2025-05-05"
    assert made["kept"]["motorbikes"]["data"] == first["calibration"]["data"]["sha256"]
    assert "It keeps its calibration of 2025-05-05." in (tmp_path / "report/report.html").read_text()
    # Kept again, it is still of that day.
    third = calibrated(tmp_path, written, "third", date="2027-07-07")
    assert third["calibration"]["kept"] == made["kept"]


@pytest.mark.parametrize("notes", [True, False])
def test_no_threshold_of_another_model_is_kept(tmp_path: Path, notes: bool) -> None:
    """Back to what its author wrote, or to the start that the shipped policy makes where nobody knows that."""
    first = earlier(calibrated(tmp_path, POLICY), notes=notes)
    written = calibrated(tmp_path, first, "other", pretrained="large")
    expected = {"review": 0.6, "block": 0.7} if notes else {"review": 0.8, "block": 0.95}
    assert thresholds(written, "motorbikes") == expected
    assert written["calibration"]["model"]["pretrained"] == "large"
    assert set(written["calibration"]["categories"]) == {"animals", "toys"}
    assert set(written["calibration"]["uncalibrated"]) == {"motorbikes"}
    # The report compares with what could run: not with another model's thresholds either.
    before = json.loads((tmp_path / "report/report.json").read_text())["categories"]["toys"]["block_before"]["value"]
    assert before == (0.9 if notes else 0.95)


def test_a_calibration_for_other_prompts_is_not_kept(tmp_path: Path) -> None:
    first = calibrated(tmp_path, POLICY)
    with_hash = earlier(first)
    with_hash["calibration"]["thresholds"]["motorbikes"]["looks_for"] = "0123456789abcdef"
    written = calibrated(tmp_path, with_hash, "reworded")
    assert thresholds(written, "motorbikes") == {"review": 0.6, "block": 0.7}
    assert "motorbikes" not in written["calibration"]["categories"]
    # The hash is of the prompts: the same ones in another order are the same.
    reworded = copy.deepcopy(first)
    reworded["categories"]["toys"]["labels"].reverse()
    reworded["categories"]["animals"]["labels"] = ["a dog"]
    said = calibrated(tmp_path, reworded, "hashed")["calibration"]["thresholds"]
    assert said["toys"]["looks_for"] == first["calibration"]["thresholds"]["toys"]["looks_for"]
    assert said["animals"]["looks_for"] != first["calibration"]["thresholds"]["animals"]["looks_for"]


@pytest.mark.parametrize(
    ("by_hand", "expected"),
    [
        ({"review": 0.17}, {"review": 0.17, "block": 0.7}),
        ({"block": 0.66}, {"review": 0.6, "block": 0.66}),
        ({"review": 0.33, "block": 0.44}, {"review": 0.33, "block": 0.44}),
        # The other one gives way where the two are no longer in order.
        ({"block": 0.33}, {"review": 0.33, "block": 0.33}),
    ],
)
def test_a_threshold_that_was_edited_by_hand_survives_another_model(
    tmp_path: Path, by_hand: dict[str, float], expected: dict[str, float]
) -> None:
    """It is the author's, whatever a calibration wrote there before; what nobody edited is the other model's."""
    edited = earlier(calibrated(tmp_path, POLICY))
    edited["categories"]["motorbikes"] |= by_hand
    written = calibrated(tmp_path, edited, "other", pretrained="large")
    assert thresholds(written, "motorbikes") == expected
    assert "motorbikes" not in written["calibration"]["categories"]
    assert (
        f"review {expected['review']} and block {expected['block']}"
        in (written["calibration"]["uncalibrated"]["motorbikes"])
    )


def test_a_threshold_that_was_added_by_hand_survives_another_model(tmp_path: Path) -> None:
    added = earlier(calibrated(tmp_path, changed(motorbikes={"review": 0.6})))
    noted = added["calibration"]["thresholds"]["motorbikes"]
    noted |= {"chosen": {"review": 0.11}, "written": {"review": 0.6}}
    added["categories"]["motorbikes"] |= {"review": 0.11, "block": 0.77}
    assert thresholds(calibrated(tmp_path, added, "other", pretrained="large"), "motorbikes") == {
        "review": 0.6,
        "block": 0.77,
    }


def test_a_threshold_that_was_edited_by_hand_is_what_a_later_calibration_notes(tmp_path: Path) -> None:
    edited = calibrated(tmp_path, POLICY)
    edited["categories"]["toys"]["review"] = 0.33
    noted = calibrated(tmp_path, edited, "again")["calibration"]["thresholds"]["toys"]
    assert noted["written"] == {"review": 0.33, "block": 0.9}
    # And it is kept by hand where nothing is chosen anew.
    kept = earlier(calibrated(tmp_path, POLICY))
    kept["categories"]["motorbikes"]["block"] = 0.33
    written = calibrated(tmp_path, kept, "kept")
    assert thresholds(written, "motorbikes") == {"review": 0.11, "block": 0.33}
    assert written["calibration"]["kept"]["motorbikes"]["why"].endswith("%, and its block 0.33 was written by hand.")


@pytest.mark.parametrize(
    "same",
    [
        {"view": "tiles"},
        {"frames": {}},
        {"frames": {"most": 8, "every": 0.0}},
        {"neutral": [*POLICY["neutral"], POLICY["neutral"][0]]},
        {"against": [POLICY["neutral"][1]]},
    ],
)
def test_a_calibration_is_kept_however_the_same_policy_is_written(tmp_path: Path, same: dict[str, Any]) -> None:
    """A default that is written out, a label that is repeated: the version stays the same, and what is looked for."""
    before = calibrated(tmp_path, POLICY)
    first = earlier(before)
    first["calibration"]["thresholds"]["motorbikes"]["looks_for"] = looks_for(first, "motorbikes")
    again = copy.deepcopy(first)
    part = again["categories"]["motorbikes"] if "against" in same else again
    part |= same
    written = calibrated(tmp_path, again, "rewritten")
    assert written["calibration"]["kept"].keys() == {"motorbikes"}
    assert thresholds(written, "motorbikes") == {"review": 0.11, "block": 0.22}


@pytest.mark.parametrize(
    "other",
    [{"view": "pad"}, {"frames": {"at_least": 2}}, {"neutral": POLICY["neutral"][1:]}, {"against": ["a dog"]}],
)
def test_a_calibration_is_not_kept_where_something_else_is_looked_for(tmp_path: Path, other: dict[str, Any]) -> None:
    first = earlier(calibrated(tmp_path, POLICY))
    first["calibration"]["thresholds"]["motorbikes"]["looks_for"] = looks_for(first, "motorbikes")
    part = first["categories"]["motorbikes"] if "against" in other else first
    part |= other
    assert thresholds(calibrated(tmp_path, first, "changed"), "motorbikes") == {"review": 0.6, "block": 0.7}


def test_each_category_says_for_which_targets_its_thresholds_were_found(tmp_path: Path) -> None:
    """One that keeps its thresholds keeps its targets too, whatever this run's are."""
    strict = {"block_precision": 0.99, "review_recall": 0.9}
    first = earlier(calibrated(tmp_path, POLICY, targets=Targets(precision=0.99, recall=0.9)))
    assert first["calibration"]["thresholds"]["toys"]["targets"] == strict
    second = calibrated(tmp_path, first, "second", targets=Targets(precision=0.9, recall=0.8))
    noted = second["calibration"]["thresholds"]
    assert noted["motorbikes"]["targets"] == strict
    assert noted["toys"]["targets"] == {"block_precision": 0.9, "review_recall": 0.8}
    said = second["calibration"]["kept"]["motorbikes"]["why"]
    assert said.endswith(
        "Its review 0.11 was found for a recall of 90 %, and its block 0.22 was found for a precision of 99 %."
    )
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert report["categories"]["toys"]["targets"] == noted["toys"]["targets"]
    assert report["refused"]["motorbikes"] == said
    assert said in (tmp_path / "report/report.html").read_text()


@pytest.mark.parametrize(
    ("kept_before", "expected"), [(False, {"block_precision": 0.99, "review_recall": 0.95}), (True, None)]
)
def test_targets_that_an_older_version_noted_once_for_all_are_taken_as_far_as_they_hold(
    tmp_path: Path, kept_before: bool, expected: dict[str, float] | None
) -> None:
    """Those of a file are its last run's: of a category that was kept then, nobody knows them."""
    old = earlier(calibrated(tmp_path, POLICY, targets=Targets(precision=0.99)))
    del old["calibration"]["thresholds"]["motorbikes"]["targets"]
    if kept_before:
        old["calibration"]["kept"] = {"motorbikes": {"date": "2024-04-04", "data": "0123", "why": "Too few."}}
    made = calibrated(tmp_path, old, "second")["calibration"]
    assert made["thresholds"]["motorbikes"].get("targets") == expected
    assert ("and nobody noted for which targets" in made["kept"]["motorbikes"]["why"]) == kept_before
