"""On each client's route, whatever goes wrong: the answer is in its form, shows nothing of ours, and never says "safe".

A wrong token is the gateway's to answer: test_tokens.py and test_gateway.py have it for each client.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from moderator.errors import RequestError
from moderator.web.routes import ROUTES
from support.client_pictures import ALLOWED, BROKEN, NO_PICTURE, NOTHING, TOO_LARGE
from support.harness import Reply, Service
from support.pictures import as_base64, drawn, encoded

from . import test_misskey as misskey
from . import test_openai as sdk
from . import test_photoprism as photoprism
from . import test_pict_rs as pict_rs

JSON = {"Content-Type": "application/json"}
Asked = tuple[str | bytes, dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a client asks about pictures, and how it reads what it is answered: None is what was not judged."""

    ask: Callable[[Sequence[bytes]], Asked]
    read: Callable[[Reply], object]
    error: Callable[[Reply], bool]  # whether an answer is an error in its form
    content_type: str = "application/json"
    most: int | None = 16  # pictures; None: the form holds one


def as_openai(pictures: Sequence[bytes]) -> Asked:
    return json.dumps({"input": [sdk.image(one) for one in pictures]}), JSON


def as_aws(operation: str) -> Callable[[Sequence[bytes]], Asked]:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"RekognitionService.{operation}"}
    return lambda pictures: (json.dumps({"Image": {"Bytes": as_base64(pictures[0])}}), headers)


def as_photoprism(pictures: Sequence[bytes]) -> Asked:
    return photoprism.body_of([photoprism.data_url(one) for one in pictures]), JSON


def as_misskey(pictures: Sequence[bytes]) -> Asked:
    kind = f"multipart/form-data; boundary={misskey.BOUNDARY}"
    return misskey.form(*pictures), {"Content-Type": kind}


def one_of_aws(field: str) -> Form:
    return Form(
        ask=as_aws({"ModerationLabels": "DetectModerationLabels", "Labels": "DetectLabels"}[field]),
        read=lambda reply: reply.json.get(field),
        error=lambda reply: reply.status >= 400 and set(reply.json) == {"__type", "Message"},
        content_type="application/x-amz-json-1.1",
        most=None,
    )


def is_openais_error(reply: Reply) -> bool:
    return reply.status >= 400 and set(reply.json["error"]) == {"message", "type", "param", "code"}


def read_as_photoprism(reply: Reply) -> str | None:
    decisions = {one.decide(photoprism.UPLOAD_THRESHOLD) for one in photoprism.read(reply, number_of(reply))}
    return None if decisions == {"unavailable"} else " ".join(sorted(decisions))


def number_of(reply: Reply) -> int:
    return len(reply.json["result"]["nsfw"])


def is_unavailable(reply: Reply) -> bool:
    """An error of the request, or of each of its pictures."""
    return bool(photoprism.error_of(reply)) or all(one.get("reason") for one in reply.json["result"]["nsfw"])


def is_misskeys_error(reply: Reply) -> bool:
    if reply.status != 200:
        return set(reply.json) == {"success", "error"} and set(reply.json["error"]) == {"code", "message"}
    return any(not item["success"] and set(item["error"]) == {"code", "message"} for item in items_of(reply))


def items_of(reply: Reply) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = reply.json["result"]["results"]
    return items


FORMS = {
    "/v1/moderations": Form(ask=as_openai, read=lambda reply: reply.json.get("results"), error=is_openais_error),
    "/": one_of_aws("ModerationLabels"),
    "/ DetectLabels": one_of_aws("Labels"),
    "/v1/detect-images": Form(
        ask=as_misskey,
        read=lambda reply: (
            next((one for one in misskey.read(reply, len(items_of(reply))) if one), None)
            if reply.status == 200
            else None
        ),
        error=is_misskeys_error,
        most=10,
    ),
    "/hooks/pict-rs": Form(
        ask=lambda pictures: (pictures[0], {"Content-Type": "image/png"}),
        read=lambda reply: pict_rs.accepts(reply.status) or None,
        error=lambda reply: reply.body.startswith(b"Not judged, and refused: ") and reply.body.endswith(b"\n"),
        content_type="text/plain; charset=utf-8",
        most=None,
    ),
    "/api/v1/vision/nsfw": Form(ask=as_photoprism, read=read_as_photoprism, error=is_unavailable),
    "/api/v1/vision/labels": Form(
        ask=as_photoprism,
        read=lambda reply: reply.json["result"].get("labels"),
        error=lambda reply: bool(photoprism.error_of(reply)),
    ),
}
each_form = pytest.mark.parametrize("name", FORMS)


# Misskey's and the labels' forms look at the first frame, as their clients do.
BY_POLICY = ("/v1/moderations", "/", "/hooks/pict-rs", "/api/v1/vision/nsfw")


def send(service: Service, name: str, asked: Asked) -> Reply:
    body, headers = asked
    return service.request("POST", name.partition(" ")[0], body, headers)


def assert_not_judged(name: str, reply: Reply) -> None:
    form = FORMS[name]
    assert reply.headers["content-type"] == form.content_type
    assert form.error(reply), reply.body
    assert form.read(reply) is None
    shown = reply.body.decode()
    for ours in ("<", "Traceback", 'File "', ".py", "ZeroDivisionError", "machine", "moderator."):
        assert ours not in shown


def test_every_route_of_an_adapter_is_tried() -> None:
    missing = {route.path for route in ROUTES if route.adapter} - {name.partition(" ")[0] for name in FORMS}
    assert not missing, (
        f"{missing}: describe in FORMS how its client asks and reads, or nobody knows what it makes of errors."
    )


@each_form
def test_a_sound_picture_is_judged(demo: Service, name: str) -> None:
    """So that what the others find is not a reader that reads nothing."""
    reply = send(demo, name, FORMS[name].ask([ALLOWED]))
    assert FORMS[name].read(reply) is not None
    assert not FORMS[name].error(reply)


@each_form
@pytest.mark.parametrize("picture", [BROKEN, NO_PICTURE, NOTHING, TOO_LARGE], ids=["broken", "none", "empty", "large"])
def test_a_picture_that_cannot_be_read(demo: Service, name: str, picture: bytes) -> None:
    assert_not_judged(name, send(demo, name, FORMS[name].ask([picture])))


@each_form
@pytest.mark.parametrize("body", [b"", b"\x00\xff", b"{", b"null"], ids=["empty", "bytes", "cut short", "null"])
def test_a_body_that_is_none(demo: Service, name: str, body: bytes) -> None:
    _, headers = FORMS[name].ask([ALLOWED])
    assert_not_judged(name, send(demo, name, (body, headers)))


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.most])
def test_too_many_pictures(demo: Service, name: str) -> None:
    form = FORMS[name]
    most = form.most or 0
    assert form.read(send(demo, name, form.ask([ALLOWED] * most))) is not None
    reply = send(demo, name, form.ask([ALLOWED] * (most + 1)))
    assert reply.status == 413
    assert_not_judged(name, reply)


@each_form
def test_more_bytes_than_allowed(demo: Service, name: str) -> None:
    _, headers = FORMS[name].ask([ALLOWED])
    reply = send(demo, name, (bytes(10_500_000), headers))
    assert_not_judged(name, reply)


@each_form
def test_a_model_that_fails(failing: Service, name: str) -> None:
    reply = send(failing, name, FORMS[name].ask([ALLOWED]))
    assert reply.status == 500
    assert_not_judged(name, reply)


@each_form
@pytest.mark.parametrize("body", [BROKEN, NOTHING, b"{"], ids=["broken", "empty", "a body that is none"])
def test_nothing_of_what_was_refused_stays_in_memory(demo: Service, name: str, body: bytes) -> None:
    """An error that something on its own traceback keeps would stay, and its request with it, until a collection."""
    form, (_, headers) = FORMS[name], FORMS[name].ask([ALLOWED])
    asked = (body, headers) if body == b"{" else form.ask([body] * min(form.most or 1, 3))
    gc.collect()
    others = errors_in_memory()  # what other tests caught may still be there
    gc.disable()
    try:
        assert_not_judged(name, send(demo, name, asked))
        until = time.monotonic() + 5  # the server's thread may still be on its way out of the request
        while (left := errors_in_memory().keys() - others.keys()) and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        gc.enable()
    assert not left


def errors_in_memory() -> dict[int, RequestError]:
    """Return all errors of requests that there are, by their place, which is theirs as long as this is kept."""
    return {id(one): one for one in gc.get_objects() if issubclass(type(one), RequestError)}


@each_form
def test_a_query_with_a_mistake(demo: Service, name: str) -> None:
    path, _, more = name.partition(" ")
    reply = send(demo, f"{path}?flagg=review {more}", FORMS[name].ask([ALLOWED]))
    assert_not_judged(name, reply)


@pytest.fixture(scope="module")
def cut_off() -> bytes:
    """An animation in whose sound frames nothing is found, and whose last ones are missing."""
    frames = [drawn("green", "star").resize((96, 96)).quantize(8) for _ in range(12)]
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), number % 8)  # frames that are equal are merged
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=500)[:-60]


@pytest.mark.parametrize("name", BY_POLICY)
def test_an_animation_that_could_not_be_seen_to_its_end_is_not_safe(demo: Service, name: str, cut_off: bytes) -> None:
    assert_not_judged(name, send(demo, name, FORMS[name].ask([cut_off])))


def test_pict_rs_accepts_it_where_the_address_says_so(demo: Service, cut_off: bytes) -> None:
    reply = demo.request("POST", "/hooks/pict-rs?on_error=allow", cut_off, {"Content-Type": "image/gif"})
    assert (reply.status, reply.body[:24]) == (202, b"Not judged, and accepted")
