"""What is tried to make products in rows cheaper computes the same as what is written, and is what it says it is."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from onnx import ModelProto

from bench import row_form
from model_build.image_tower import image_tower
from model_build.onnx_files import image_graph
from model_build.optimise import optimised
from model_build.source import add_config, load
from moderator.clip.session import cpu_session

pytestmark = pytest.mark.slow

LAYERS = 3
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": LAYERS, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelProto]:
    path = tmp_path_factory.mktemp("configs") / "rows-for-tests.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    source = load(add_config(path), "none")
    return row_form.ways(optimised(image_graph(source, image_tower(source.model))))


def operators(tower: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in tower.graph.node)


def test_every_way_embeds_the_same(ways: dict[str, ModelProto]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    embeddings = {
        name: cpu_session(tower.SerializeToString(), threads=1, optimise=False).run(None, {"pixels": pixels})[0]
        for name, tower in ways.items()
    }
    for name, found in embeddings.items():
        assert np.allclose(found, embeddings["as written"], atol=0.02), name
        if name != row_form.ONE_NORM:  # which adds up in another order
            assert np.array_equal(found, embeddings["as written"]), name


def test_every_way_is_another_one(ways: dict[str, ModelProto]) -> None:
    written = operators(ways["as written"])
    by_itself = operators(ways["each product by itself"])
    assert by_itself["Shape"] > written["Shape"] + 2 * LAYERS
    divided = operators(ways["divided beforehand"])
    assert divided["Div"] == written["Div"] + written["QuantizeLinear"]
    assert divided["Reshape"] <= 2 < written["Reshape"]
    in_attention = operators(ways["attention adds its biases"])
    assert in_attention["Add"] == written["Add"] - (LAYERS - 1)
    in_norms = operators(ways[row_form.ONE_NORM])
    folded = in_norms["SkipLayerNormalization"]
    assert folded == written["LayerNormalization"] - in_norms["LayerNormalization"] >= 2 * (LAYERS - 1)
    assert in_norms["Add"] == written["Add"] - 2 * folded
