"""Trains the demo model from nothing and exports it as any other model.

    python -m model_build.demo --out lambda_src/demo_model

The folder holds the model's configuration beforehand; afterwards also the checkpoint in open_clip's own format, the
four exported files, and training.json with how it was trained and how often it is right. `--export-only` leaves the
training out and exports the stored checkpoint again, which a change of the export asks for.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from model_build.demo_training import Plan, draw_many, top_1, train
from model_build.export import export, summary
from model_build.libraries import open_clip
from model_build.source import ExportError, add_config, load

CONFIG, CHECKPOINT, RECORD = "demo-shapes.json", "demo-shapes.safetensors", "training.json"
# The least share of held-out pictures that a model must classify right to be kept.
LEAST_TOP_1 = 0.97


def build(out: Path, plan: Plan) -> dict[str, Any]:
    """Train, judge, keep and export; return what training.json records.

    Raises:
        ExportError: the trained model is right less often than LEAST_TOP_1, or its export disagrees with open_clip.
    """
    name = add_config(out / CONFIG)
    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    model, _, preprocess = open_clip.create_model_and_transforms(name)

    started = time.monotonic()
    drawn = draw_many(plan.pictures, seed=plan.seed, preprocess=preprocess, processes=plan.threads)
    held_out = draw_many(plan.held_out, seed=plan.held_out_seed, preprocess=preprocess, processes=plan.threads)
    print(f"drew {plan.pictures + plan.held_out} pictures in {time.monotonic() - started:.0f} s", flush=True)
    train(model, drawn, plan)
    seconds = time.monotonic() - started

    # The stored model is judged: rounded, and read back from the file that is kept.
    checkpoint = out / CHECKPOINT
    save_checkpoint(model, checkpoint)
    source = load(name, str(checkpoint))
    shares = top_1(source.model, held_out)
    print(f"held-out top-1: {shares}", flush=True)
    if shares["all"] < LEAST_TOP_1:
        raise ExportError(f"The demo model is right {shares['all']:.1%} of the time, less than {LEAST_TOP_1:.0%}.")
    record = {**asdict(plan), "seconds": round(seconds), "top_1": shares}
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(summary(export(source, out), out))
    return record


def export_again(out: Path) -> None:
    """Export the stored checkpoint.

    Raises:
        ExportError: there is none, or its export disagrees with open_clip.
    """
    print(summary(export(load(add_config(out / CONFIG), str(out / CHECKPOINT)), out), out))


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Store the weights in half precision, which train() has rounded them to; statistics stay as they are."""
    weights = {name for name, _ in model.named_parameters()}
    state = {
        name: (tensor.half() if name in weights else tensor).contiguous() for name, tensor in model.state_dict().items()
    }
    save_file(state, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m model_build.demo", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help=f"the folder that holds {CONFIG}")
    parser.add_argument("--steps", type=int, default=Plan().steps, help="of training")
    parser.add_argument("--export-only", action="store_true", help="export the stored checkpoint, without training")
    options = parser.parse_args(arguments)
    logging.getLogger().setLevel(logging.ERROR)
    try:
        if options.export_only:
            export_again(options.out)
        else:
            build(options.out, replace(Plan(), steps=options.steps))
    except ExportError as error:
        print(f"model_build.demo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
