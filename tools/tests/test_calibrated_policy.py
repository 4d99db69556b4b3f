"""What a calibration may change in a policy's file: what its author wanted stays, and nothing of another model does."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from moderator.errors import ConfigurationError
from moderator.policy.file import read_policies
from tools.calibration.data import DataError
from tools.calibration.target import policy_path
from tools.calibration.thresholds import Targets
from tools.calibration.today import today
from tools.tests.desk import command, draw_into, policies
from tools.tests.photographs import POLICY, calibrate, calibrated, changed, thresholds
from tools.whole_file import write_whole

pytestmark = pytest.mark.slow


def test_a_threshold_out_of_reach_stays_so_and_the_other_one_is_calibrated(tmp_path: Path) -> None:
    written = calibrated(tmp_path, changed(animals={"review": 0.5, "block": 1}, toys={"review": 0.5, "block": 0.9}))
    assert thresholds(written, "animals")["block"] == 1
    assert 0 < thresholds(written, "animals")["review"] < 1
    assert thresholds(written, "animals")["review"] != 0.5
    assert thresholds(written, "toys")["block"] < 1
    said = json.loads((tmp_path / "report/report.json").read_text())["categories"]
    assert said["animals"]["block"] is None
    assert said["toys"]["block"]["value"] == thresholds(written, "toys")["block"]


def test_a_category_that_is_only_reported_stays_so_and_a_threshold_that_is_not_there_is_not_added(
    tmp_path: Path,
) -> None:
    written = calibrated(tmp_path, changed(animals={"review": 1}, toys={"block": 0.9}))
    assert thresholds(written, "animals") == {"review": 1}
    assert set(thresholds(written, "toys")) == {"block"}
    assert "animals" in written["calibration"]["categories"]  # its score becomes a probability nevertheless


def test_a_threshold_that_calibration_put_out_of_reach_is_tried_again_and_one_that_its_author_did_is_not(
    tmp_path: Path,
) -> None:
    # A recall and a precision that these few pictures cannot show at all.
    first = calibrated(tmp_path, POLICY, targets=Targets(precision=0.9999))
    first["categories"]["toys"]["block"] = first["calibration"]["thresholds"]["toys"]["chosen"]["block"] = 1
    again = calibrated(tmp_path, first, "again")
    assert thresholds(again, "toys")["block"] < 1
    assert again["calibration"]["thresholds"]["toys"]["written"] == {"review": 0.5, "block": 0.9}
    # After the calibration, its author no longer wants to block.
    again["categories"]["toys"]["block"] = 1
    assert thresholds(calibrated(tmp_path, again, "unwanted"), "toys")["block"] == 1


def test_a_policy_that_somebody_wrote_is_written_over_only_where_that_is_asked_for(tmp_path: Path) -> None:
    policies(tmp_path / "policies", mine=POLICY, **{"mine-next": changed(toys={"review": 0.123})})
    path = tmp_path / "policies/mine-next.json"
    theirs = path.read_bytes()
    with pytest.raises(DataError, match=r"mine-next\.json exists, and no calibration wrote it.*REPLACE=1"):
        calibrate(tmp_path / "policies", "mine", "mine-next")
    with pytest.raises(DataError, match=r"mine\.json exists"):
        calibrate(tmp_path / "policies", "mine", "mine")
    assert path.read_bytes() == theirs
    calibrate(tmp_path / "policies", "mine", "mine-next", replace=True)
    ours = path.read_bytes()
    assert ours != theirs
    # What a calibration wrote is written over, as long as nobody changed it.
    calibrate(tmp_path / "policies", "mine", "mine-next", targets=Targets(recall=0.8))
    assert path.read_bytes() != ours
    edited = json.loads(path.read_text())
    edited["categories"]["toys"]["labels"] = ["a small toy"]
    path.write_text(json.dumps(edited))
    with pytest.raises(DataError, match="or it was changed since"):
        calibrate(tmp_path / "policies", "mine", "mine-next")


@pytest.mark.parametrize(
    "name", ["../mine", "a/b", "..", ".hidden", "", " ", "a ", "a\\b", "a\nb", "a\0b", "\udc80", "x" * 101, "ä" * 121]
)
def test_a_name_that_is_no_policys_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be a policy's name"):
        policy_path(tmp_path, name)


@pytest.mark.parametrize("name", ["mine-next", "Gewalt & Waffen", "v2.1", "ä" * 100, "€" * 79])
def test_a_name_that_the_service_reads_is_not(tmp_path: Path, name: str) -> None:
    write_whole(policy_path(tmp_path, name), json.dumps(POLICY))
    assert set(read_policies(tmp_path, max_labels=1000)) == {name}


def test_the_command_refuses_before_it_looks_at_a_picture(tmp_path: Path) -> None:
    folder = policies(tmp_path / "policies", mine=POLICY)
    for options, sentence in (
        (("--name", "../outside"), "cannot be a policy's name"),
        (("--name", "mine"), "mine.json exists, and no calibration wrote it"),
    ):
        told = command("tools.calibration", "nowhere", "--policy", "mine", *options, cwd=tmp_path, policies_dir=folder)
        assert (told.returncode, told.stdout) == (2, "")
        assert sentence in told.stderr
        assert "Traceback" not in told.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine.json", "policies"]


@pytest.mark.parametrize(
    ("module", "options", "settings", "sentence"),
    [
        ("tools.calibration.compare", ("--models", "m"), {"threads": "many"}, "THREADS is 'many': it must be a whole"),
        ("tools.calibration", (), {"threads": "many"}, "THREADS is 'many': it must be a whole number"),
        # numpy reads it too, as soon as scipy is loaded, and would end in a traceback.
        ("tools.calibration", (), {"source_date_epoch": "today"}, "SOURCE_DATE_EPOCH is 'today': it must be a whole"),
        ("tools.calibration", (), {"source_date_epoch": "1" * 30}, f"SOURCE_DATE_EPOCH is '{'1' * 30}': it must be a"),
        ("tools.calibration", (), {"source_date_epoch": ""}, "SOURCE_DATE_EPOCH is '': it must be a whole number of"),
        (
            *("tools.calibration.compare", ("--models", "m"), {"source_date_epoch": "1.5"}),
            "SOURCE_DATE_EPOCH is '1.5': it must be a whole number of seconds",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tmp_path: Path, module: str, options: tuple[str, ...], settings: dict[str, str], sentence: str
) -> None:
    draw_into(tmp_path / "data/neutral", [("green", "star")], seed=1)
    told = command(module, "data", "--policy", "demo", *options, cwd=tmp_path, **settings)
    assert told.returncode == 2
    assert told.stderr.startswith(sentence)
    assert told.stderr.count("\n") == 1


def test_a_date_that_is_none_is_one_sentence() -> None:
    assert today({"SOURCE_DATE_EPOCH": "1790000000"}) == "2026-09-21"
    for wrong in ("today", "1" * 30):
        with pytest.raises(ConfigurationError, match=r"^SOURCE_DATE_EPOCH is '.*': it must be a whole number of sec"):
            today({"SOURCE_DATE_EPOCH": wrong})


def test_whoever_reads_a_file_that_is_written_again_finds_a_whole_one(tmp_path: Path) -> None:
    path, texts = tmp_path / "mine.json", [json.dumps([number] * 200_000) for number in range(2)]
    write_whole(path, texts[0])
    stop, torn, read = threading.Event(), [], 0

    def write() -> None:
        for number in range(60):
            write_whole(path, texts[number % 2])
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        text = path.read_text()
        read += 1
        if text not in texts:
            torn.append(len(text))
    writer.join()
    assert read > 5
    assert not torn


def test_a_file_that_cannot_be_written_to_its_end_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "x" * 100_000 + "\udc80")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target, link = tmp_path / "kept/policy.json", tmp_path / "mine.json"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert list((tmp_path / "kept").iterdir()) == [target]
