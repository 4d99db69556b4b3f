"""Eight clients for a minute, in every format and with many label sets, while the store fails and returns: `make soak`.

Every answer is held, digit for digit, to the one that the same question gets alone, from a service without a store.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import itertools
import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moderator.handler import build_handler
from moderator.settings import Settings
from moderator.telemetry import SERVICE
from support.harness import RedisServer, Service, free_port, serving
from support.pictures import as_base64, drawn, encoded
from support.server_process import server_process

CLIENTS = 8
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# The store comes and goes; the process forgets most labels, so that it is asked all the time.
UP_SECONDS, DOWN_SECONDS = 4.0, 2.0
SETTINGS = {"MEMORY_LABELS": "20", "CACHE_RETRY_SECONDS": "0.5"}


@dataclass(frozen=True)
class Asked:
    """A question as it goes over the wire, and its right answer."""

    target: str
    body: bytes
    content_type: str
    answer: Any


@dataclass
class Tried:
    """What the clients saw."""

    milliseconds: list[float] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def questions(alone: Service) -> list[Asked]:
    """Return every format with every label set, as a picture and as JSON, several pictures, and policies."""
    pictures = [
        encoded(drawn(colour, shape), format)
        for format, (colour, shape) in zip(
            FORMATS, itertools.cycle([("red", "circle"), ("blue", "square"), ("green", "star")]), strict=False
        )
    ]
    words = [
        f"a {colour} {shape}" for colour in ("red", "blue", "green", "grey") for shape in ("circle", "cat", "moon")
    ]
    label_sets = [words[start : start + count] for start in range(0, 12, 3) for count in (1, 3, 12)]
    asked = []
    for picture, labels in itertools.product(pictures, label_sets):
        query = "&".join(f"label={quote(label)}" for label in labels)
        asked.append((f"/classify?{query}", picture, "image/png"))
        asked.append(_json(image_data=as_base64(picture), labels=labels))
    several = [as_base64(picture) for picture in pictures]
    asked += [_json(images=several[:count], label_set="moderation") for count in (1, 3, 7)]
    asked.append(_json(image_data=several[0], labels={label: label.split()[1] for label in words}))
    asked += [("/moderate?policy=demo", picture, "image/png") for picture in pictures]
    asked += [_json("/moderate", images=several[:count], policy="moderation") for count in (1, 7)]
    asked += [_json("/moderate", image_data=several[0], policy=_policy(labels)) for labels in label_sets]
    return [Asked(*one, _answer(alone, *one)) for one in asked]


def _json(target: str = "/classify", **fields: Any) -> tuple[str, bytes, str]:
    return target, json.dumps(fields).encode(), "application/json"


def _policy(labels: Sequence[str]) -> dict[str, Any]:
    category = {"labels": labels, "against": ["a dog", "a tree"], "review": 0.5, "block": 0.9}
    return {"neutral": ["a street"], "categories": {"it": category}}


def _answer(service: Service, target: str, body: bytes, content_type: str) -> Any:
    reply = service.request("POST", target, body, {"Content-Type": content_type})
    assert reply.status == 200, reply
    return reply.json


def client(port: int, asked: Sequence[Asked], seed: int, until: float, tried: Tried) -> None:
    """Ask one question after the other over one connection."""
    choose = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while time.monotonic() < until:
        one = choose.choice(asked)
        began = time.perf_counter()
        try:
            connection.request("POST", one.target, one.body, {"Content-Type": one.content_type})
            response = connection.getresponse()
            body = response.read()
            milliseconds = (time.perf_counter() - began) * 1000
            right = response.status == 200 and json.loads(body) == one.answer
            sources = response.getheader("X-Label-Cache") or ""
        except (OSError, http.client.HTTPException) as error:
            body, milliseconds, right, sources = repr(error).encode(), 0.0, False, ""
            connection.close()
        with tried.lock:
            tried.milliseconds.append(milliseconds)
            for part in filter(None, sources.split(", ")):
                source, count = part.split("=")
                tried.labels[source] += int(count)
            if not right:
                tried.wrong.append(f"{one.target} {body[:300]!r}")
    connection.close()


def fail_and_return(store: RedisServer, stop: threading.Event) -> int:
    """Kill or freeze the store again and again, leave it running, and return how often it failed."""
    outages = 0
    while not stop.wait(UP_SECONDS):
        assert store.process is not None
        frozen = outages % 2 == 1
        if frozen:
            store.process.send_signal(signal.SIGSTOP)
        else:
            store.stop()
        stop.wait(DOWN_SECONDS)
        if frozen:
            store.process.send_signal(signal.SIGCONT)
        else:
            store.start()
        outages += 1
    return outages


def soak(seconds: float) -> dict[str, Any]:
    """Run it and report."""
    # Nobody reads the log and the metrics of the service that gives the right answers; the other's go to a file.
    log = logging.getLogger(SERVICE)
    level = log.level
    with contextlib.redirect_stdout(io.StringIO()), serving(build_handler(Settings())) as alone:
        log.setLevel(logging.WARNING)
        asked = questions(alone)
        log.setLevel(level)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = RedisServer(folder, free_port())
        store.start()
        try:
            with server_process(folder, SETTINGS | {"CACHE_URL": store.url}) as server:
                tried, stop, outages = Tried(), threading.Event(), []
                breaker = threading.Thread(target=lambda: outages.append(fail_and_return(store, stop)))
                until = time.monotonic() + seconds
                clients = [
                    threading.Thread(target=client, args=(server.service.port, asked, seed, until, tried))
                    for seed in range(CLIENTS)
                ]
                for thread in (breaker, *clients):
                    thread.start()
                for thread in clients:
                    thread.join()
                stop.set()
                breaker.join()
                peak = server.peak_bytes
        finally:
            store.stop()
    times = sorted(tried.milliseconds)
    return {
        "seconds": seconds,
        "clients": CLIENTS,
        "questions": len(asked),
        "requests": len(times),
        "wrong": len(tried.wrong),
        "first_wrong": tried.wrong[:5],
        "outages": outages[0],
        "labels": dict(tried.labels),
        "requests_per_second": round(len(times) / seconds, 1),
        "p50_ms": round(times[len(times) // 2], 1),
        "p99_ms": round(times[len(times) * 99 // 100], 1),
        "peak_mb": round(peak / 1e6),
        "cpus": os.cpu_count(),
    }


def main() -> int:
    """Soak, print and write the report; return 1 where an answer was wrong."""
    parser = argparse.ArgumentParser(description="Load the local server while its store fails and returns.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path("build/soak.json"))
    arguments = parser.parse_args()
    report = soak(arguments.seconds)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    print(
        f"{report['requests']} requests of {CLIENTS} clients in {report['seconds']:g} s: "
        f"{report['requests_per_second']} a second, p50 {report['p50_ms']} ms, p99 {report['p99_ms']} ms; "
        f"{report['outages']} outages of the store; {report['wrong']} answers wrong"
    )
    print("\n".join(report["first_wrong"]))
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
