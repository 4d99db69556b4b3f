"""What was tried to make products in rows cheaper: `python -m bench.row_form 1`, or 2 threads, or `arm` for Graviton2.

The image tower as it is written, beside itself again, which is the error of these ratios, and beside what was tried.
The fastest run in turns; with one thread in CPU time, in which other programs hardly count.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from bench import models
from model_build.forms import rewritten
from model_build.norms import with_plain_norms
from model_build.optimise import optimised
from model_build.products import find_products
from moderator.clip.session import cpu_session

_LOADS = 8
_ROUNDS = 10
_CALLS = 3
_MICROSOFT = "com.microsoft"
ONE_NORM = "bias, sum and norm in one"


def ways(exact: ModelProto) -> dict[str, ModelProto]:
    """Return the tower `exact`, in float32, with all its products in rows, in each way."""
    written = _in_rows(exact)
    return {
        "as written": written,
        "as written, again": written,
        "each product by itself": _in_rows(_silent(exact)),
        "divided beforehand": divided_beforehand(written),
        "attention adds its biases": biases_in_attention(written),
        ONE_NORM: sums_in_norms(written),
    }


def divided_beforehand(model: ModelProto) -> ModelProto:
    """Divide rows by their scales before they become bytes: then nothing is reshaped, but all is read once more."""
    nodes, producers = _nodes(model)
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    gone: set[str] = set()
    for node in [node for node in nodes if node.op_type == "QuantizeLinear"]:
        rows, scale, _ = node.input
        largest = producers[producers[producers[scale].input[0]].input[0]]  # behind the Mul and the Max
        flattened = producers.get(rows)
        whole = flattened.input[0] if flattened is not None and flattened.op_type == "Reshape" else rows
        producers[largest.input[0]].input[0] = whole
        largest.input[1] = "the_last_axis"
        del largest.attribute[:]  # keepdims is 1 then
        divided = helper.make_node("Div", [whole, scale], [f"{rows}_divided"])
        nodes.insert(next(place for place, one in enumerate(nodes) if one is node), divided)
        node.CopyFrom(
            helper.make_node("QuantizeLinear", [f"{rows}_divided", "quantised_one", "quantised_zero_128"], node.output)
        )
        for name, kept in ((scale, scale), (node.output[0], node.output[0])):
            for reshape in [one for one in readers.get(name, []) if one.op_type == "Reshape"]:
                gone.add(reshape.output[0])
                for reader in readers[reshape.output[0]]:
                    reader.input[:] = [kept if one == reshape.output[0] else one for one in reader.input]
    axis = numpy_helper.from_array(np.array([-1], np.int64), "the_last_axis")
    return _with(model, [node for node in nodes if node.output[0] not in gone], [axis])


def biases_in_attention(model: ModelProto) -> ModelProto:
    """Give the biases of queries, keys and values to the operator that reads them, in place of an addition before."""
    nodes, producers = _nodes(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    gone = set()
    for node in nodes:
        split = producers.get(node.input[0])
        if node.op_type == "MultiHeadAttention" and split is not None and len(split.output) == 3:
            add = producers[split.input[0]]
            (bias,) = (name for name in add.input if name in constants)
            (split.input[0],) = (name for name in add.input if name not in constants)
            node.input.append(bias)
            gone.add(add.output[0])
    return _with(model, [node for node in nodes if node.output[0] not in gone])


def sums_in_norms(model: ModelProto) -> ModelProto:
    """Leave a product's bias, the sum with what went around it, and the norm behind them to one operator."""
    nodes, producers = _nodes(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    gone: set[str] = set()
    for node in nodes:
        total = producers.get(node.input[0])
        if node.op_type != "LayerNormalization" or total is None or total.op_type != "Add":
            continue
        for around, biased in (total.input, reversed(total.input)):
            add = producers.get(biased)
            bias = [name for name in add.input if name in constants] if add is not None else []
            if add is not None and add.op_type == "Add" and bias and around not in constants:
                (product,) = (name for name in add.input if name not in constants)
                (epsilon,) = (attribute.f for attribute in node.attribute if attribute.name == "epsilon")
                gone |= {total.output[0], biased}
                node.CopyFrom(
                    helper.make_node(
                        "SkipLayerNormalization",
                        [product, around, node.input[1], node.input[2], *bias],
                        [node.output[0], "", "", total.output[0]],
                        domain=_MICROSOFT,
                        epsilon=epsilon,
                    )
                )
                break
    return _with(model, [node for node in nodes if node.output[0] not in gone])


def measure(towers: Mapping[str, ModelProto], threads: int) -> dict[str, float]:
    """Return each tower's milliseconds: where a load puts it in memory counts too, so each is loaded several times."""
    feed = {"pixels": _pixels()}
    clock = time.process_time if threads == 1 else time.perf_counter
    best = dict.fromkeys(towers, float("inf"))
    for _ in range(_LOADS):
        runs: dict[str, Callable[[], Any]] = {
            name: partial(cpu_session(tower.SerializeToString(), threads=threads, optimise=False).run, None, feed)
            for name, tower in towers.items()
        }
        for _ in range(_ROUNDS):
            for name, run in runs.items():
                run()
                for _ in range(_CALLS):
                    began = clock()
                    run()
                    best[name] = min(best[name], (clock() - began) * 1000)
    return best


def count(towers: Mapping[str, ModelProto]) -> dict[str, float]:
    """Return each tower's million instructions on Graviton2's processor, norms written as they are for it."""
    from bench.arm.__main__ import count_graphs
    from bench.arm.machine import FOLDER, Machine

    graphs = {}
    for place, (name, tower) in enumerate(towers.items()):
        path = FOLDER / "ways" / f"{place}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(optimised(with_plain_norms(tower)), path)
        graphs[name] = (path, {"pixels": _pixels()})
    return {name: one["million_instructions"] for name, one in count_graphs(Machine(), graphs).items()}


def main() -> None:
    """Print the table."""
    (how,) = sys.argv[1:] or ("1",)
    found = ways(onnx.load(models.exported("fp32") / "image.onnx"))
    figures, unit = (count(found), "million instructions") if how == "arm" else (measure(found, int(how)), "ms")
    print(f"| way | operators | {unit} | of as written | the same bits |\n| --- | --: | --: | --: | --- |")
    first, *_ = figures.values()
    embeddings = {
        name: cpu_session(tower.SerializeToString(), threads=1, optimise=False).run(None, {"pixels": _pixels()})[0]
        for name, tower in found.items()
    }
    for name, figure in figures.items():
        same = "yes" if np.array_equal(embeddings[name], embeddings["as written"]) else "no"
        operators = Counter(node.op_type for node in found[name].graph.node).total()
        print(f"| {name} | {operators} | {figure:.2f} | {figure / first:.3f} | {same} |")


def _pixels() -> Any:
    return np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)


def _in_rows(exact: ModelProto) -> ModelProto:
    return optimised(rewritten(exact, {product.node: "row" for product in find_products(exact)}))


def _silent(model: ModelProto) -> ModelProto:
    """The same without its shapes: each product then finds out by itself how many rows there are."""
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.value_info[:]
    return result


def _nodes(model: ModelProto) -> tuple[list[NodeProto], dict[str, NodeProto]]:
    copy = ModelProto()
    copy.CopyFrom(model)
    nodes = list(copy.graph.node)
    return nodes, {name: node for node in nodes for name in node.output}


def _with(model: ModelProto, nodes: list[NodeProto], constants: Any = ()) -> ModelProto:
    result = ModelProto()
    result.CopyFrom(model)
    needed = {output.name for output in result.graph.output}
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del result.graph.node[:]
    del result.graph.value_info[:]
    result.graph.node.extend(reversed(kept))
    result.graph.initializer.extend(constants)
    return optimised(result)


if __name__ == "__main__":
    main()
