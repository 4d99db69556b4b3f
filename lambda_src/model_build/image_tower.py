"""The image tower as the service wants it: plain bytes of RGB pixels in, unit vectors out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_build.libraries import open_clip
from model_build.residual_blocks import ResidualBlocks, can_be_rewritten


def image_tower(model: Any) -> nn.Module:
    """The tower of `model` that runs fastest: uint8 (pictures, height, width, 3) to float32 (pictures, dim).

    A picture travels as bytes, a quarter of its floats; normalisation and unit length are inside.
    """
    visual = model.visual
    plain = (
        isinstance(visual, open_clip.transformer.VisionTransformer)
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and visual.conv1.kernel_size == visual.conv1.stride
        and visual.conv1.padding == (0, 0)
        and visual.conv1.bias is None
        and can_be_rewritten(visual.transformer)
    )
    return VisionTransformerTower(visual) if plain else ImageTower(visual)


class ImageTower(nn.Module):
    """Any of open_clip's image towers, with its normalisation inside, so that a picture travels as bytes, not floats.

    The normalisation stays a multiplication and an addition of its own. Folding it into the first convolution would be
    exact only for towers whose first convolution does not pad: padding is black after normalisation, not before.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.visual = visual
        mean, deviation = _normalisation(visual)
        # open_clip: (byte / 255 - mean) / deviation, a channel.
        self.register_buffer("scale", (1 / (255 * deviation)).float().reshape(3, 1, 1))
        self.register_buffer("offset", (-mean / deviation).float().reshape(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed `pixels`, uint8 (pictures, height, width, 3), as unit vectors, float32 (pictures, dim)."""
        normalised = pixels.permute(0, 3, 1, 2).float() * self.scale + self.offset
        return functional.normalize(self.visual(normalised), dim=-1)


class VisionTransformerTower(nn.Module):
    """open_clip's plain vision transformer, with all that does not depend on the picture computed at export.

    Its convolution over patches that do not overlap is one matrix product over the bytes as they lie in the picture.
    That product holds the normalisation in its weights, and in what is added to it: the positional embedding.
    """

    weight: Tensor
    first: Tensor
    rest: Tensor

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.patch = visual.conv1.kernel_size
        mean, deviation = _normalisation(visual)
        weight = visual.conv1.weight.double()  # (width, 3, height, width of a patch)
        scaled = weight / (255 * deviation).reshape(1, 3, 1, 1)
        offset = -(weight * (mean / deviation).reshape(1, 3, 1, 1)).sum(dim=(1, 2, 3))
        positions = visual.positional_embedding.double()
        self.register_buffer("weight", scaled.permute(2, 3, 1, 0).flatten(0, 2).float().contiguous())
        self.register_buffer("first", (visual.class_embedding.double() + positions[0]).float()[None, None])
        self.register_buffer("rest", (positions[1:] + offset).float())
        self.ln_pre = visual.ln_pre
        self.blocks = ResidualBlocks(visual.transformer)
        self.ln_post: Any = visual.ln_post
        self.projection: Tensor | None = visual.proj

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed `pixels`, uint8 (pictures, height, width, 3), as unit vectors, float32 (pictures, dim)."""
        pictures, height, width, channels = pixels.shape
        rows, columns = height // self.patch[0], width // self.patch[1]
        patches = (
            pixels[:, : rows * self.patch[0], : columns * self.patch[1]]
            .reshape(pictures, rows, self.patch[0], columns, self.patch[1], channels)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(pictures, rows * columns, self.patch[0] * self.patch[1] * channels)
        )
        embedded = patches.float() @ self.weight + self.rest
        hidden = self.ln_pre(torch.cat([self.first.expand(pictures, -1, -1), embedded], dim=1))
        pooled: Tensor = self.ln_post(self.blocks(hidden, 0, causal=False))
        if self.projection is not None:
            pooled = pooled @ self.projection
        return functional.normalize(pooled, dim=-1)


def _normalisation(visual: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, of values from 0 to 1."""
    prepared = visual.preprocess_cfg
    return torch.tensor(prepared["mean"], dtype=torch.float64), torch.tensor(prepared["std"], dtype=torch.float64)
