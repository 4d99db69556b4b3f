"""What this run's other figures say of a bar that is missed; every number is the run's, and none is written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench import bars
from bench.bars import Bar

# The operator of the products in 8 bits, which the floor is made of.
_PRODUCTS = "MatMulIntegerToFloat"
_LONGEST = 3


def reason(bar: Bar, result: Mapping[str, Any]) -> str | None:
    """Return what the same run shows of a bar that is missed; None where that is nothing.

    Args:
        bar: it falls short.
        result: what build/bench.json holds.
    """
    if bar.only_with_two_threads:
        return "with one thread it is reached: the second gains less here than it does in what this is compared with"
    if bar.name.startswith("outlier ") and bar.name.endswith(" / without"):
        return _of_outliers(bar, result)
    explain = _REASONS.get(bar.name)
    return explain(bar, result) if explain is not None else None


def _of_the_predecessor(bar: Bar, result: Mapping[str, Any]) -> str:
    two = result["threads_2"]
    wanted = two["predecessor_ms"] / bar.bar
    rest = two["warm_ms"] - two["image_tower_ms"] - two["decode_ms"]
    return (
        f"a warm request would have to take {wanted:.1f} ms and takes {two['warm_ms']:.1f}: the image tower"
        f" {two['image_tower_ms']:.1f}, decoding {two['decode_ms']:.1f}, the rest {max(rest, 0):.1f}"
    )


def _of_open_clip(bar: Bar, result: Mapping[str, Any]) -> str:
    two = result["threads_2"]
    at_the_floor = two["open_clip_image_ms"] / two["floor_ms"]
    opening = f"its products alone, the floor, would come to {at_the_floor:.2f}"
    if at_the_floor < bar.bar:
        return f"even {opening}"
    allowed, taken = at_the_floor / bar.bar - 1, two["image_tower_ms"] / two["floor_ms"] - 1
    return f"{opening}: all else may take {allowed:.0%} more than they do and takes {taken:.0%}; {_all_else(result)}"


def _of_the_floor(_: Bar, result: Mapping[str, Any]) -> str:
    return _all_else(result)


def _all_else(result: Mapping[str, Any]) -> str:
    operators = {name: ms for name, ms in result["image_tower_operators_ms"].items() if name != _PRODUCTS}
    longest = sorted(operators, key=lambda name: -operators[name])[:_LONGEST]
    listed = ", ".join(f"{name} {operators[name]:.2f}" for name in longest)
    return f"of {sum(operators.values()):.1f} ms beside the products, with one thread, the most are {listed}"


def _of_the_request(_: Bar, result: Mapping[str, Any]) -> str:
    two = result["threads_2"]
    return f"beside both it takes {two['warm_ms'] - two['image_tower_ms'] - two['decode_ms']:.1f} ms"


def _of_two_tiles(_: Bar, result: Mapping[str, Any]) -> str:
    two = result["threads_2"]
    share = two["batch_8_ms_per_picture"] / two["warm_ms"]
    return f"two tiles are two pictures, and of eight in a batch each takes {share:.2f} of what one takes alone"


def _of_a_folder(bar: Bar, result: Mapping[str, Any]) -> str:
    folder = result["folder"]
    taken = folder["judged_s"] - folder["tower_s"] - folder["decode_s"]
    allowed = (bar.bar - 1) * folder["tower_s"]
    return (
        f"beside the tower and decoding it may take {allowed:.1f} s and takes {taken:.1f}, which is"
        f" {1000 * taken / folder['pictures']:.1f} ms a picture"
    )


def _of_the_peers(_: Bar, result: Mapping[str, Any]) -> str:
    return f"the fastest is {bars.fastest_peer(result['peers'])}"


def _of_the_start(_: Bar, result: Mapping[str, Any]) -> str:
    steps = {name: ms for name, ms in result["start_order_ms"].items() if name != "Python"}
    longest = sorted(steps, key=lambda name: -steps[name])[:2]
    return "its longest steps: " + "; ".join(f"{name.split(':')[0]} {steps[name]:.0f} ms" for name in longest)


def _of_outliers(bar: Bar, result: Mapping[str, Any]) -> str:
    tower = "image" if "image tower" in bar.name else "text"
    same = {towers[tower]["same_against_same"] for towers in result["outliers"].values() if tower in towers}
    return f"the {tower} tower without, beside itself, comes to {' or '.join(f'{ratio:.2f}' for ratio in sorted(same))}"


_REASONS: Mapping[str, Callable[[Bar, Mapping[str, Any]], str]] = {
    bars.PREDECESSOR: _of_the_predecessor,
    bars.OPEN_CLIP: _of_open_clip,
    bars.FLOOR: _of_the_floor,
    bars.REQUEST: _of_the_request,
    bars.WIDE: _of_two_tiles,
    bars.FOLDER: _of_a_folder,
    bars.FASTEST_PEER: _of_the_peers,
    bars.IN_OUR_HANDS: _of_the_start,
}
