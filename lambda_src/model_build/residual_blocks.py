"""A transformer's residual blocks as ONNX Runtime computes them best: attention in one operator, the last block short.

Two rewrites, both exact:

1. `nn.MultiheadAttention` exports as some thirty operators that move data around; ONNX Runtime has one for all of them.
2. Only one position of the last block is read. Its keys and values need every position, but its query, its projection
   and its two wide products need that one only: 10 of its 12 width-squared products fall away.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_build.libraries import open_clip


class ResidualBlocks(nn.Module):
    """The blocks of an open_clip `Transformer`, ending at one position a sequence."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.blocks = transformer.resblocks

    def forward(self, hidden: Tensor, position: Tensor | int, *, causal: bool) -> Tensor:
        """Run all blocks over `hidden`, float32 (sequences, length, width).

        Args:
            hidden: the embedded tokens.
            position: which position is read: the same of every sequence, or int64 (sequences,).
            causal: whether a position sees only those before it.

        Returns:
            float32 (sequences, width): `position` after the last block.
        """
        for block in self.blocks[:-1]:
            normalised = block.ln_1(hidden)
            query, key, value = _projected(block.attn, normalised).chunk(3, dim=-1)
            attended = _attention(block.attn, query, key, value, causal=causal)
            hidden = hidden + block.ls_1(block.attn.out_proj(attended))
            hidden = hidden + block.ls_2(block.mlp(block.ln_2(hidden)))
        return self._last(self.blocks[-1], hidden, position, causal=causal)

    def _last(self, block: Any, hidden: Tensor, position: Tensor | int, *, causal: bool) -> Tensor:
        normalised = block.ln_1(hidden)
        width = hidden.shape[-1]
        weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
        query = functional.linear(_at(normalised, position), weight[:width], bias[:width])
        key, value = functional.linear(normalised, weight[width:], bias[width:]).chunk(2, dim=-1)
        if causal:
            # The operator's causal form sums over what a position sees, and only that: padding cannot change even a
            # rounding. It wants a query for every position; those that are not read have the same one.
            attended = _at(_attention(block.attn, query.expand_as(key), key, value, causal=True), position)
        else:
            attended = _attention(block.attn, query, key, value, causal=False)
        pooled = _at(hidden, position) + block.ls_1(block.attn.out_proj(attended))
        pooled = pooled + block.ls_2(block.mlp(block.ln_2(pooled)))
        result: Tensor = pooled[:, 0]
        return result


def can_be_rewritten(transformer: Any) -> bool:
    """Whether every block is open_clip's plain residual block, which is what the rewrites know."""
    return all(
        type(block) is open_clip.transformer.ResidualAttentionBlock
        and not hasattr(block, "ln_1_kv")
        and isinstance(block.attn, nn.MultiheadAttention)
        and block.attn.in_proj_bias is not None
        and block.attn.bias_k is None
        and not block.attn.add_zero_attn
        for block in getattr(transformer, "resblocks", [None])
    )


def _projected(attention: Any, normalised: Tensor) -> Tensor:
    return functional.linear(normalised, attention.in_proj_weight, attention.in_proj_bias)


def _attention(attention: Any, query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
    """ONNX Runtime's own operator for `softmax(query key^T / sqrt(size)) value`, over all heads.

    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MultiHeadAttention
    """
    attended: Tensor = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        [query, key, value],
        attrs={"num_heads": attention.num_heads} | ({"unidirectional": 1} if causal else {}),
        dtype=query.dtype,
        shape=query.shape,
        version=1,
    )
    return attended


def _at(hidden: Tensor, position: Tensor | int) -> Tensor:
    """One position of each sequence: (sequences, 1, width)."""
    if isinstance(position, int):
        return hidden[:, position : position + 1]
    index = position[:, None, None].expand(-1, 1, hidden.shape[-1])
    return hidden.gather(1, index)
