"""What the figures are held to: each bar, and the stretch beyond it; `reasons.py` says what a miss comes from."""

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
    one_thread: float | None = None  # the same with one thread, for comparison

    @property
    def verdict(self) -> str:
        """`stretch`, `bar` or `falls short`."""
        if self.stretch is not None and self._reaches(self.measured, self.stretch):
            return "stretch"
        return "bar" if self._reaches(self.measured, self.bar) else "falls short"

    @property
    def only_with_two_threads(self) -> bool:
        """Whether it is missed with two threads and reached with one."""
        return (
            self.verdict == "falls short" and self.one_thread is not None and self._reaches(self.one_thread, self.bar)
        )

    def _reaches(self, measured: float, limit: float) -> bool:
        return measured >= limit if self.more else measured <= limit


WIDE = "/moderate / /classify, 5 times the labels, 16:9 in two tiles"
PREDECESSOR, OPEN_CLIP = "predecessor / warm", "open_clip image tower / ours"
FLOOR, REQUEST = "image tower / floor", "warm / (image tower + decode)"
FOLDER = "a folder / the image tower alone, decoding aside"
FASTEST_PEER = "fastest peer within the same bounds / ours"
IN_OUR_HANDS = "cold start, seconds beside Python's own"

_RATIOS: tuple[tuple[str, str, tuple[str, ...], float, float | None, bool], ...] = (
    # what, dividend, divisor (a sum), bar, stretch, whether more is better
    (PREDECESSOR, "predecessor_ms", ("warm_ms",), 38, 60, True),
    (OPEN_CLIP, "open_clip_image_ms", ("image_tower_ms",), 6, 9, True),
    (FLOOR, "image_tower_ms", ("floor_ms",), 1.5, 1.3, False),
    (REQUEST, "warm_ms", ("image_tower_ms", "decode_ms"), 1.08, 1.05, False),
    ("new labels / warm", "new_labels_ms", ("warm_ms",), 1.4, 1.25, False),
    ("1000 labels / warm", "labels_1000_ms", ("warm_ms",), 1.25, 1.1, False),
    ("batch of 8, a picture / warm", "batch_8_ms_per_picture", ("warm_ms",), 0.8, 0.65, False),
    ("12-megapixel JPEG / warm", "jpeg_12mp_ms", ("warm_ms",), 2.6, 2, False),
    (
        *("/moderate / /classify, 5 times the labels, a square picture", "moderate_square_ms"),
        *(("classify_square_ms",), 1.1, None, False),
    ),
    (
        *(WIDE, "moderate_wide_ms"),
        *(("classify_wide_ms",), 1.75, None, False),
    ),
)


def bars(result: Mapping[str, Any]) -> Iterator[Bar]:
    """Return all bars, from what build/bench.json holds. Ratios are of two threads."""
    for name, dividend, divisor, bar, stretch, more in _RATIOS:
        one, two = (_ratio(result[threads], dividend, divisor) for threads in ("threads_1", "threads_2"))
        yield Bar(name=name, measured=two, one_thread=one, bar=bar, stretch=stretch, more=more)
    yield from _of_peers(result["peers"])
    yield from _of_outliers(result["outliers"])
    yield from _of_starts(result)
    yield Bar(name=FOLDER, measured=result["folder"]["ratio"], bar=1.15)
    worst = max(result["clients"].values())
    yield Bar(name="another service's form over our own, ms, the worst", measured=worst, bar=1.0)


def fastest_peer(peers: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the fastest of those that are within our bounds; None where none is."""
    within = [name for name, one in peers.items() if name != "ours" and one.get("within_bounds")]
    return min(within, key=lambda name: peers[name]["one_ms"], default=None)


def _ratio(figures: Mapping[str, float], dividend: str, divisor: tuple[str, ...]) -> float:
    return figures[dividend] / sum(figures[one] for one in divisor)


def _of_peers(peers: Mapping[str, Mapping[str, Any]]) -> Iterator[Bar]:
    ours, dynamic = peers["ours"], peers["onnx_int8"]
    for count, key, bar in (("1 picture", "one_ms", 1.10), ("8 pictures", "eight_ms", 1.15)):
        if key in dynamic:
            measured = ours[key] / dynamic[key]
            yield Bar(name=f"rows / one scale a tensor, {count}", measured=measured, bar=bar, stretch=1.0)
    fastest = fastest_peer(peers)
    if fastest is not None:
        measured = peers[fastest]["one_ms"] / ours["one_ms"]
        yield Bar(name=FASTEST_PEER, measured=measured, bar=1.0, stretch=1.5, more=True)


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
    yield Bar(name=IN_OUR_HANDS, measured=in_our_hands, bar=0.40, stretch=0.30)
    tiers = result["cold_moderation"]
    measured = tiers["precomputed_s"] / tiers["stored_s"]
    yield Bar(name="cold /moderate, labels precomputed / in the store", measured=measured, bar=1.0)
    yield Bar(name="peak memory, MB, text tower not loaded", measured=result["peak_mb"], bar=400, stretch=300)
