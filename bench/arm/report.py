"""The counted figures as a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.arm.estimate import GIGAHERTZ

_BAR, _STRETCH = 450, 420


def markdown(result: Mapping[str, Any]) -> str:
    """Write what `python -m bench.arm` found as a page."""
    answers, costs = result["answers"], result["costs"]
    image = result["towers"]["image, auto, for graviton2"]["million_instructions"]
    verdict = "stretch" if image <= _STRETCH else "bar" if image <= _BAR else "**falls short**"
    reason = _REASON if image > _BAR else ""
    towers = "\n".join(_line(name, figures) for name, figures in result["towers"].items())
    products = "\n".join(
        f"| {one['inner']}x{one['columns']} | {' | '.join(f'{cost:.2f}' for cost in one['cost'].values())} |"
        for one in costs["products"]
    )
    forms = costs["products"][0]["cost"]
    return f"""# Counted for Graviton2

Written by `make bench-arm`. **No Graviton was there.** The service's own arm64 wheels run under emulation of its
processor (Neoverse N1: dot product, no i8mm), one thread, ViT-B-32-quickgelu with random weights. Executed instructions
are counted exactly. Milliseconds are estimates: llvm-mca's model of that processor at {GIGAHERTZ} GHz, each block of
instructions as a loop that finds what it reads in the nearest cache. A real one waits for its memory too.

| | million instructions | estimated ms |
| --- | --: | --: |
{towers}
{_line("**a whole warm request**: JSON, base64, JPEG of 440x248, 5 known labels", result["request"])}

The image tower as it is exported for this target: {image:.0f} million instructions; bar {_BAR}, stretch {_STRETCH}:
{verdict}.{reason}

1000 pictures on one vCPU: {result["arithmetic"]}

## The same answers

{_embeddings(result["embeddings"])}

The demo model's service, end to end under emulation and on x86: {answers["alike"]} of {answers["requests"]} answers
have the same labels, verdicts and actions; no number, of those that are answered with six digits, differs by more than
{answers["largest_difference"]:.1g}. That model computes in float32.

## What a product costs in each form

{costs["rows_of_activations"]} rows of activations, in million cycles as estimated. `make model` for this target
chooses by these (`lambda_src/model_build/costs/graviton2.json`).

| weights | {" | ".join(forms)} |
| --- |{" --: |" * len(forms)}
{products}

LayerNormalization of {costs["rows_of_activations"]}x768: ONNX Runtime's own {costs["norms"]["fused"]:.3f}, as plain
operators {costs["norms"]["plain"]:.3f}.
"""


_REASON = (
    " The products themselves are three quarters of it, and each row's scale costs what one scale for a whole tensor\n"
    "does not; that is the price of answers that do not depend on company."
)


_ITEMS = {"image": "pictures", "text": "labels"}


def _embeddings(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what company does there, and that a CPU of another kind rounds otherwise."""
    shows = [tower for tower, one in found.items() if one["company_shows"]]
    company = (
        f"**company shows in the {' and the '.join(shows)} tower**" if shows else "bit for bit the same, in both towers"
    )
    lines = [
        f"- {tower}: {one['same_bits_as_here']} of {one['count']} {_ITEMS[tower]} have the same bits; no number differs"
        f" by more than {one['largest_difference']:.1g}, the worst cosine is {one['worst_cosine']:.6f}"
        for tower, one in found.items()
    ]
    return (
        f"The towers above under emulation, alone, together, and together on two threads: {company}.\n\n"
        "Beside x86, where sums of bytes are the same whole numbers, but what is computed between them in float32 is"
        "\nrounded otherwise, and now and then becomes another byte:\n\n" + "\n".join(lines)
    )


def _line(name: str, figures: Mapping[str, float]) -> str:
    return f"| {name} | {figures['million_instructions']:.0f} | {figures['ms']:.1f} |"
