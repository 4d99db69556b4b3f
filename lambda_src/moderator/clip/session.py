"""One session of ONNX Runtime, with the same options for the service and for the export, which measures its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moderator.cpus import adds_bytes_exactly

# Where products of bytes overflow (x86 without VNNI), a tower's worst cosine to float32 falls from 0.9997 to 0.974.
# This has ONNX Runtime multiply exactly, by other weights which its optimiser makes; elsewhere those would only be
# slower: a tower takes twice as long. Its name in the source is kOrtSessionOptionsAvx2PrecisionMode:
# https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_session_options_config_keys.h
_EXACT_PRODUCTS = "session.x64quantprecision"
# Idle threads that go on spinning would take the CPU from what runs next: the other tower, and the process itself.
_NO_SPINNING = "session.force_spinning_stop"


def cpu_session(model: Path | bytes, *, threads: int = 0, optimise: bool = True) -> Any:
    """Load a graph, from a file or as it is serialised.

    Args:
        model: the graph.
        threads: to run on; 0 leaves their number open.
        optimise: whether to look for what could be faster. A written tower has that behind it: looking again takes a
            quarter of the loading and finds only how to lay out convolutions for the CPU at hand. It is done in any
            case on a CPU that does not add bytes exactly.
    """
    # Imported here, so that a process which only needs the towers' types does not pay for it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    exact = adds_bytes_exactly()
    if not exact:
        options.add_session_config_entry(_EXACT_PRODUCTS, "1")
    options.add_session_config_entry(_NO_SPINNING, "1")
    options.log_severity_level = 3
    if exact and not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
