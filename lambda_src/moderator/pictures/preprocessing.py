"""What the image tower takes, and how a picture becomes that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]  # (height, width, 3), RGB

_INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the model's input; it travels with the model, in its manifest."""

    height: int
    width: int
    resize_mode: Literal["shortest", "squash"]
    interpolation: Literal["bicubic", "bilinear"]

    @property
    def resampling(self) -> Image.Resampling:
        """Pillow's name of the interpolation."""
        return _INTERPOLATIONS[self.interpolation]
