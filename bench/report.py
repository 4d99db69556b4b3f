"""The benchmark's figures as a page for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.bars import Bar, bars, reason
from bench.peers import NAMES as PEERS

MEANINGS = {
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
    "classify_square_ms": "`/classify`, a square picture, a fifth of the policy's labels",
    "moderate_square_ms": "`/moderate`, the same picture, all of the policy's labels",
    "classify_wide_ms": "`/classify`, a picture of 16:9, of which the centre is seen",
    "moderate_wide_ms": "`/moderate`, the same picture in two tiles, which leave nothing out",
    "image_tower_ms": "ours: image tower only",
    "decode_ms": "ours: decode only",
    "floor_ms": "floor: the tower's own products in 8 bits, and nothing else",
}
_PLANTED = {
    "channels-60": "6 channels x60, both towers",
    "channels-400": "6 channels x400, both towers",
    "tokens": "the class token x30 from block 3 to block 8",
}


_BESIDE = """## Beside what there is today

The image tower alone, the same weights, 2 threads, in turns. All are judged as an export judges ours, against float32:
photographs, the same between bars and cut, blank pictures and drawn ones; 400 sets of five labels. The scales of ours
and of NNCF's were made on some of them. Random weights flatter what has one scale a tensor."""


def markdown(result: Mapping[str, Any]) -> str:
    """Write `result`, which is what build/bench.json holds, as a page."""
    machine, one, two = result["machine"], result["threads_1"], result["threads_2"]
    sections = [
        _head(machine),
        _table(
            ("", "1 thread", "2 threads"),
            ((meaning, f"{one[key]:.1f}", f"{two[key]:.1f}") for key, meaning in MEANINGS.items()),
        ),
        "## What it is held to\n\nWith 2 threads; what is a ratio of two figures above stands beside it with 1.",
        _table(
            ("", "1 thread", "measured", "bar", "stretch", ""),
            (row(bar, reason(bar, result)) for bar in bars(result)),
            right=5,
        ),
        _company(result["company_shows"]),
        _BESIDE,
        _table(
            ("", "1 picture", "8 pictures", "mean cosine", "worst", "top-1", "within our bounds"),
            (_peer(PEERS[name], figures) for name, figures in result["peers"].items()),
        ),
        _fixed_scales(result["fixed_scales"]),
        "## Outliers, as trained weights have them\n\nPlanted into the random weights; each tower beside that without.",
        _table(
            ("planted", "tower", "time", "mean cosine", "worst", "products"),
            (_planted(name, tower, of) for name, towers in result["outliers"].items() for tower, of in towers.items()),
        ),
        "## A cold start, in its order\n\nAll labels are in the store, so the text tower is never loaded. "
        f"torch + open_clip start in {result['cold_start_torch_s']:.1f} s and hold {result['peak_torch_mb']:.0f} MB at"
        f" most; ours in {result['cold_start_s']:.2f} s with {result['peak_mb']:.0f} MB.",
        _table(("", "ms"), ((name, f"{value:.0f}") for name, value in result["start_order_ms"].items())),
        _first_verdict(result["cold_moderation"]),
        "## The image tower, by operator\n\nOne thread; ONNX Runtime's own profile.",
        _table(
            ("", "ms"),
            ((name, f"{ms:.2f}") for name, ms in result["image_tower_operators_ms"].items() if ms >= 0.05),
        ),
        _folder(result["folder"]),
        "## Other services' forms\n\nMilliseconds of the whole request over our own form of the same question.",
        _table(("", "ms"), ((name, f"{value:+.2f}") for name, value in result["clients"].items())),
        "## Dollars per 1000 pictures",
        "\n".join(f"- {name}: {cost['arithmetic']}" for name, cost in result["cost_per_1000_usd"].items()),
    ]
    return "\n\n".join(sections) + "\n"


def _head(machine: Mapping[str, Any]) -> str:
    lacking = f"; without {', '.join(machine['lacking'])}" if machine["lacking"] else ""
    return f"""# Benchmark

Written by `make bench`: all in one run on one machine, ViT-B-32-quickgelu with seeded random weights,
exported with `PRECISION=auto`. Milliseconds, each of the fastest of many calls taken in turns: what else runs on the
machine only adds to a time. Compare ratios: another machine has other times. What was counted for Graviton2 is in
[benchmark-arm.md](benchmark-arm.md).

{machine["cpu"]}, {machine["cpus"]} CPUs, {machine["architecture"]} with {", ".join(machine["instructions"])}{lacking};
Python {machine["python"]}. {_busy(machine["load"], machine["cpus"])}

![milliseconds a picture](benchmark.png)"""


def _busy(load: float, cpus: int) -> str:
    if load < cpus / 4:
        return "When it began, nothing else ran."
    return (
        f"**Other programs were busy when it began** (a load of {load:.0f}):\nratios with 2 threads are worse than on a"
        " quiet machine."
    )


def row(bar: Bar, why: str | None) -> tuple[str, ...]:
    """Return a bar's cells; `why` stands beside one that is missed."""
    digits = 4 if "cosine" in bar.name else 2
    stretch = "" if bar.stretch is None else f"{bar.stretch:g}"
    verdict = bar.verdict
    if verdict == "falls short":
        verdict = f"**falls short**: {why or 'not explained yet'}"
    alone = "" if bar.one_thread is None else f"{bar.one_thread:.{digits}f}"
    return bar.name, alone, f"{bar.measured:.{digits}f}", f"{bar.bar:g}", stretch, verdict


_IN_COMPANY = "Pictures alone or with seven others, labels alone or with four, on one thread or two"


def _company(shows: Mapping[str, bool]) -> str:
    different = [tower for tower, differs in shows.items() if differs]
    if different:
        return f"{_IN_COMPANY}: **the {' and the '.join(different)} tower differs**."
    return f"{_IN_COMPANY}: both towers' embeddings are the same, bit for bit."


def _peer(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    if "absent" in figures:
        return name, f"does not run here: {figures['absent']}", "", "", "", "", ""
    return (
        name,
        f"{figures['one_ms']:.1f}",
        f"{figures['eight_ms']:.1f}",
        f"{figures['mean_cosine']:.5f}",
        f"{figures['worst_cosine']:.5f}",
        f"{figures['top_1_agreement']:.2%}",
        "yes" if figures["within_bounds"] else "no",
    )


def _fixed_scales(found: Mapping[str, Any]) -> str:
    if "ours" not in found:
        return "How fixed scales cope with outlier tokens could not be measured here."
    fixed, ours = found["openvino_int8"], found["ours"]
    opening = ""
    if ours["within_bounds"] and not fixed["within_bounds"]:
        opening = "Scales that are fixed beforehand do not survive what trained weights have. "
    return (
        f"{opening}On weights with outlier tokens (below), judged alike:\nOpenVINO's int8 tower has a mean cosine of"
        f" {fixed['mean_cosine']:.4f}, at worst {fixed['worst_cosine']:.4f}, and a top-1 agreement of"
        f" {fixed['top_1_agreement']:.2%};\nours {ours['mean_cosine']:.4f}, {ours['worst_cosine']:.4f} and"
        f" {ours['top_1_agreement']:.2%}."
    )


def _planted(name: str, tower: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    forms = ", ".join(f"{count} in {form}" for form, count in figures["forms"].items())
    cosines = f"{figures['mean_cosine']:.5f}", f"{figures['worst_cosine']:.5f}"
    return _PLANTED[name], tower, f"{figures['ratio']:.2f}", *cosines, forms


def _first_verdict(tiers: Mapping[str, float]) -> str:
    return (
        f"The first verdict of a cold instance, `moderation`'s labels precomputed and no store: "
        f"{tiers['precomputed_s']:.2f} s; all of them in the store: {tiers['stored_s']:.2f} s."
    )


def _folder(folder: Mapping[str, float]) -> str:
    judged, tower, decode = (f"{folder[name]:.1f} s" for name in ("judged_s", "tower_s", "decode_s"))
    return f"""## A folder of {folder["pictures"]} pictures

All different, every second one wide, which makes {folder["parts"]} tiles. Through `make moderate`, from the command's
start to its end: {judged}; the image tower alone, on the same tiles in batches: {tower}.
That is {folder["ratio_with_decoding"]:.2f} times as long, and {folder["ratio"]:.2f} times without the {decode}
that decoding takes at least, where all CPUs share it. Of CPU time, which other programs disturb less, it takes
{folder["cpu_ratio"]:.2f} times as much, decoding aside."""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], right: int | None = None) -> str:
    """Write a table; the first column and those from `right` on are text."""
    right = len(head) if right is None else right
    rule = ["---", *("--:" if place < right else "---" for place in range(1, len(head)))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
