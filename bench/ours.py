"""The service as it is: its own handler, called with the whole event that API Gateway would send."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from moderator.handler import Handler, build_handler
from moderator.settings import Settings
from moderator.web.gateway import event_of

LABELS = ("gaming", "sport", "nudity", "violence", "a landscape")


class Ours:
    """One instance of the service, and requests to it."""

    def __init__(self, model_dir: Path, threads: int, cache_url: str = "", memory_labels: int = 10_000) -> None:
        self._handler: Handler = build_handler(
            replace(
                Settings(),
                model_dir=model_dir,
                threads=threads,
                cache_url=cache_url,
                memory_labels=memory_labels,
                cache_budget_ms=2000,
                max_seconds=600.0,  # the first request embeds every label that is measured, on however slow a machine
            )
        )

    def request(self, pictures: Iterable[bytes], labels: Iterable[str], many: bool = False) -> Callable[[], object]:
        """Return a request with these pictures and labels, ready to be sent again and again."""
        encoded = [base64.b64encode(picture).decode() for picture in pictures]
        fields = {"images": encoded} if many else {"image_data": encoded[0]}
        event = _event(json.dumps(fields | {"labels": list(labels)}))
        return lambda: self._ask(event)

    def moderation(self, picture: bytes, policy: str) -> Callable[[], object]:
        """Return a request for a verdict, ready to be sent again and again."""
        fields = {"image_data": base64.b64encode(picture).decode(), "policy": policy}
        event = _event(json.dumps(fields), "/moderate")
        return lambda: self._ask(event)

    def requests_with_new_labels(self, picture: bytes, count: int) -> Callable[[], object]:
        """Yield up to `count` requests, ready to be sent, each with five new labels."""
        encoded = base64.b64encode(picture).decode()
        events = iter(
            [
                _event(json.dumps({"image_data": encoded, "labels": [f"{label} number {number}" for label in LABELS]}))
                for number in range(count)
            ]
        )
        return lambda: self._ask(next(events))

    def _ask(self, event: dict[str, object]) -> object:
        response = self._handler(event, None)
        if response["statusCode"] != 200:
            raise RuntimeError(response["body"])
        return response


def _event(body: str, target: str = "/classify") -> dict[str, object]:
    return event_of(method="POST", target=target, headers={"content-type": "application/json"}, body=body.encode())
