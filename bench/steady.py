"""What a running instance takes, beside what it replaces."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from bench import floor, models, moderating, pictures
from bench.ours import LABELS, Ours
from bench.replaced import OpenClip
from bench.store import running_store
from bench.timing import calls, fastest
from moderator.clip.model import read_model
from moderator.clip.session import cpu_session, session_options
from moderator.clip.towers import Embeddings, ImageTower, TextTower
from moderator.pictures.decode import read_picture
from moderator.web.gateway import event_of

ROUNDS = 12
SLOW_ROUNDS = 4


def measure(threads: int) -> dict[str, float]:
    """Measure with `threads` threads; every figure is in milliseconds, of the fastest call."""
    auto, fp32 = models.exported("auto"), models.exported("fp32")
    thumbnail, many_labels = pictures.thumbnail(), [f"label number {number}" for number in range(1000)]
    preprocessing = read_model(auto).preprocessing
    seen = read_picture(thumbnail, preprocessing, max_pixels=10**8, name="thumbnail")
    pixels = np.stack(seen.frames[0].parts)
    scaled = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
    normalised = (scaled - scaled.mean()) / scaled.std()

    replaced = OpenClip(threads)
    body = json.dumps({"image_data": base64.b64encode(thumbnail).decode(), "labels": LABELS})
    plain = cpu_session(models.plain_image_tower(), threads=threads)
    tower = cpu_session(auto / "image.onnx", threads=threads, optimise=False)  # as the service loads it
    products = floor.Floor(floor.shapes(fp32 / "image.onnx"), threads)

    # The service writes its metrics to standard output, as it does in the Lambda; here they would mix with the table.
    with running_store() as url, Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):
        ours, with_store = Ours(auto, threads), Ours(auto, threads, url, memory_labels=1)
        figures = fastest(
            {
                "image_tower_ms": lambda: tower.run(None, {"pixels": pixels}),
                "floor_ms": products.run,
                "decode_ms": lambda: read_picture(thumbnail, preprocessing, max_pixels=10**8, name="thumbnail"),
                "warm_ms": ours.request([thumbnail], LABELS),
                "warm_store_ms": with_store.request([thumbnail], LABELS),
                "new_labels_ms": ours.requests_with_new_labels(thumbnail, calls(ROUNDS)),
                "new_labels_store_ms": with_store.requests_with_new_labels(thumbnail, calls(ROUNDS)),
                "labels_1000_ms": ours.request([thumbnail], many_labels),
                "labels_1000_store_ms": with_store.request([thumbnail], many_labels),
                "batch_8_ms": ours.request(pictures.thumbnails(8), LABELS, many=True),
                "jpeg_12mp_ms": ours.request([pictures.twelve_megapixels()], LABELS),
                "onnx_fp32_ms": lambda: plain.run(None, {"pixels": pixels}),
                "open_clip_image_ms": lambda: replaced.image_tower(normalised),
            },
            rounds=ROUNDS,
        )
        figures |= fastest(moderating.actions(ours), rounds=ROUNDS)
        figures |= fastest({"predecessor_ms": lambda: replaced.predecessor(body)}, rounds=SLOW_ROUNDS)
    figures["batch_8_ms_per_picture"] = figures.pop("batch_8_ms") / 8

    return figures


def products_of_the_image_tower() -> dict[str, float]:
    """Return the image tower's time by operator, in milliseconds a picture, with one thread."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    return operators(models.exported("auto") / "image.onnx", {"pixels": pixels})


def operators(tower: Path, feed: Mapping[str, Any], runs: int = 20) -> dict[str, float]:
    """Return a tower's milliseconds a run by operator, the longest first, loaded as the service loads it."""
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(threads=1, optimise=False)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(tower), options, providers=["CPUExecutionProvider"])
        for _ in range(runs):
            session.run(None, dict(feed))
        events = json.loads(Path(session.end_profiling()).read_text())
    totals: dict[str, float] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            operator = event["args"]["op_name"]
            totals[operator] = totals.get(operator, 0.0) + event["dur"] / 1000 / runs
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def company_shows() -> dict[str, bool]:
    """Return of each tower whether any embedding differs, in any bit, in company or on two threads."""
    model = read_model(models.exported("auto"))
    pixels = [
        read_picture(picture, model.preprocessing, max_pixels=10**8, name="thumbnail").frames[0].parts[0]
        for picture in pictures.thumbnails(8)
    ]
    found: dict[str, list[Embeddings]] = {"image": [], "text": []}
    for threads in (1, 2):
        image_tower, text_tower = ImageTower(model, threads=threads), TextTower(model, threads=threads)
        found["image"] += [image_tower.embed(pixels), np.concatenate([image_tower.embed([one]) for one in pixels])]
        found["text"] += [text_tower.embed(LABELS), np.concatenate([text_tower.embed([one]) for one in LABELS])]
    return {tower: not all(np.array_equal(one, ways[0]) for one in ways) for tower, ways in found.items()}


def start_event() -> dict[str, Any]:
    """Return the request that a cold start answers."""
    body = json.dumps({"image_data": base64.b64encode(pictures.thumbnail()).decode(), "labels": LABELS})
    return event_of(method="POST", target="/classify", headers={"content-type": "application/json"}, body=body.encode())


def moderation_event() -> dict[str, Any]:
    """Return the request for a verdict that a cold start answers."""
    fields = {"image_data": base64.b64encode(pictures.thumbnail()).decode(), "policy": moderating.POLICY}
    body = json.dumps(fields).encode()
    return event_of(method="POST", target="/moderate", headers={"content-type": "application/json"}, body=body)


def warm_store(model_dir: Path, url: str) -> None:
    """Put the starts' labels into the store."""
    with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):
        service = Ours(model_dir, 1, url)
        service.request([pictures.thumbnail()], LABELS)()
        service.moderation(pictures.thumbnail(), moderating.POLICY)()
