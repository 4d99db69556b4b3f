"""A picture's and a label's embedding is bit for bit the same alone or in company, on one thread or on two."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from model_build.fidelity import Feed
from model_build.forms import Form, possible_forms, rewritten
from model_build.image_tower import image_tower
from model_build.libraries import open_clip
from model_build.norms import with_plain_norms
from model_build.onnx_files import image_graph, text_graph
from model_build.optimise import optimised
from model_build.precision import embed
from model_build.products import find_products
from model_build.smoothing import MOST_CHANGE, smoothed
from model_build.source import Source, add_config, load
from model_build.text_tower import TextTower
from moderator.clip import towers
from moderator.clip.model import read_model
from moderator.clip.session import cpu_session

pytestmark = pytest.mark.slow

# Every width, head, patch and context is the real one; only the number of equal blocks is cut, to one that every
# position reads and one that is read at a single position. MobileCLIP's image tower cannot be cut, and is whole.
DEPTHS: Mapping[str, Any] = {
    "ViT-B-32-quickgelu": 2,
    "ViT-B-16": 2,
    "ViT-L-14": 2,
    "RN50": [1, 1, 1, 1],
    "MobileCLIP2-S0": None,
}
PICTURES = 3
FORMS: Sequence[Form] = ("row", "block256", "fp32")
# Beside them, both ways to write a norm.
PLAIN_NORMS: Sequence[Form] = ("row", "block256")
# Of the products of two blocks, those that smoothing reaches: all but the patches' and, in each block, what reads the
# activation function's. The last block makes its queries apart. Convolutions leave no norm for it.
SMOOTHED_PRODUCTS = 8
# Looking up a token's row is the same in a short table, and the real one is most of a text tower.
VOCABULARY = 1000
# In tokens; the shortest, those of usual labels, one beyond each multiple of a vector's width, and a whole context.
LENGTHS = (3, 5, 6, 7, 8, 9, 17, 77)


def shortened(name: str, folder: Path) -> Source:
    """The model with fewer blocks, its weights random."""
    config = copy.deepcopy(open_clip.get_model_config(name))
    if DEPTHS[name] is not None:
        config["vision_cfg"]["layers"] = DEPTHS[name]
    config["text_cfg"]["layers"] = 2
    path = folder / f"shortened-{name}.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    source = load(add_config(path), "none")
    parts = getattr(source.model, "text", source.model)
    parts.token_embedding = torch.nn.Embedding.from_pretrained(parts.token_embedding.weight[:VOCABULARY].clone())
    return source


def everywhere(model: ModelProto, form: Form) -> ModelProto:
    """The tower with each product in `form`, where it can have that form, and else in the fastest."""
    options = {product.node: possible_forms(product) for product in find_products(model)}
    written = rewritten(model, {node: form if form in forms else forms[0] for node, forms in options.items()})
    return optimised(with_plain_norms(written) if form in PLAIN_NORMS else written)


@pytest.fixture(scope="module", params=DEPTHS)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    return shortened(request.param, tmp_path_factory.mktemp("configs"))


@pytest.fixture(scope="module")
def image(source: Source) -> ModelProto:
    return optimised(image_graph(source, image_tower(source.model)))


@pytest.fixture(scope="module")
def text(source: Source) -> ModelProto:
    if source.name.endswith("RN50"):
        pytest.skip("its text tower is ViT-B-16's, but for the last product's width")
    return optimised(text_graph(source, TextTower(source.model)))


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_embedded_the_same_in_any_company(source: Source, image: ModelProto, form: Form) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (PICTURES, *source.image_size, 3), dtype=np.uint8)
    pixels[1] = 255  # flat: all its patches are the same
    pixels[2] //= 8  # dark: its largest values are far from its neighbours'
    written = everywhere(image, form).SerializeToString()
    alone: NDArray[np.float32] | None = None
    for threads in (1, 2):
        session = cpu_session(written, threads=threads)
        for together in (1, 2, PICTURES):
            batches = [pixels[start : start + together] for start in range(0, PICTURES, together)]
            found = np.concatenate([session.run(None, {"pixels": batch})[0] for batch in batches])
            alone = found if alone is None else alone
            assert np.array_equal(found, alone), (threads, together)


@pytest.mark.parametrize("form", FORMS)
def test_a_label_is_embedded_the_same_in_any_company(source: Source, text: ModelProto, form: Form) -> None:
    rng = np.random.default_rng(0)
    # As in CLIP's own, the last number is the end's, by which a label is found.
    labels = [
        np.array([VOCABULARY - 2, *rng.integers(1, VOCABULARY - 2, length - 2), VOCABULARY - 1]) for length in LENGTHS
    ]
    companies = [[index] for index in range(len(LENGTHS))]
    companies += [[0, 1], [3, 2, 1], [4, 3], [5, 6], [*range(len(LENGTHS))]]
    written = everywhere(text, form).SerializeToString()
    alone: dict[int, NDArray[np.float32]] = {}
    for threads in (1, 2):
        session = cpu_session(written, threads=threads)
        context = session.get_inputs()[0].shape[1]
        for company in companies:
            width = context if isinstance(context, int) else max(LENGTHS[index] for index in company)
            tokens = np.zeros((len(company), width), np.int64)
            for row, index in zip(tokens, company, strict=True):
                row[: LENGTHS[index]] = labels[index]
            (found,) = session.run(None, {"tokens": tokens})
            for embedding, index in zip(found, company, strict=True):
                assert np.array_equal(embedding, alone.setdefault(index, embedding)), (threads, company, index)


def test_smoothing_keeps_the_image_towers_function(source: Source, image: ModelProto) -> None:
    rng = np.random.default_rng(1)
    seen, others = (rng.integers(0, 256, (2, *source.image_size, 3), dtype=np.uint8) for _ in range(2))
    others[1] = 255
    transformer = "ViT" in source.name
    hold_smoothing(image, {"pixels": seen}, {"pixels": others}, products=SMOOTHED_PRODUCTS if transformer else 0)


def test_smoothing_keeps_the_text_towers_function(text: ModelProto) -> None:
    rng = np.random.default_rng(1)
    context = text.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    seen, others = (rng.integers(1, VOCABULARY - 2, (2, context or length)) for length in (7, 12))
    seen[:, -1] = others[:, -1] = VOCABULARY - 1
    hold_smoothing(text, {"tokens": seen}, {"tokens": others}, products=SMOOTHED_PRODUCTS)


def hold_smoothing(model: ModelProto, seen: Feed, others: Feed, *, products: int) -> None:
    """Hold a tower to its function, on what its scales were not made on too, and to the products that get scales."""
    result = smoothed(model, [seen], 0.5)
    for feed in (seen, others):
        assert np.abs(embed(result, [feed]) - embed(model, [feed])).max() <= MOST_CHANGE
    before, after = weights_of_products(model), weights_of_products(result)
    assert set(before) == set(after)
    assert sum(not np.array_equal(before[node], after[node]) for node in before) == products


def weights_of_products(model: ModelProto) -> dict[str, NDArray[np.float32]]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    read = {node.output[0]: node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    return {product.node: constants[read[product.node]] for product in find_products(model)}


def test_the_demo_models_towers_answer_the_same_in_any_company() -> None:
    model = read_model(Path(__file__).resolve().parent.parent / "demo_model")
    pixels = [*np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)]
    labels = ["a cat", "x", "a red circle", "a much longer label about nothing in particular"]
    pictures: list[NDArray[np.float32]] = []
    texts: list[NDArray[np.float32]] = []
    for threads in (1, 2):
        images, words = towers.ImageTower(model, threads=threads), towers.TextTower(model, threads=threads)
        pictures += [images.embed(pixels), np.concatenate([images.embed([one]) for one in pixels])]
        texts += [words.embed(labels), np.concatenate([words.embed([one]) for one in labels])]
    assert all(np.array_equal(found, pictures[0]) for found in pictures)
    assert all(np.array_equal(found, texts[0]) for found in texts)
