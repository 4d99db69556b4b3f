"""What the service replaces, written from its description: torch in eager mode, through open_clip."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from bench.models import NAME, checkpoint
from model_build.source import load


class OpenClip:
    """open_clip's model and preprocessing, on this many threads."""

    def __init__(self, threads: int) -> None:
        from model_build.libraries import open_clip

        torch.set_num_threads(threads)
        source = load(NAME, str(checkpoint()))
        self._model: Any = source.model
        self._preprocess = source.preprocess
        self._tokenizer = open_clip.get_tokenizer(NAME)

    def predecessor(self, body: str) -> dict[str, float]:
        """Answer one request as the predecessor does: full decode, both towers, twice, 77 tokens a label."""
        request = json.loads(body)
        labels: Sequence[str] = request["labels"]
        image = Image.open(io.BytesIO(base64.b64decode(request["image_data"]))).convert("RGB")
        pixels = self._preprocess(image).unsqueeze(0)
        tokens = self._tokenizer(labels)
        with torch.no_grad():
            # Its handler computes the features of both, and then calls the whole model, which computes them again.
            self._model.encode_image(pixels)
            self._model.encode_text(tokens)
            logits, _ = self._model.get_logits(pixels, tokens)
            probabilities = logits.softmax(dim=-1)[0].tolist()
        return dict(zip(labels, probabilities, strict=True))

    def image_tower(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embed normalised pixels (1, 3, 224, 224) by the image tower alone."""
        with torch.no_grad():
            embedding: torch.Tensor = self._model.encode_image(pixels)
        return embedding
