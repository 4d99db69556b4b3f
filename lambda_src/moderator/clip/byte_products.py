"""Whether this CPU multiplies bytes exactly: it is asked, since ONNX Runtime does not say which kernel it takes."""

from __future__ import annotations

import platform
from functools import cache

import numpy as np

# `MatMulInteger` of two inputs, which needs no weights: y int32 = a uint8 (rows, inner) by b int8 (inner, columns).
GRAPH = (
    b'\x08\x08\x12\x00:>\n\x18\n\x01a\n\x01b\x12\x01y"\rMatMulInteger\x12\x01gZ\t\n\x01a\x12\x04\n\x02\x08\x02'
    b"Z\t\n\x01b\x12\x04\n\x02\x08\x03b\t\n\x01y\x12\x04\n\x02\x08\x06B\x04\n\x00\x10\x12"
)
_INNER = 4


@cache
def exact() -> bool:
    """Return whether the largest products add up to what they should.

    x86 without VNNI adds them in pairs, in 16 bits, where 255 * 127 twice is too much: the sum stays at 32767.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return True  # other processors have room for the sums
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(GRAPH, options, providers=["CPUExecutionProvider"])
    bytes_and_weights = {"a": np.full((2, _INNER), 255, np.uint8), "b": np.full((_INNER, 16), 127, np.int8)}
    (sums,) = session.run(None, bytes_and_weights)
    return bool((sums == 255 * 127 * _INNER).all())
