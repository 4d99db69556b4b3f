"""What the figures are held to: each bar, the stretch beyond it, and why it is missed where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One figure beside the least that it should be, or the most."""

    name: str
    measured: float
    bar: float
    stretch: float | None = None
    more: bool = False  # whether more is better

    @property
    def verdict(self) -> str:
        """`stretch`, `bar` or `falls short`."""
        if self.stretch is not None and self._reaches(self.stretch):
            return "stretch"
        return "bar" if self._reaches(self.bar) else "falls short"

    def _reaches(self, limit: float) -> bool:
        return self.measured >= limit if self.more else self.measured <= limit


# Said beside a bar that is missed; what is not named here has no reason known yet.
REASONS: Mapping[str, str] = {}


def bars(result: Mapping[str, Any]) -> Iterator[Bar]:
    """Return all bars, from what build/bench.json holds. Ratios are of two threads."""
    two = result["threads_2"]

    def ratio(dividend: str, divisor: str) -> float:
        return float(two[dividend] / two[divisor])

    yield Bar(name="predecessor / warm", measured=ratio("predecessor_ms", "warm_ms"), bar=38, stretch=60, more=True)
    yield Bar(
        name="open_clip image tower / ours",
        measured=ratio("open_clip_image_ms", "image_tower_ms"),
        bar=6,
        stretch=9,
        more=True,
    )
    yield Bar(name="image tower / floor", measured=ratio("image_tower_ms", "floor_ms"), bar=1.5, stretch=1.3)
    yield Bar(
        name="warm / (image tower + decode)",
        measured=two["warm_ms"] / (two["image_tower_ms"] + two["decode_ms"]),
        bar=1.08,
        stretch=1.05,
    )
    yield Bar(name="new labels / warm", measured=ratio("new_labels_ms", "warm_ms"), bar=1.4, stretch=1.25)
    yield Bar(name="1000 labels / warm", measured=ratio("labels_1000_ms", "warm_ms"), bar=1.25, stretch=1.1)
    yield Bar(
        name="batch of 8, a picture / warm", measured=ratio("batch_8_ms_per_picture", "warm_ms"), bar=0.8, stretch=0.65
    )
    yield Bar(name="12-megapixel JPEG / warm", measured=ratio("jpeg_12mp_ms", "warm_ms"), bar=2.6, stretch=2)
    yield Bar(
        name="/moderate / /classify, 5 times the labels, a square picture",
        measured=ratio("moderate_square_ms", "classify_square_ms"),
        bar=1.1,
    )
    yield Bar(
        name="/moderate / /classify, 5 times the labels, 16:9 in two tiles",
        measured=ratio("moderate_wide_ms", "classify_wide_ms"),
        bar=1.75,
    )
    yield from _of_peers(result["peers"])
    yield from _of_outliers(result["outliers"])
    yield from _of_starts(result)
    yield Bar(name="a folder / the image tower alone, decoding aside", measured=result["folder"]["ratio"], bar=1.15)
    worst = max(result["clients"].values())
    yield Bar(name="another service's form over our own, ms, the worst", measured=worst, bar=1.0)


def _of_peers(peers: Mapping[str, Mapping[str, Any]]) -> Iterator[Bar]:
    ours, dynamic = peers["ours"], peers["onnx_int8"]
    for count, key, bar in (("1 picture", "one_ms", 1.10), ("8 pictures", "eight_ms", 1.15)):
        if key in dynamic:
            measured = ours[key] / dynamic[key]
            yield Bar(name=f"rows / one scale a tensor, {count}", measured=measured, bar=bar, stretch=1.0)
    others = [one for name, one in peers.items() if name != "ours" and one.get("within_bounds")]
    if others:
        fastest = min(one["one_ms"] for one in others)
        name = "fastest peer within the same bounds / ours"
        yield Bar(name=name, measured=fastest / ours["one_ms"], bar=1.0, stretch=1.5, more=True)


def _of_outliers(outliers: Mapping[str, Mapping[str, Any]]) -> Iterator[Bar]:
    for planted, towers in outliers.items():
        for tower, figures in towers.items():
            if planted == "tokens" and tower == "text":
                continue  # none were planted there
            of = f"{planted.replace('-', ' x')}, {tower} tower"
            yield Bar(name=f"outlier {of} / without", measured=figures["ratio"], bar=1.1, stretch=1.02)
            measured = figures["mean_cosine"]
            yield Bar(name=f"outlier {of}: mean cosine", measured=measured, bar=0.999, stretch=0.9995, more=True)


def _of_starts(result: Mapping[str, Any]) -> Iterator[Bar]:
    ours = result["cold_start_s"]
    measured = result["cold_start_torch_s"] / ours
    yield Bar(name="cold start, torch + open_clip / ours", measured=measured, bar=9, stretch=12, more=True)
    in_our_hands = ours - result["start_order_ms"]["Python"] / 1000
    yield Bar(name="cold start, seconds beside Python's own", measured=in_our_hands, bar=0.40, stretch=0.30)
    tiers = result["cold_moderation"]
    measured = tiers["precomputed_s"] / tiers["stored_s"]
    yield Bar(name="cold /moderate, labels precomputed / in the store", measured=measured, bar=1.0)
    yield Bar(name="peak memory, MB, text tower not loaded", measured=result["peak_mb"], bar=400, stretch=300)
