"""Turns the two towers into ONNX graphs in float32, and graphs into files."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from onnx import ModelProto, TensorProto
from torch import Tensor, nn

from model_build.manifest import IMAGE, IMAGE_DATA, TEXT, TEXT_DATA
from model_build.source import Source
from model_build.text_tower import TextTower

# The newest that both the exporter writes and every ONNX Runtime since 1.14 reads.
_OPSET = 18
# Constants smaller than this stay in the graph.
_LEAST_BYTES_OUTSIDE = 1024


@dataclass(frozen=True, kw_only=True)
class Towers:
    """Both towers as graphs."""

    image: ModelProto
    text: ModelProto


def image_graph(source: Source, tower: nn.Module) -> ModelProto:
    """Return the image tower: `pixels` uint8 (pictures, height, width, 3) -> `embeddings` float32 (pictures, dim)."""
    height, width = source.image_size
    # Two pictures: the exporter takes a size of one for a constant.
    pixels = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    return _exported(tower, pixels, "pixels", {0: "pictures"})


def text_graph(source: Source, tower: TextTower) -> ModelProto:
    """Return the text tower: `tokens` int64 (labels, length) -> `embeddings` float32 (labels, dim)."""
    length = source.context_length
    dynamic = {0: "labels"}
    if tower.causal:
        dynamic[1] = "length"
        length = min(9, length)
    tokens = torch.zeros(2, length, dtype=torch.int64)
    tokens[:, -1] = 49407
    return _exported(tower, tokens, "tokens", dynamic)


def save(towers: Towers, folder: Path) -> None:
    """Write both towers, each as a graph and its weights; a folder may be written again."""
    for tower, graph, data in ((towers.image, IMAGE, IMAGE_DATA), (towers.text, TEXT, TEXT_DATA)):
        # A copy: onnx takes the weights out of what it writes.
        written = ModelProto()
        written.CopyFrom(tower)
        if tower is towers.text:
            halve_token_table(written)
        (folder / data).unlink(missing_ok=True)  # or they would be added to the old ones
        onnx.save(
            written, folder / graph, save_as_external_data=True, location=data, size_threshold=_LEAST_BYTES_OUTSIDE
        )
        # onnx makes it for its owner alone; whoever may read the rest of the folder must be able to read this too.
        (folder / data).chmod((folder / graph).stat().st_mode)


def _exported(tower: nn.Module, example: Tensor, name: str, dynamic: dict[int, str]) -> ModelProto:
    dimensions = {axis: torch.export.Dim(word, min=1) for axis, word in dynamic.items()}
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter and the torch it calls warn of their own deprecations, which nothing here can change.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            tower.eval(),
            (example,),
            input_names=[name],
            output_names=["embeddings"],
            dynamic_shapes=({**dimensions},),
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # noqa: S101  # only the older exporter answers None
    model = program.model_proto
    onnx.checker.check_model(model)
    return model


def halve_token_table(model: ModelProto) -> bool:
    """Store the token table in half precision where that loses nothing; return whether it did.

    The table is a third of a text tower. OpenAI trained in half precision, so its table holds no more than that.
    """
    graph = model.graph
    gather = next(node for node in graph.node if node.op_type == "Gather" and node.input[1] == "tokens")
    stored = next(tensor for tensor in graph.initializer if tensor.name == gather.input[0])
    table = onnx.numpy_helper.to_array(stored)
    with np.errstate(over="ignore"):  # too large for half precision: the comparison finds it
        halves = table.astype(np.float16)
    if not np.array_equal(halves.astype(np.float32), table):
        return False
    stored.CopyFrom(onnx.numpy_helper.from_array(halves, stored.name))
    rows, gather.output[0] = gather.output[0], f"{gather.output[0]}_half"
    widen = onnx.helper.make_node("Cast", [gather.output[0]], [rows], name="widen_tokens", to=TensorProto.FLOAT)
    graph.node.insert(list(graph.node).index(gather) + 1, widen)
    del graph.value_info[:]  # it still names the table's old type
    return True
