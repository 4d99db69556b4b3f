"""The image tower as the service wants it: plain bytes of RGB pixels in, unit vectors out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class ImageTower(nn.Module):
    """open_clip's image tower with its normalisation inside, so that a picture travels as bytes, not floats.

    The normalisation stays a multiplication and an addition of its own. Folding it into the first convolution would be
    exact only for towers whose first convolution does not pad: padding is black after normalisation, not before.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.visual = model.visual
        mean = torch.tensor(model.visual.preprocess_cfg["mean"], dtype=torch.float64)
        deviation = torch.tensor(model.visual.preprocess_cfg["std"], dtype=torch.float64)
        # open_clip: (byte / 255 - mean) / deviation, a channel.
        self.register_buffer("scale", (1 / (255 * deviation)).float().reshape(3, 1, 1))
        self.register_buffer("offset", (-mean / deviation).float().reshape(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed `pixels`, uint8 (pictures, height, width, 3), as unit vectors, float32 (pictures, dim)."""
        normalised = pixels.permute(0, 3, 1, 2).float() * self.scale + self.offset
        return functional.normalize(self.visual(normalised), dim=-1)
