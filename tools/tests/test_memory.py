"""Folders of 20,000 pictures: what is held grows by a line or by numbers for each, never by the picture."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from support.pictures import noise
from tools.calibration.data import read_data
from tools.calibration.embed import Embedder
from tools.core import Core
from tools.tests.desk import moderate

pytestmark = pytest.mark.slow

# Enough that pages are full and batches alike.
FEW, MANY = 100, 300
PICTURE = 128 * 128 * 3  # bytes


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of noise that no codec makes smaller, each with one folder in it."""
    whole = tmp_path_factory.mktemp("noise")
    for count in (FEW, MANY):
        folder = whole / str(count) / "neutral"
        folder.mkdir(parents=True)
        for number in range(count):
            noise(128, 128, seed=number).save(folder / f"{number}.bmp")
    return whole


def growth(work: Callable[[int], object]) -> float:
    """Return the bytes that each further picture adds to what Python and numpy hold at most."""
    work(FEW)  # what is made once is made now
    peaks = []
    for count in (FEW, MANY):
        tracemalloc.start()
        work(count)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (MANY - FEW)


def test_judging_holds_a_line_for_each_picture(core: Core, pictures: Path, tmp_path: Path) -> None:
    def judge(count: int) -> None:
        folder = tmp_path / f"{count}-{len(list(tmp_path.iterdir()))}" / "pictures"
        folder.parent.mkdir()
        folder.symlink_to(pictures / str(count))
        assert moderate(core, folder).counts.new == count

    grown = growth(judge)
    assert grown < PICTURE / 10
    assert 20_000 * grown < 50e6


def test_embedding_holds_numbers_for_each_picture(core: Core, pictures: Path, tmp_path: Path) -> None:
    def embed(count: int) -> None:
        labelled = read_data(pictures / str(count), ["red circles"])
        store = tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite"
        found = Embedder(core, core.policy("demo"), store).embed(labelled, lambda: None)
        assert len(found.paths) == count

    grown = growth(embed)
    assert grown < PICTURE / 10
    assert 20_000 * grown < 50e6
