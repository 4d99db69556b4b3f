"""The benchmark's figures as a page for people."""

from __future__ import annotations

from typing import Any

BARS = (
    # what, dividend, divisor, bar, stretch, whether more is better
    ("predecessor / warm", "predecessor_ms", "warm_ms", 35, 60, True),
    ("open_clip image tower / ours", "open_clip_image_ms", "image_tower_ms", 6, 9, True),
    ("image tower / floor", "image_tower_ms", "floor_ms", 2.3, 1.5, False),
    ("warm / (image tower + decode)", "warm_ms", "image_and_decode_ms", 1.10, 1.05, False),
    ("new labels / warm", "new_labels_ms", "warm_ms", 1.6, 1.3, False),
    ("1000 labels / warm", "labels_1000_ms", "warm_ms", 1.25, 1.1, False),
    ("batch of 8, a picture / warm", "batch_8_ms_per_picture", "warm_ms", 0.8, 0.65, False),
    ("12-megapixel JPEG / warm", "jpeg_12mp_ms", "warm_ms", 2.6, 2, False),
)

_MEANINGS = {
    "predecessor_ms": "predecessor: torch, both towers, twice, 77 tokens a label, full decode",
    "open_clip_image_ms": "open_clip: torch, image tower only",
    "onnx_fp32_ms": "ONNX Runtime, plain fp32 export, image tower only",
    "warm_ms": "**ours: the whole request**, 5 known labels, JPEG of 440x248",
    "warm_store_ms": "the same, labels read from the store",
    "new_labels_ms": "5 labels never seen",
    "new_labels_store_ms": "the same, asked of the store first and written to it",
    "labels_1000_ms": "1000 known labels",
    "labels_1000_store_ms": "the same, labels read from the store",
    "batch_8_ms_per_picture": "8 pictures in one request, each",
    "jpeg_12mp_ms": "a JPEG of 12 megapixels",
    "image_tower_ms": "ours: image tower only",
    "decode_ms": "ours: decode only",
    "floor_ms": "floor: the tower's products alone, at the rate that the machine reaches in int8",
}


def markdown(result: dict[str, Any]) -> str:
    """Write `result`, which is what build/bench.json holds, as a page."""
    machine, one, two = result["machine"], result["threads_1"], result["threads_2"]
    start, torch = result["cold_start_s"], result["cold_start_torch_s"]
    ratios = [
        _ratio(name, two[dividend] / two[divisor], bar, stretch, more)
        for name, dividend, divisor, bar, stretch, more in BARS
    ]
    ratios += [
        _ratio("cold start, seconds", start, 1.2, 0.7, False),
        _ratio("cold start, torch + open_clip / ours", torch / start, 5, 8, True),
        _ratio("peak memory, MB, text tower not loaded", result["peak_mb"], 400, 300, False),
    ]
    company = result["in_company"]
    lines = [
        "# Benchmark",
        "",
        "Written by `make bench`: all in one run on one machine, ViT-B-32-quickgelu with seeded random weights,",
        "exported with `PRECISION=auto`. Medians, in milliseconds. Compare ratios: another machine has other times,",
        "and Graviton was not tried.",
        "",
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['architecture']} ({', '.join(machine['instructions'])}),"
        f" Python {machine['python']}",
        "",
        "![milliseconds a picture](benchmark.png)",
        "",
        "| | 1 thread | 2 threads |",
        "| --- | --: | --: |",
        *(f"| {meaning} | {one[key]:.1f} | {two[key]:.1f} |" for key, meaning in _MEANINGS.items()),
        "",
        "| 2 threads | measured | bar | stretch | |",
        "| --- | --: | --: | --: | --- |",
        *ratios,
        "",
        f"torch + open_clip start in {torch:.1f} s and hold {result['peak_torch_mb']:.0f} MB at most.",
        "",
        "## A cold start, in its order",
        "",
        "All labels are in the store, so the text tower is never loaded.",
        "",
        "| | ms |",
        "| --- | --: |",
        *(f"| {name} | {value:.0f} |" for name, value in result["start_order_ms"].items()),
        "",
        "## The image tower, by operator",
        "",
        "One thread; ONNX Runtime's own profile.",
        "",
        "| | ms |",
        "| --- | --: |",
        *(f"| {name} | {value:.2f} |" for name, value in result["image_tower_operators_ms"].items() if value >= 0.05),
        "",
        "## A picture in company",
        "",
        "Alone and with seven others, a picture's",
        f"embedding has a cosine of {company['least_cosine']:.5f} at worst; a probability differs by"
        f" {company['most_probability_difference']:.4f} at most.",
        "",
        "## Dollars per 1000 pictures",
        "",
        *(f"- {name}: {one_cost['arithmetic']}" for name, one_cost in result["cost_per_1000_usd"].items()),
        "",
    ]
    return "\n".join(lines)


def _ratio(name: str, ratio: float, bar: float, stretch: float, more: bool) -> str:
    def reached(limit: float) -> bool:
        return ratio >= limit if more else ratio <= limit

    verdict = "stretch" if reached(stretch) else "bar" if reached(bar) else "falls short"
    return f"| {name} | {ratio:.2f} | {bar:g} | {stretch:g} | {verdict} |"
