"""What other services' forms cost over our own, for the same picture and question: run `python -m bench.clients`.

Whole requests, in turns, except for the image tower: it is the same for all, and it varies by more than what is
measured here, so a stand-in answers at once. The rest waits for nothing and runs on one thread, whose CPU time is
taken: other programs on the machine do not count.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import pictures
from moderator.clip.model import Model
from moderator.clip.towers import Embeddings, ImageTower
from moderator.handler import Towers, build_handler, load_towers
from moderator.pictures.preprocessing import Pixels
from moderator.settings import Settings
from moderator.web.gateway import event_of

ROUNDS = 200
MOST_MS = 1.0
# Each adapter's request, and the same question in our own form.
OWN = {
    "openai": "moderate",
    "rekognition": "moderate",
    "rekognition labels": "classify",
    "pict-rs": "moderate",
    "photoprism": "moderate",
    "photoprism labels": "classify",
    "misskey": "classify nsfw-five",
}
_BOUNDARY = "----formdata-undici-047364209846"


def requests(picture: bytes) -> dict[str, dict[str, Any]]:
    """Return the same picture as each client sends it; `moderate` is our own form."""
    text = base64.b64encode(picture).decode()
    url = f"data:image/jpeg;base64,{text}"
    part = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image0"; filename="0.png"\r\n'
    form = f"{part}Content-Type: image/jpeg\r\n\r\n".encode() + picture + f"\r\n--{_BOUNDARY}--\r\n".encode()
    openai = {"input": [{"type": "image_url", "image_url": {"url": url}}]}
    sets = {name: {"image_data": text, "label_set": name, "view": "tiles"} for name in ("nsfw-five", "moderation")}
    return {
        "moderate": _json("/moderate", {"image_data": text, "policy": "moderation"}),
        "classify": _json("/classify", sets["moderation"]),
        "classify nsfw-five": _json("/classify", sets["nsfw-five"]),
        "openai": _json("/v1/moderations", openai),
        "rekognition": _rekognition("DetectModerationLabels", text),
        "rekognition labels": _rekognition("DetectLabels", text),
        "pict-rs": _event("/hooks/pict-rs?policy=moderation", {"content-type": "image/jpeg"}, picture),
        "photoprism": _json("/api/v1/vision/nsfw", {"id": "1", "images": [url]}),
        "photoprism labels": _json("/api/v1/vision/labels", {"id": "1", "images": [url]}),
        "misskey": _event("/v1/detect-images", {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}, form),
    }


class _NoTower(ImageTower):
    """Answers the same embedding for every picture."""

    def __init__(self, model: Model, *, threads: int) -> None:
        super().__init__(model, threads=threads)
        self._one = np.zeros((1, model.embedding_size), np.float32)
        self._one[0, 0] = 1

    def embed(self, pictures: Sequence[Pixels]) -> Embeddings:
        return np.repeat(self._one, len(pictures), axis=0)


def _without_image_tower(model: Model, threads: int) -> Towers:
    return Towers(image=_NoTower(model, threads=threads), text=load_towers(model, threads).text)


def measure(rounds: int = ROUNDS) -> dict[str, float]:
    """Return each adapter's milliseconds over our own form for the same question."""
    # The service writes its metrics to standard output, as it does in the Lambda; here they would mix with the table.
    with Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):
        handler = build_handler(Settings(threads=1), load=_without_image_tower)
        asked = {name: _ask(handler, event) for name, event in requests(pictures.thumbnail()).items()}
        figures = _medians(asked, rounds)
    return {name: figures[name] - figures[own] for name, own in OWN.items()}


def main() -> None:
    """Print the table; fail where an adapter costs more than it may."""
    logging.disable(logging.INFO)  # a line for each request would hide the table
    figures = measure()
    for name, milliseconds in figures.items():
        print(f"{name:18} {milliseconds:+.3f} ms over our own form")
    sys.exit(int(max(figures.values()) >= MOST_MS))


def _medians(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            began = time.thread_time()
            action()
            if number:  # the first loads what is loaded late
                times[name].append((time.thread_time() - began) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def _ask(handler: Callable[[dict[str, Any], Any], dict[str, Any]], event: dict[str, Any]) -> Callable[[], object]:
    def ask() -> object:
        answer = handler(event, None)
        if answer["statusCode"] != 200:
            raise AssertionError(answer["body"])
        return answer

    return ask


def _json(path: str, content: Any) -> dict[str, Any]:
    return _event(path, {"content-type": "application/json"}, json.dumps(content).encode())


def _rekognition(operation: str, picture: str) -> dict[str, Any]:
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"RekognitionService.{operation}"}
    return _event("/", headers, json.dumps({"Image": {"Bytes": picture}}).encode())


def _event(target: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    return event_of(method="POST", target=target, headers=headers, body=body)


if __name__ == "__main__":
    main()
