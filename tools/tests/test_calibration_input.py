"""Data that cannot be used is refused in a sentence that says what is needed; what can be used is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moderator.settings import Settings
from support.pictures import drawn, encoded
from tools.calibration.data import DataError, read_data
from tools.calibration.embed import EMBEDDINGS, Embedder, Pictures, open_store
from tools.calibration.run import Done, Request, run
from tools.calibration.store import Stored
from tools.calibration.thresholds import Targets
from tools.core import Core
from tools.tests.desk import command, draw_into

pytestmark = pytest.mark.slow

KNOWN = ["red circles", "blue squares"]


@pytest.fixture
def calibrated(core: Core, tmp_path: Path) -> Callable[..., Done]:
    """Calibrate the demo policy on `data`."""

    def calibrate(data: Path, method: str = "platt") -> Done:
        request = Request(
            policy="demo",
            name="demo-next",
            targets=Targets(),
            method=method,  # type: ignore[arg-type]  # both words are methods
            date="2026-01-01",
            policies_dir=tmp_path,
            report=tmp_path / "report",
        )
        return run(core, read_data(data, KNOWN), tmp_path / "store", request, lambda: None)

    return calibrate


def data(folder: Path, **counts: int) -> Path:
    """Draw so many pictures a kind."""
    kinds = {"red": ("red circles", "circle"), "blue": ("blue squares", "square"), "green": ("neutral", "star")}
    for seed, (colour, count) in enumerate(counts.items()):
        name, shape = kinds[colour]
        draw_into(folder / name, [(colour, shape)] * count, seed=seed)
    return folder


def test_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"There are no pictures in .*: put them into folders by category, such as .*/red"
    ):
        read_data(tmp_path, KNOWN)
    with pytest.raises(DataError, match="is neither a folder nor a CSV file"):
        read_data(tmp_path / "nowhere", KNOWN)
    told = command("tools.calibration", tmp_path, "--policy", "demo", cwd=tmp_path)
    assert told.returncode == 2
    assert "There are no pictures" in told.stderr


def test_one_kind_only(tmp_path: Path, calibrated: Callable[..., Done]) -> None:
    with pytest.raises(
        DataError, match="All pictures are red circles: put pictures that do not show it into the folder"
    ):
        calibrated(data(tmp_path / "data", red=8))
    assert not list(tmp_path.glob("*.json"))


def test_fewer_than_five_are_refused_with_how_many_are_needed(tmp_path: Path, calibrated: Callable[..., Done]) -> None:
    done = calibrated(data(tmp_path / "data", red=30, blue=4, green=30))
    (refused,) = done.calibration.refused
    assert refused.why == (
        "There are only 4 different pictures of blue squares: it takes at least 5, 19 to promise a recall of 0.95 on "
        "average, and 59 to promise a precision of 0.95 with 95 % confidence."
    )
    written = json.loads(done.policy_file.read_text())
    assert set(written["calibration"]["categories"]) == {"red circles"}
    assert written["categories"]["blue squares"]["review"] == 0.5  # as it was
    assert refused.why in (tmp_path / "report/report.html").read_text()


def test_too_few_others_and_none_at_all_are_said_as_such(tmp_path: Path, calibrated: Callable[..., Done]) -> None:
    with pytest.raises(DataError) as refused:
        calibrated(data(tmp_path / "data", red=30, green=3))
    assert "There are only 3 different pictures without red circles: it takes at least 5.\n" in f"{refused.value}\n"
    assert "There are no pictures of blue squares: it takes at least 5, 19 to promise" in str(refused.value)
    assert not list(tmp_path.glob("*.json"))


def test_near_duplicates_are_not_enough(tmp_path: Path, calibrated: Callable[..., Done]) -> None:
    folder = data(tmp_path / "data", red=30, green=30)
    (folder / "blue squares").mkdir()
    for number in range(12):
        picture = drawn("blue", "square").resize((100 + number, 100 + number))
        (folder / "blue squares" / f"{number}.jpg").write_bytes(encoded(picture, "JPEG", quality=95 - number))
    (refused,) = calibrated(folder).calibration.refused
    assert refused.why.startswith("There is only 1 different picture of blue squares")


def test_unreadable_pictures_are_listed_and_left_out(tmp_path: Path, calibrated: Callable[..., Done]) -> None:
    folder = data(tmp_path / "data", red=30, blue=30, green=30)
    for number in range(20):
        (folder / "neutral" / f"broken-{number}.jpg").write_bytes(b"broken %d" % number)
    done = calibrated(folder)
    assert len(done.figures["unreadable"]) == 20
    assert done.figures["calibration"]["data"]["pictures"] == 90
    assert "neutral/broken-7.jpg" in (tmp_path / "report/report.html").read_text()


def test_nothing_but_unreadable_pictures(tmp_path: Path, calibrated: Callable[..., Done]) -> None:
    (tmp_path / "data" / "neutral").mkdir(parents=True)
    (tmp_path / "data" / "neutral" / "a.png").write_bytes(b"no")
    with pytest.raises(
        DataError, match=r"None of the 1 pictures can be read. neutral/a\.png: The file is not a picture"
    ):
        calibrated(tmp_path / "data")


def test_a_category_that_the_policy_does_not_have(tmp_path: Path) -> None:
    draw_into(tmp_path / "red circle", [("red", "circle")], seed=1)
    with pytest.raises(
        DataError, match=r"has no category 'red circle'\. Its categories are blue squares, red circles;"
    ):
        read_data(tmp_path, KNOWN)


def test_a_picture_beside_the_folders(tmp_path: Path) -> None:
    draw_into(tmp_path, [("red", "circle")], seed=1)
    with pytest.raises(DataError, match="is not in a category's folder: put it into one, or into neutral"):
        read_data(tmp_path, KNOWN)


def test_a_table_gives_a_picture_several_categories(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.write_text(
        '\ufeffpath,categories\na.png,red circles; blue squares\n"b, c.png",\nd.png,neutral\na.png,red circles\n'
    )
    assert read_data(table, KNOWN).categories == {
        "a.png": frozenset(KNOWN),
        "b, c.png": frozenset(),
        "d.png": frozenset(),
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,label\na,b\n", "must begin with the line path,categories"),
        ("", "must begin with the line path,categories"),
        ("path,categories\na.png,weapons\n", "line 2: the policy has no category 'weapons'"),
        ("path,categories\na.png\n", "line 2 must have a path and its categories"),
        ("path,categories\na.png,red circles,blue squares\n", "line 2 must have a path and its categories"),
        ("path,categories\n,red circles\n", "line 2 must have a path and its categories"),
        ('path,categories\n"a.png,red circles\n', "is not CSV in UTF-8"),
        ("path,categories\n", "There are no pictures"),
    ],
)
def test_a_table_that_is_not_one(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_data(tmp_path / "data.csv", KNOWN)


def test_a_file_in_two_folders_belongs_to_both_and_counts_once(core: Core, tmp_path: Path) -> None:
    folder = data(tmp_path / "data", red=2, blue=1)
    copied = (folder / "red circles" / "0000-red-circle.png").read_bytes()
    (folder / "blue squares" / "copy.png").write_bytes(copied)
    pictures = embed(core, folder, tmp_path / "store")
    assert dict(zip(pictures.paths, pictures.categories, strict=True))["blue squares/copy.png"] == frozenset(KNOWN)
    assert (len(pictures.paths), pictures.copies) == (3, 1)


def test_isotonic_is_refused_where_there_are_too_few(tmp_path: Path, calibrated: Callable[..., Done]) -> None:
    with pytest.raises(
        DataError, match="Isotonic regression needs 1,000 different pictures, and there are 59: use platt"
    ):
        calibrated(data(tmp_path / "data", red=30, green=30), method="isotonic")


def test_twenty_thousand_pictures_fit_into_little_memory(core: Core, tmp_path: Path) -> None:
    """Their embeddings come from the disk a few at a time; here they were put there without pictures."""
    rng = np.random.default_rng(0)
    policy = core.policy("demo")
    store = open_store(tmp_path / EMBEDDINGS, core.model, policy, max_pixels=core.settings.max_pixels)
    red = core.labels.embed(["a red circle"]).matrix
    for name, count, like in (("red circles", 200, red), ("neutral", 19_800, 0 * red)):
        (tmp_path / "data" / name).mkdir(parents=True)
        stored = {}
        for number in range(count):
            content = f"{name} {number}".encode()
            (tmp_path / "data" / name / f"{number}.jpg").write_bytes(content)
            parts = (like + rng.normal(0, 0.1, (2, core.model.embedding_size))).astype(np.float32)
            unit = parts / np.linalg.norm(parts, axis=1, keepdims=True)
            stored[hashlib.sha256(content).hexdigest()] = Stored(frames=(unit,), hash=rng.bytes(16))
        store.add(stored)
    store.close()
    # A program between, whose only child the tool is: other tests' programs were larger.
    told = command(
        "tools.tests.peak", "tools.calibration", "data", "--policy", "demo",
        cwd=tmp_path, policies_dir=copied(tmp_path),
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "red circles: 200 pictures, AUROC 1.000" in told.stdout
    # Python, numpy, scikit-learn and the model are half of it.
    assert int(told.stdout.splitlines()[-1]) < 500e6


def copied(folder: Path) -> Path:
    """Copy the shipped policies: the calibrated one is written beside them."""
    shutil.copytree(Settings().policies_dir, folder / "policies")
    return folder / "policies"


def embed(core: Core, folder: Path, store: Path) -> Pictures:
    return Embedder(core, core.policy("demo"), store).embed(read_data(folder, KNOWN), lambda: None)
