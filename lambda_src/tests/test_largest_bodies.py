"""However a body of the largest size is filled, whichever field it fills: under 300 MB and a second, and no 5xx."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from moderator.settings import Settings
from support.harness import Reply
from support.pictures import as_base64, drawn, encoded
from support.probe import BYTES, Probe
from support.server_process import server_process
from support.tally import Tally

pytestmark = pytest.mark.slow

LARGEST = Settings().max_body_bytes
PICTURE = as_base64(encoded(drawn("red", "circle")))

# What fills a value, repeated until the body is full: texts, lists, objects and numbers.
TEXTS = {
    "one letter": "A",
    "white space": " ",
    "semicolons of a data URL": ";",
    "commas": ",",
    "escaped quotes": '\\"',
    "escaped letters": "\\u0100",
    "letters of three bytes": "\u4e00",
    "letters of four bytes": "\U0001f600",
    "halves of surrogate pairs": "\\ud800",
    "brackets": "[{",
}
VALUES = {
    "numbers": "1,",
    "fractions": "1.5,",
    "letters": '"a",',
    "letters beyond Latin": '"\u0100",',
    "lists": "[],",
    "lists of lists": "[[]],",
    "deep lists": "[" * 400 + "]" * 400 + ",",
    "objects": "{},",
    "objects of objects": '{"a":{"a":{}}},',
    "nothing": "null,",
}
# Where it stands: the body around it.
CLASSIFY = {
    "image_data": '{"labels":["a","b"],"image_data":%s}',
    "a data URL": '{"labels":["a","b"],"image_data":%s}',
    "images": '{"labels":["a","b"],"images":[%s]}',
    "embedding": '{"labels":["a","b"],"embedding":%s}',
    "labels": f'{{"image_data":"{PICTURE}","labels":%s}}',
    "a label": f'{{"image_data":"{PICTURE}","labels":["a",%s]}}',
    "a label with a category": f'{{"image_data":"{PICTURE}","labels":{{"a":"b","c":%s}}}}',
    "label_set": f'{{"image_data":"{PICTURE}","label_set":%s}}',
    "a question": f'{{"image_data":"{PICTURE}","questions":{{"q":%s}}}}',
    "view": f'{{"image_data":"{PICTURE}","labels":["a","b"],"view":%s}}',
    "return_embedding": f'{{"image_data":"{PICTURE}","labels":["a","b"],"return_embedding":%s}}',
    "a field that there is not": f'{{"image_data":"{PICTURE}","labels":["a","b"],"more":%s}}',
    "nothing": "%s",
}
MODERATE = {
    "policy": f'{{"image_data":"{PICTURE}","policy":%s}}',
    **{
        f"a policy's {field}": f'{{"image_data":"{PICTURE}","policy":{{"neutral":["a"],%s}}}}' % inner
        for field, inner in {
            "description": '"description":%s,"categories":{"c":{"labels":["b"],"block":0.5}}',
            "categories": '"categories":%s',
            "category": '"categories":{"c":%s}',
            "label": '"categories":{"c":{"labels":["b",%s],"block":0.5}}',
            "against": '"categories":{"c":{"labels":["b"],"against":%s,"block":0.5}}',
            "threshold": '"categories":{"c":{"labels":["b"],"block":%s}}',
            "calibration": '"calibration":%s,"categories":{"c":{"labels":["b"],"block":0.5}}',
            "other names": '"categories":{"c":{"labels":["b"],"block":0.5,"as":{"openai":%s}}}',
        }.items()
    },
}
OTHERS = {
    "/v1/moderations": {
        "input": '{"model":"m","input":%s}',
        "model": f'{{"model":%s,"input":["{PICTURE}"]}}',
        "url": '{"input":[{"type":"image_url","image_url":{"url":%s}}]}',
    },
    "/": {
        "Bytes": '{"Image":{"Bytes":%s}}',
        "MinConfidence": f'{{"Image":{{"Bytes":"{PICTURE}"}},"MinConfidence":%s}}',
    },
    "/api/v1/vision/nsfw": {"images": '{"id":"x","images":[%s]}', "id": f'{{"images":["{PICTURE}"],"id":%s}}'},
}
AS_AWS_DOES = {
    "X-Amz-Target": "RekognitionService.DetectModerationLabels",
    "Content-Type": "application/x-amz-json-1.1",
}


@dataclass(frozen=True, kw_only=True)
class Body:
    """One body of the largest size."""

    name: str
    target: str
    content: bytes
    headers: dict[str, str]


def filled(around: str, value: str, unit: str, *, start: str = "") -> bytes:
    before, after = around.replace("%s", "\0", 1).split("\0")
    opening, closing = ('"', '"') if value == "text" else ("[", "0]")
    room = LARGEST - len((before + after + opening + closing + start).encode())
    return (before + opening + start + unit * (room // len(unit.encode())) + closing + after).encode()


def json_bodies() -> Iterator[Body]:
    places = {"/classify": CLASSIFY, "/moderate": MODERATE, **OTHERS}
    for target, fields in places.items():
        headers = AS_AWS_DOES if target == "/" else {"Content-Type": "application/json"}
        for field, around in fields.items():
            start = "data:" if field == "a data URL" else ""
            for name, unit in TEXTS.items():
                content = filled(around, "text", unit, start=start)
                yield Body(name=f"{target} {field}: {name}", target=target, content=content, headers=headers)
            for name, unit in VALUES.items():
                content = filled(around, "list", unit)
                yield Body(name=f"{target} {field}: {name}", target=target, content=content, headers=headers)


def form_bodies() -> Iterator[Body]:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
    image = part % b"image" + encoded(drawn("red", "circle")) + b"\r\n"
    targets = {"/classify": [b"labels", b"label", b"label_set", b"questions", b"more"], "/moderate": [b"policy"]}
    for target, fields in targets.items():
        for field in fields:
            for name, unit in itertools.chain(TEXTS.items(), VALUES.items()):
                head = image + part % field + (b"" if unit in TEXTS.values() else b"[")
                tail = b"\r\n--b--\r\n"
                room = LARGEST - len(head) - len(tail)
                content = head + unit.encode() * (room // len(unit.encode())) + tail
                yield Body(
                    name=f"{target} form, {field.decode()}: {name}", target=target, content=content, headers=headers
                )
    for name, bytes_of in {
        "empty parts": part % b"label" + b"\r\n",
        "parts without a name": b"--b\r\n\r\n\r\n",
        "line ends": b"\r\n",
        "boundaries": b"--b\r\n",
        "half boundaries": b"\r\n--",
        "pictures": part % b"image" + b"\r\n",
    }.items():
        content = bytes_of * ((LARGEST - 10) // len(bytes_of)) + b"--b--\r\n"
        for target in ("/classify", "/v1/detect-images"):
            yield Body(name=f"{target} form of {name}", target=target, content=content, headers=headers)
    content = b"--b\r\n" + b"X-More: 1\r\n" * ((LARGEST - 20) // 11) + b"\r\n--b--\r\n"
    yield Body(name="/classify form with a long head", target="/classify", content=content, headers=headers)


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    with server_process(tmp_path_factory.mktemp("largest"), {"POWERTOOLS_METRICS_DISABLED": "true"}) as server:
        for target in ("/classify?label=a&label=b", "/moderate?policy=demo"):  # what is loaded by the first request
            body = encoded(drawn("red", "circle"))
            assert server.service.request("POST", target, body, {"Content-Type": "image/png"}).status == 200
        yield Probe(server)


@pytest.fixture(scope="module")
def idle(probe: Probe) -> int:
    """What the server holds before the first of all these bodies: what it keeps of one is not the next one's own."""
    return probe.server.resident_bytes


@pytest.mark.parametrize(("of", "bodies"), [("JSON", json_bodies), ("forms", form_bodies)])
def test_no_body_of_the_largest_size_takes_more_than_a_picture_may(
    of: str, bodies: Callable[[], Iterator[Body]], probe: Probe, idle: int, tally: Tally
) -> None:
    worst: tuple[int, str] = (0, "")
    for body in bodies():
        assert LARGEST - 5000 < len(body.content) <= LARGEST, body.name

        def ask(body: Body = body) -> Reply:
            return probe.server.service.request("POST", body.target, body.content, body.headers)

        reply = probe.ask(body.name, ask)
        assert reply.status < 500, f"{body.name}: {reply.status} {reply.body[:200]!r}"
        assert b"Traceback" not in reply.body
        tally.add(
            "Requests", f"Bodies of 10 MB, {of}: every field, filled in every way", f"answered with {reply.status}"
        )
        worst = max(worst, (probe.server.peak_bytes - idle, body.name))
    most, name = worst
    assert 0 < most < BYTES, name
    tally.add("Requests", f"The most memory that one of them took above idle, {of}", f"{most / 1e6:.0f} MB ({name})")


def test_the_server_answers_as_before(probe: Probe) -> None:
    assert probe.picture("a red circle", encoded(drawn("red", "circle"))).json["result"]["a red circle"] > 0.5
    assert "Traceback" not in probe.server.log
