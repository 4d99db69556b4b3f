"""What is planted is there, and an export copes with it."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from itertools import takewhile
from operator import ne
from pathlib import Path

import pytest
import torch

from bench.planted import plant_tokens, token_lengths
from model_build.export import export
from model_build.fidelity import BOUNDS, Fidelity
from model_build.source import Source, add_config, load

pytestmark = pytest.mark.slow

CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 32, "layers": 6, "width": 128, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
}
FIRST, LAST = 1, 4


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("configs") / "planted-for-tests.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    source = load(add_config(path), "none")
    plant_tokens(source.model, pictures(0), first=FIRST, last=LAST)
    return source


def pictures(seed: int) -> torch.Tensor:
    return torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_planted_tokens_are_thirty_times_the_others_between_two_blocks_and_not_outside(planted: Source) -> None:
    def ratio(block: int) -> float:
        lengths = token_lengths(planted.model, pictures(1), block)
        return float(lengths[:, 0].median() / lengths[:, 1:].median())

    assert ratio(FIRST) < 3
    assert all(20 < ratio(block) < 45 for block in range(FIRST + 1, LAST + 1))
    assert ratio(LAST + 1) < 5


def test_a_tower_with_outlier_tokens_stays_within_the_bounds_and_mostly_in_rows(
    planted: Source, tmp_path: Path
) -> None:
    image = export(planted, tmp_path / "model", precision="auto")["layers"]["image"]
    assert BOUNDS.hold(Fidelity(**image["fidelity"]))
    forms = Counter(layer["form"] for layer in image["layers"])
    assert forms["row"] >= 2 / 3 * forms.total(), forms
    # The manifest says why: a form that was passed over loses more than any that was taken.
    assert forms.total() > forms["row"]
    taken = [layer["loss"][layer["form"]] for layer in image["layers"] if layer["form"] != "fp32"]
    passed_over = [
        layer["loss"][form]
        for layer in image["layers"]
        for form in takewhile(partial(ne, layer["form"]), layer["loss"])
    ]
    assert passed_over
    assert max(taken) < min(passed_over)
