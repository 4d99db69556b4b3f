"""One session of ONNX Runtime, with the same options for the service and for the export, which measures its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moderator.clip.byte_products import exact

# x86 without VNNI adds products of bytes in pairs of 16 bits, which overflow: a tower's worst cosine to float32 falls
# from 0.9997 to 0.974. This makes one of ONNX Runtime's optimisers rewrite the weights so that it multiplies exactly.
# Where products are exact anyway it must not be set: with VNNI the rewritten ones take twice as long.
# Its name in the source is kOrtSessionOptionsAvx2PrecisionMode:
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
            quarter of the loading and finds only how to lay out convolutions for the CPU at hand. A CPU that needs the
            weights rewritten gets that regardless.
    """
    # Imported here, so that a process which only needs the towers' types does not pay for it.
    import onnxruntime

    options = session_options(threads=threads, optimise=optimise)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def session_options(*, threads: int = 0, optimise: bool = True) -> Any:
    """Return what `cpu_session` loads with; the benchmark's profile adds to it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry(_NO_SPINNING, "1")
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    if not exact():
        options.add_session_config_entry(_EXACT_PRODUCTS, "1")
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimise else levels.ORT_ENABLE_EXTENDED
    elif not optimise:
        options.graph_optimization_level = levels.ORT_DISABLE_ALL
    return options
