"""Lets ONNX Runtime optimise a graph once, at export, so that loading it does not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
import onnxruntime
from onnx import ModelProto


def optimised(model: ModelProto) -> ModelProto:
    """Fold constants and fuse operators.

    The extended level is the highest whose result does not depend on the machine: above it, convolutions are laid out
    for the CPU at hand, and this graph is written on one kind of CPU for another.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)
