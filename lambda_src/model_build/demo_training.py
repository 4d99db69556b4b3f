"""Trains the demo model: a tiny CLIP that tells coloured shapes apart, in open_clip's own format.

A picture is compared with every colour-shape label at once, each in a newly drawn wording, and not with the other
captions of its batch: with 64 labels a batch holds most of them several times, and the same label again is no wrong
answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from model_build.demo_captions import BOTH, COLOUR_ONLY, SHAPE_ONLY, combinations, labels, spell
from model_build.demo_pictures import BACKGROUNDS, COLOURS, SHAPES, draw
from model_build.libraries import open_clip, transforms
from model_build.text_tower import TextTower


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and on what to train; the held-out pictures are drawn with a seed that training never uses."""

    seed: int = 1
    held_out_seed: int = 1_000_003
    pictures: int = 64_000
    held_out: int = 3_200
    steps: int = 1400
    batch: int = 256
    peak_rate: float = 2e-3
    threads: int = 2


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Pictures ready for the image tower, with what each of them shows."""

    pixels: NDArray[np.uint8]  # (pictures, height, width, 3)
    answers: NDArray[np.int64]  # (pictures,), an index into combinations()
    backgrounds: NDArray[np.int64]  # (pictures,), an index into BACKGROUNDS


def draw_many(count: int, *, seed: int, preprocess: transforms.Compose, processes: int) -> Drawn:
    """Draw `count` pictures, every combination and background equally often, resized as open_clip resizes them."""
    # The last two steps of `preprocess` make floats; the image tower's graph does that itself.
    resize = transforms.Compose(
        [step for step in preprocess.transforms if isinstance(step, transforms.Resize | transforms.CenterCrop)]
    )
    shares = np.array_split(np.arange(count), processes * 4)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        parts = pool.map(_draw_share, shares, [seed] * len(shares), [resize] * len(shares))
        pixels = np.concatenate(list(parts))
    indices = np.arange(count)
    kinds = len(combinations())
    return Drawn(pixels=pixels, answers=indices % kinds, backgrounds=indices // kinds % len(BACKGROUNDS))


def _draw_share(indices: NDArray[np.int64], seed: int, resize: transforms.Compose) -> NDArray[np.uint8]:
    kinds = combinations()
    pixels = []
    for index in indices.tolist():
        colour, shape = kinds[index % len(kinds)]
        background = BACKGROUNDS[index // len(kinds) % len(BACKGROUNDS)]
        # Seeded by the picture, not by the share: the pictures do not depend on the number of processes.
        pixels.append(np.asarray(resize(draw(colour, shape, background, np.random.default_rng([seed, index])))))
    return np.stack(pixels)


def train(model: Any, drawn: Drawn, plan: Plan) -> None:
    """Train `model` in place, then round its weights to half precision, so that storing them loses nothing."""
    text = TextTower(model)
    mean, deviation = (torch.tensor(values) * 255 for values in _normalisation(model))
    wordings = _Wordings(model)
    shuffle = np.random.default_rng(plan.seed)
    optimiser = torch.optim.AdamW(_groups(model), lr=plan.peak_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.peak_rate, total_steps=plan.steps, pct_start=0.1)
    colour_of, shape_of = _parts_of_combinations()
    order = np.empty(0, np.int64)
    # Channels last is how the pixels lie in memory anyway, and with bfloat16 twice as fast.
    model.visual.to(memory_format=torch.channels_last)
    model.train()
    for step in range(plan.steps):
        if len(order) < plan.batch:
            order = shuffle.permutation(len(drawn.answers))
        chosen, order = order[: plan.batch], order[plan.batch :]
        pixels = torch.from_numpy(drawn.pixels[chosen])
        if shuffle.random() < 0.5:
            pixels = pixels.flip(2)  # mirrored left to right; no shape is another one's mirror image
        answers = torch.from_numpy(drawn.answers[chosen])

        # Exact enough for training; the loss and the weights stay float32.
        with torch.autocast("cpu", torch.bfloat16):
            pictures = model.encode_image(((pixels - mean) / deviation).permute(0, 3, 1, 2))
            words = text(wordings.draw(shuffle))
        pictures = functional.normalize(pictures.float(), dim=-1)
        logits = model.logit_scale.exp() * pictures @ words.float().T
        both, colours, shapes = logits.split([len(colour_of), len(COLOURS), len(SHAPES)], dim=1)
        loss = (
            functional.cross_entropy(both, answers)
            + 0.25 * functional.cross_entropy(colours, colour_of[answers])
            + 0.25 * functional.cross_entropy(shapes, shape_of[answers])
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))  # as OpenAI did, section 2.5 of the CLIP paper
        if step % 50 == 49:
            print(f"step {step + 1} of {plan.steps}: loss {loss.item():.4f}", flush=True)
    model.eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(weights.half().float())


def _parts_of_combinations() -> tuple[Tensor, Tensor]:
    colours, shapes = list(COLOURS), list(SHAPES)
    pairs = combinations()
    return (
        torch.tensor([colours.index(colour) for colour, _ in pairs]),
        torch.tensor([shapes.index(shape) for _, shape in pairs]),
    )


def _normalisation(model: Any) -> tuple[Sequence[float], Sequence[float]]:
    preprocess = model.visual.preprocess_cfg
    return preprocess["mean"], preprocess["std"]


def _groups(model: Any) -> list[dict[str, object]]:
    # Decay pulls on matrices only, and not on the token table: most rows are never trained, and would only shrink.
    decayed = [w for name, w in model.named_parameters() if w.ndim >= 2 and "embedding" not in name]
    others = [w for name, w in model.named_parameters() if w.ndim < 2 or "embedding" in name]
    return [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


class _Wordings:
    """Tokens of every wording of every combination, colour and shape, tokenised once."""

    def __init__(self, model: Any) -> None:
        tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
        spelled = [spell(BOTH, colour, shape) for colour, shape in combinations()]
        spelled += [spell(COLOUR_ONLY, colour=colour) for colour in COLOURS]
        spelled += [spell(SHAPE_ONLY, shape=shape) for shape in SHAPES]
        self._tokens = [tokenizer(wordings) for wordings in spelled]  # of each (wordings, context)

    def draw(self, rng: np.random.Generator) -> Tensor:
        """Return tokens of one wording each, int64 (combinations + colours + shapes, length of the longest)."""
        tokens = torch.stack([wordings[rng.integers(len(wordings))] for wordings in self._tokens])
        longest = int(tokens.argmax(dim=1).max()) + 1  # the end token is the largest
        return tokens[:, :longest]


def top_1(model: Any, drawn: Drawn) -> dict[str, float]:
    """Return the share of pictures whose most probable label is the right one, over all and by background."""
    mean, deviation = (torch.tensor(values) * 255 for values in _normalisation(model))
    tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    with torch.no_grad():
        words = model.encode_text(tokenizer(labels()), normalize=True)
        found = []
        for start in range(0, len(drawn.pixels), 256):
            pixels = torch.from_numpy(drawn.pixels[start : start + 256])
            pictures = model.encode_image(((pixels - mean) / deviation).permute(0, 3, 1, 2), normalize=True)
            found.append((pictures @ words.T).argmax(dim=1).numpy())
    right = np.concatenate(found) == drawn.answers
    shares = {name: float(right[drawn.backgrounds == index].mean()) for index, name in enumerate(BACKGROUNDS)}
    return {"all": float(right.mean()), **shares}
