"""What can be seen of a stack from outside: its health, its cold starts, whether the store is used, and its latency."""

from __future__ import annotations

import io
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from PIL import Image

from tools.measure.caller import Answer, Caller
from tools.measure.trouble import Trouble

# At once: more than one instance has to answer, and a new account allows ten.
_AT_ONCE = 5
_BURSTS = 6
_BURSTS_FOR_STARTS = 3
# Not counted: the connection, and the labels of each instance that has not seen them.
_WARM_UP = 10
_LABELS = ("a video game", "a football match", "a person at a microphone", "a plate of food", "a city street at night")


@dataclass(frozen=True, kw_only=True)
class Starts:
    """Several instances asked at once."""

    instances: int
    asked: int
    cold_ms: tuple[float, ...]  # of the answers that waited for a start


@dataclass(frozen=True, kw_only=True)
class StoreUse:
    """Where a label that was new to the first instance came from when others were asked for it."""

    state: str
    counts: Mapping[str, int]  # of `memory`, `store` and `computed`
    pictures: int  # asked about in all

    @property
    def used(self) -> bool | None:
        """Whether another instance read it from the store; None where no other instance answered."""
        if self.counts.get("store"):
            return True
        return False if self.counts.get("computed") else None


@dataclass(frozen=True, kw_only=True)
class Warm:
    """One request after the other."""

    outside_ms: tuple[float, ...]
    service_ms: tuple[float, ...]
    pictures: int  # asked for in all, warm-up included


def health(caller: Caller) -> Answer:
    """Ask how the service is.

    Raises:
        Trouble: it is not well, or not this service.
    """
    answer = caller.get("/health?details")
    found = answer.json()
    if found.get("status") != "ok" or not isinstance(found.get("store"), dict):
        raise Trouble("Somebody answers at this URL, but not as this service does: take `pulumi stack output url`.")
    if "instance" not in found:
        raise Trouble("The service is older than this command: its /health knows no ?details. Deploy this version.")
    return answer


def starts(caller: Caller, first: Answer) -> Starts:
    """Ask several times at once, so that new instances have to start, and again where none had to.

    A request waited for a start where the instance that answered is younger than the request. `first` is the first one.
    """
    answers = [first]
    for _ in range(_BURSTS_FOR_STARTS):
        answers += _at_once(caller, health)
        cold = tuple(1000 * one.seconds for one in answers if _instance(one)["seconds"] < one.seconds)
        if len(cold) > 1:
            break
    return Starts(instances=len({_instance(one)["id"] for one in answers}), asked=len(answers), cold_ms=cold)


def _instance(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["instance"]
    return found


def store_use(caller: Caller, picture: bytes, state: str) -> StoreUse:
    """Ask for a label that nobody has seen, then several times at once, until another instance answers from the store.

    Raises:
        Trouble: the service does not say where its labels come from.
    """
    label = f"a measurement called {secrets.token_hex(6)}"
    first = _classify(caller, picture, [label])
    if first.label_cache.get("computed") != 1:
        raise Trouble("A label that nobody has seen was not computed: the header X-Label-Cache is missing or wrong.")
    counts: Counter[str] = Counter()
    pictures = 1
    for _ in range(_BURSTS if state != "none" else 0):
        pictures += _AT_ONCE
        for answer in _at_once(caller, lambda one: _classify(one, picture, [label])):
            counts += Counter(answer.label_cache)
        if counts["store"]:
            break
    return StoreUse(state=state, counts=counts, pictures=pictures)


def warm(caller: Caller, picture: bytes, requests: int) -> Warm:
    """Ask for one picture and five known labels, one request after the other on one connection."""
    answers = [_classify(caller, picture, _LABELS) for _ in range(_WARM_UP + requests)][_WARM_UP:]
    return Warm(
        outside_ms=tuple(1000 * answer.seconds for answer in answers),
        service_ms=tuple(answer.service_ms for answer in answers),
        pictures=_WARM_UP + requests,
    )


def drawn_picture() -> bytes:
    """Return a JPEG of 440 x 248, the size of a video's thumbnail: soft blotches with a camera's noise."""
    rng = np.random.default_rng(0)
    blotches = Image.fromarray(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)).resize(
        (440, 248), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(blotches, np.float32) + rng.normal(0, 6, (248, 440, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _classify(caller: Caller, picture: bytes, labels: tuple[str, ...] | list[str]) -> Answer:
    # %20 and not +, which a signature would not survive.
    query = urlencode([("label", label) for label in labels], quote_via=quote)
    return caller.ask("POST", f"/classify?{query}", picture, {"Content-Type": "application/octet-stream"})


def _at_once(caller: Caller, ask: Callable[[Caller], Answer]) -> list[Answer]:
    callers = [caller.another() for _ in range(_AT_ONCE)]
    for one in callers:
        one.connect()  # before, so that the requests arrive together
    together = threading.Barrier(_AT_ONCE)

    def wait_and_ask(one: Caller) -> Answer:
        together.wait()
        try:
            return ask(one)
        finally:
            one.close()

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(wait_and_ask, callers))
