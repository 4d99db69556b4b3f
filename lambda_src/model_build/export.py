"""Turns an open_clip model into the folder that the service reads: two ONNX towers, a tokenizer and a manifest.

python -m model_build.export --model ViT-B-32-quickgelu --pretrained openai --out models/vit-b-32
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from onnx import ModelProto

from model_build.agreement import LIMITS, as_json, measure, refuse_disagreement
from model_build.costs import DEFAULT, Costs, read_costs, targets
from model_build.image_tower import image_tower
from model_build.libraries import open_clip
from model_build.manifest import (
    FORMAT,
    TOKENIZER,
    described_files,
    fingerprint,
    replaced_folder,
    write_manifest,
)
from model_build.norms import with_plain_norms
from model_build.onnx_files import Towers, image_graph, save, text_graph
from model_build.optimise import optimised
from model_build.photographs import refuse_missing_photographs
from model_build.precision_choice import choose_precision, forms_of, judge_written, refuse_choice, table
from model_build.precision_choice import summary as summary_of_choices
from model_build.samples import refuse_folder
from model_build.sizes import refuse_large, refuse_large_by_name
from model_build.source import ExportError, Source, add_config, load
from model_build.text_tower import TextTower
from model_build.tokenizer_file import tokenizer_json
from moderator.clip.tokenizer import END, START


def export(
    source: Source,
    out: Path,
    *,
    precision: str = "fp32",
    target: str = DEFAULT,
    label_template: str = "{}",
    samples: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Write the model folder `out` and return its manifest.

    Args:
        source: the model.
        out: the folder; it need not exist.
        precision: one of `LIMITS`.
        target: the processor that the model is for, one of `costs.targets()`.
        label_template: wraps every label; `{}` is where it goes.
        samples: a folder of pictures to measure the precision on, instead of those that are at hand.
        tell: is told what is being done.
        verbose: whether it is told each layer's form and errors too.

    Raises:
        ExportError: the precision, the target or the template cannot be used, a tower is too large for a graph, there
            are no photographs to measure on, or the written model disagrees with open_clip; `out` is then as it was.
    """
    refuse_options(precision, label_template)
    refuse_large(source.name, source.model)
    costs = read_costs(target)
    refuse_missing_photographs()
    with replaced_folder(out) as folder:
        # 1. The tokenizer.
        tell("Writing the tokenizer and both towers in float32")
        tokenizer = tokenizer_json(open_clip.SimpleTokenizer(context_length=source.context_length))
        (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")

        # 2. The towers in float32, compared with open_clip.
        text_tower = TextTower(source.model)
        towers = Towers(
            image=optimised(image_graph(source, image_tower(source.model))),
            text=optimised(text_graph(source, text_tower)),
        )
        save(towers, folder)
        tell("Comparing them with open_clip")
        agreement = measure(source, folder, label_template)
        refuse_disagreement(agreement, LIMITS["fp32"])

        # 3. The towers as fast as they may be, compared with the same.
        choices = None
        if precision != "fp32":
            tell("Measuring each matrix product in 8 bits; this is the longest step")
            choices = choose_precision(source, towers, folder, label_template, own=samples, costs=costs)
            refuse_choice(choices, precision)
            tell(table(choices) if verbose else f"{summary_of_choices(choices)}\n        (VERBOSE=1 shows every layer)")
            towers = Towers(image=choices.image.model, text=choices.text.model)
        if choices is not None or costs.norm == "plain":
            tell("Writing the towers as chosen, and comparing them with open_clip again")
            towers = Towers(image=_finished(towers.image, costs), text=_finished(towers.text, costs))
            save(towers, folder)
            agreement = measure(source, folder, label_template)
            refuse_disagreement(agreement, LIMITS[precision])
        judged = judge_written(choices, folder) if choices is not None else {}

        # 4. The manifest, last.
        manifest = {
            "format": FORMAT,
            "name": source.name,
            "pretrained": source.pretrained,
            "fingerprint": fingerprint(
                source,
                precision=precision,
                forms=forms_of(choices, costs),
                tokenizer=tokenizer,
                label_template=label_template,
                written=[] if choices is None else [towers.image, towers.text],
            ),
            "embedding_size": text_tower.embedding_size,
            "context_length": source.context_length,
            "causal_text": text_tower.causal,
            "image_size": list(source.image_size),
            "resize_mode": source.resize_mode,
            "interpolation": source.interpolation,
            "logit_scale": float(source.model.logit_scale.exp()),
            "label_template": label_template,
            "precision": precision,
            "convolutions": any(node.op_type == "Conv" for node in towers.image.graph.node),
            "target": costs.target,
            "files": described_files(folder),
            "agreement": as_json(agreement),
        }
        if choices is not None:
            manifest["samples"] = {"pictures": choices.pictures, "photographs": choices.photographs}
            manifest["smoothing"] = {
                tower: {"exponent": smoothing.exponent, "largest_change_in_float32": smoothing.change}
                for tower, smoothing in choices.smoothing.items()
            }
            manifest["layers"] = {
                "image": choices.image.as_json(judged["image"]),
                "text": choices.text.as_json(judged["text"]),
            }
        write_manifest(manifest, folder)
    return manifest


def _finished(tower: ModelProto, costs: Costs) -> ModelProto:
    """Write the norms as they are cheapest on the target, and let ONNX Runtime optimise once more."""
    return optimised(with_plain_norms(tower) if costs.norm == "plain" else tower)


def refuse_options(precision: str, label_template: str) -> None:
    """Check what needs no model.

    Raises:
        ExportError: the precision is not known, or the template is not one.
    """
    if precision not in LIMITS:
        raise ExportError(f"The precision {precision!r} cannot be written: known are {', '.join(LIMITS)}.")
    if label_template.count("{}") != 1:
        raise ExportError(f"The label template {label_template!r} must hold {{}} once, where the label goes.")
    if START in label_template or END in label_template:
        raise ExportError(f"The label template {label_template!r} holds a control token: leave it out.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Export as the command line says; return the exit status."""
    options = _parse(arguments)
    began = time.monotonic()

    def tell(doing: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {doing}", flush=True)

    # open_clip warns that weights are random, which is what `none` asks for.
    logging.getLogger().setLevel(logging.ERROR)
    try:
        refuse_options(options.precision, options.label_template)
        read_costs(options.target)
        refuse_missing_photographs()
        if options.samples is not None:
            refuse_folder(options.samples)
        name = add_config(options.config) if options.config else options.model
        tell(f"Loading {name} ({options.pretrained})")
        refuse_large_by_name(name)  # before gigabytes are downloaded
        source = load(name, options.pretrained)
        manifest = export(
            source,
            options.out,
            precision=options.precision,
            target=options.target,
            label_template=options.label_template,
            samples=options.samples,
            tell=tell,
            verbose=options.verbose,
        )
    except ExportError as error:
        print(f"model_build.export: {error}", file=sys.stderr)
        return 2
    print(summary(manifest, options.out))
    return 0


def summary(manifest: dict[str, Any], out: Path) -> str:
    """Return what was written and how well it agrees, in three lines."""
    agreement = manifest["agreement"]
    sizes = ", ".join(f"{name} {file['bytes'] / 1e6:.1f} MB" for name, file in manifest["files"].items())
    return (
        f"{out}: {manifest['name']} ({manifest['pretrained']}), {manifest['precision']}, {manifest['fingerprint']}\n"
        f"  {sizes}\n"
        f"  against open_clip over {agreement['pictures']} pictures ({agreement['real_pictures']} photographs) "
        f"and {agreement['labels']} labels, at worst: "
        f"cosine {agreement['image_cosine']} (image), {agreement['text_cosine']} (text), "
        f"probability difference {agreement['probability_difference']}"
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model_build.export", description=__doc__)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", help="a model's name in open_clip")
    model.add_argument("--config", type=Path, help="the JSON configuration of a model that open_clip does not have")
    parser.add_argument("--pretrained", required=True, help="a tag of open_clip's, a checkpoint's path, or \"none\"")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--precision", default="auto", help="auto (default), fp32 or int8")
    parser.add_argument(
        "--target", default=DEFAULT, help=f"the processor that the model is for: {', '.join(targets())} ({DEFAULT})"
    )
    parser.add_argument("--samples", type=Path, help="a folder of pictures to measure the precision on")
    parser.add_argument("--verbose", action="store_true", help="show every layer's form and errors")
    parser.add_argument("--label-template", default="{}", help='wraps every label, such as "a photo of {}"')
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
