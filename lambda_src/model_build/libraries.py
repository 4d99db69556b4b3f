"""open_clip and torchvision's transforms, imported so that a torchvision without its compiled operators does no harm.

torchvision's wheels carry operators compiled against one variant of torch (CUDA, CPU). Beside another variant they do
not load, and then torchvision fails on its own import with "operator torchvision::nms does not exist": it describes the
two operators below to torch's tracer without asking whether they are there. CLIP uses neither. So they are declared
here, by name and signature only, and only where torchvision's own do not load; calling one still fails, as it should.

Everything else in this package takes both from here, so that the order of imports is right by construction.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

# From torchvision's csrc/ops: all that torchvision/_meta_registrations.py registers unconditionally.
_DESCRIBED_WITHOUT_ASKING = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _compiled_operators_load() -> bool:
    """Whether torchvision's own operators can be loaded; loads them, as torchvision itself is about to do."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return True  # nothing to repair: the import that follows names what is missing
    for library in Path(found.origin).parent.glob("_C.*"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return True
    return False


def _declare_missing_operators() -> torch.library.Library | None:
    if _compiled_operators_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for signature in _DESCRIBED_WITHOUT_ASKING:
        library.define(signature)
    return library


# Kept: the declarations live only as long as this object.
_DECLARED = _declare_missing_operators()

import open_clip  # noqa: E402
from torchvision import transforms  # noqa: E402

__all__ = ["open_clip", "transforms"]
