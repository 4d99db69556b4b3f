"""Plants in random weights what trained ones have: channels, and tokens, that are far larger than all others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CHANNELS = 6

# The middle layers of a trained tower have a few tokens of this size: arXiv 2510.04547, 2506.08010.
_TOKEN_FACTOR = 30.0
# What the planted unit answers: to its tokens this, to all others its negative, which QuickGelu and GELU make zero.
_FIRED = 10.0


def plant_channels(model: Any, factor: float, channels: int = _CHANNELS) -> None:
    """Scale `channels` of each norm of each block, in both towers, and what reads them by the inverse."""
    with torch.no_grad():
        for transformer in (model.visual.transformer, model.transformer):
            for block in transformer.resblocks:
                chosen = torch.arange(channels) * (len(block.ln_1.weight) // channels) + 5
                for norm, reader in ((block.ln_1, block.attn.in_proj_weight), (block.ln_2, block.mlp.c_fc.weight)):
                    norm.weight[chosen] *= factor
                    norm.bias[chosen] *= factor
                    reader[:, chosen] /= factor


def plant_tokens(
    model: Any, pixels: Tensor, *, first: int, last: int, tokens: tuple[int, ...] = (0,), factor: float = _TOKEN_FACTOR
) -> None:
    """Make `tokens` of the image tower `factor` times as long as the others from block `first` to block `last`.

    One unit of block `first`'s MLP learns to answer to these tokens alone, and adds a long vector; one of block `last`
    takes it away again. What the tower computes changes: it is to be compared with itself.

    Args:
        model: open_clip's.
        pixels: normalised pictures (pictures, 3, height, width), by which the tokens are told from the others.
        first: the block that makes them long, from 0.
        last: the block that makes them short again.
        tokens: their places; 0 is the class token.
        factor: how long they become, as a multiple of a median token there.
    """
    blocks = model.visual.transformer.resblocks
    direction = torch.randn(blocks[first].ln_2.weight.shape, generator=torch.Generator().manual_seed(0))
    direction /= direction.norm()
    entering = _entering(model, blocks[first].ln_2, pixels)
    added = direction * factor * entering.norm(dim=-1).median()
    _answer(model, blocks[first], pixels, tokens, added)
    _answer(model, blocks[last], pixels, tokens, -added)


def token_lengths(model: Any, pixels: Tensor, block: int) -> Tensor:
    """Return how long each token is before block `block`'s MLP: (pictures, tokens)."""
    lengths: Tensor = _entering(model, model.visual.transformer.resblocks[block].ln_2, pixels).norm(dim=-1)
    return lengths


def _entering(model: Any, norm: Any, pixels: Tensor) -> Tensor:
    """Return what enters `norm`: (pictures, tokens, width)."""
    seen: list[Tensor] = []
    hook = norm.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        model.encode_image(pixels)
    hook.remove()
    entered: Tensor = seen[0]
    return entered


def _answer(model: Any, block: Any, pixels: Tensor, tokens: tuple[int, ...], added: Tensor) -> None:
    """Make the first unit of the block's MLP add `added` to `tokens`, and nothing to the others."""
    with torch.no_grad():
        read = block.ln_2(_entering(model, block.ln_2, pixels))  # (pictures, tokens, width)
        wanted = torch.full(read.shape[:2], -_FIRED)
        wanted[:, list(tokens)] = _FIRED
        rows = torch.cat([read.flatten(0, 1), torch.ones(read.shape[0] * read.shape[1], 1)], dim=1).double()
        # Least squares, kept short: the unit must answer to other pictures' tokens too.
        gram = rows.T @ rows + 1e-2 * len(rows) * torch.eye(rows.shape[1], dtype=torch.double)
        solved = torch.linalg.solve(gram, rows.T @ wanted.flatten().double()).float()
        block.mlp.c_fc.weight[0], block.mlp.c_fc.bias[0] = solved[:-1], solved[-1]
        block.mlp.c_proj.weight[:, 0] = added / _FIRED
