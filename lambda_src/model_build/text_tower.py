"""The text tower as the service wants it: any number of labels, any length, unit vectors out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from model_build.libraries import open_clip
from model_build.residual_blocks import ResidualBlocks, can_be_rewritten


class TextTower(nn.Module):
    """open_clip's text tower, computing only as many positions as it is given.

    open_clip always computes the whole context. A causal tower's later positions cannot reach an earlier one, so
    leaving them out changes nothing at the end token, where the embedding is read; the mask and the positional
    embedding are cut to the length of the tokens. A tower that is not causal sees its padding, and must be given the
    whole context.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        # CLIP keeps the parts of its text tower itself, CustomTextCLIP in `text`.
        parts: Any = getattr(model, "text", model)
        self.token_embedding: Any = parts.token_embedding
        self.positional_embedding: Tensor = parts.positional_embedding
        self.transformer: Any = parts.transformer
        self.ln_final: Any = parts.ln_final
        self.text_projection: Any = parts.text_projection
        self.attn_mask: Tensor | None
        self.register_buffer("attn_mask", parts.attn_mask, persistent=False)
        self.pool_type = parts.text_pool_type if hasattr(parts, "text_pool_type") else parts.pool_type
        self.eos_id = parts.text_eos_id if hasattr(parts, "text_eos_id") else parts.eos_id
        rewritten = self.pool_type in ("argmax", "eos") and can_be_rewritten(self.transformer)
        self.blocks = ResidualBlocks(self.transformer) if rewritten else None

    @property
    def causal(self) -> bool:
        """Whether a position sees only those before it."""
        return self.attn_mask is not None

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        match self.text_projection:
            case nn.Linear():
                return int(self.text_projection.out_features)
            case None:
                return int(self.token_embedding.embedding_dim)
            case _:
                return int(self.text_projection.shape[1])

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed `tokens`, int64 (labels, length), as unit vectors, float32 (labels, dim)."""
        length = tokens.shape[1]
        hidden = self.token_embedding(tokens) + self.positional_embedding[:length]
        if self.blocks is not None:
            pooled = self.ln_final(self.blocks(hidden, self._end(tokens), causal=self.causal))
        else:
            mask = None if self.attn_mask is None else self.attn_mask[:length, :length]
            hidden = self.ln_final(self.transformer(hidden, attn_mask=mask))
            pooled = open_clip.transformer.text_global_pool(hidden, tokens, self.pool_type, eos_token_id=self.eos_id)
        if isinstance(self.text_projection, nn.Linear):
            pooled = self.text_projection(pooled)
        elif self.text_projection is not None:
            pooled = pooled @ self.text_projection
        return functional.normalize(pooled, dim=-1)

    def _end(self, tokens: Tensor) -> Tensor:
        """Where each label ends, which is where open_clip's `text_global_pool` reads its embedding: (labels,)."""
        if self.pool_type == "eos":
            ends: Tensor = tokens == self.eos_id
            return ends.int().argmax(dim=-1)
        return tokens.argmax(dim=-1)  # the end token has the highest number of all
