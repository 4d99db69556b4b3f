"""Misskey's request, byte for byte as it sends it, and its answer, read as Misskey reads it."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest
from PIL import Image

from moderator.labels.label_sets import read_label_sets
from moderator.settings import Settings
from moderator.web.answers.misskey import CLASSES
from support.client_pictures import BROKEN, NO_PICTURE, NOTHING, TOO_LARGE
from support.harness import LAMBDA_SRC, Reply, Service, StartService
from support.pictures import drawn, encoded
from support.wire import exchange

# Each a 299x299 PNG, which is what Misskey makes of whatever was uploaded.
PICTURE = encoded(drawn("red", "circle").resize((299, 299)))
OTHER = encoded(drawn("green", "star").resize((299, 299)))
BOUNDARY = "----3568001226406014203968642433"

# Misskey's HttpRequestService sends with node-fetch; the second is Node's own fetch, which it has used at times. Both
# were recorded from Node 20, which was given the FormData of SensitiveMediaDetectionService.detectChunk.
NODE_FETCH = """POST /v1/detect-images HTTP/1.1
accept: */*
accept-encoding: gzip, deflate, br
authorization: Bearer {key}
content-length: {length}
content-type: {kind}
user-agent: Misskey/2026.7.0 (https://social.example.com)
Host: 127.0.0.1:{port}
Connection: keep-alive

"""
NODES_OWN = """POST /v1/detect-images HTTP/1.1
host: 127.0.0.1:{port}
connection: keep-alive
User-Agent: Misskey/2026.7.0 (https://social.example.com)
Authorization: Bearer {key}
content-type: {kind}
accept: */*
accept-language: *
sec-fetch-mode: cors
accept-encoding: gzip, deflate
content-length: {length}

"""


def form(*pictures: bytes, kind: str = "image/png") -> bytes:
    """The form of `detectChunk`, as node-fetch writes it: `image0` with the file `0.png`, no line's end at its end."""
    parts = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image{number}"; filename="{number}.png"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + picture
        + b"\r\n"
        for number, picture in enumerate(pictures)
    )
    return parts + f"--{BOUNDARY}--".encode()


def ask(
    service: Service,
    body: bytes,
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
    key: str = "a-key",
    head: str = NODE_FETCH,
) -> Reply:
    """Send a request byte for byte as Misskey does."""
    for name, value in (("{key}", key), ("{length}", str(len(body))), ("{kind}", content_type)):
        head = head.replace(name, value)
    return exchange(service, [head.replace("\n", "\r\n").encode(), body])


def read(reply: Reply, pictures: int) -> list[list[dict[str, Any]] | None]:
    """Read an answer as Misskey does: None is what it takes for not sensitive, after a line in its log."""
    if not 200 <= reply.status < 300:
        return [None] * pictures
    body = reply.json
    assert is_answer(body)
    if not body["success"]:
        return [None] * pictures
    items = body["result"]["results"]
    return [items[place]["predictions"] if items[place]["success"] else None for place in range(pictures)]


def is_answer(body: Any) -> bool:
    """The type guards of its service."""
    if body["success"] is False:
        return isinstance(body["error"]["code"], str)
    return body["success"] is True and all(map(is_item, body["result"]["results"]))


def is_item(item: Any) -> bool:
    if item["success"] is False:
        return isinstance(item["error"]["code"], str)
    return item["success"] is True and all(
        isinstance(one["className"], str) and isinstance(one["probability"], float) for one in item["predictions"]
    )


def judge(predictions: list[dict[str, Any]]) -> tuple[bool, bool]:
    """Its judgePrediction: sensitive above 0.5 of Sexy, Hentai or Porn; pornographic above 0.75 of Porn."""
    shares = {one["className"]: one["probability"] for one in predictions}
    return any(shares[name] > 0.5 for name in ("Sexy", "Hentai", "Porn")), shares["Porn"] > 0.75


def code(reply: Reply) -> tuple[int, str]:
    """An error of the whole request."""
    assert reply.headers["content-type"] == "application/json"
    assert set(reply.json) == {"success", "error"}
    assert is_answer(reply.json)
    return reply.status, reply.json["error"]["code"]


def item_code(reply: Reply, place: int = 0) -> str:
    assert reply.status == 200
    assert is_answer(reply.json)
    error: str = reply.json["result"]["results"][place]["error"]["code"]
    return error


class TestAnswers:
    def test_every_part_gets_the_five_classes_which_sum_to_1(self, service: Service) -> None:
        for predictions in read(ask(service, form(PICTURE, OTHER)), 2):
            assert predictions is not None
            assert {one["className"] for one in predictions} == CLASSES
            assert math.isclose(sum(one["probability"] for one in predictions), 1, abs_tol=1e-5)
            shares = [one["probability"] for one in predictions]
            assert shares == sorted(shares, reverse=True)

    def test_the_parts_are_answered_in_order_whatever_they_are_called(self, service: Service) -> None:
        one, other = read(ask(service, form(PICTURE, OTHER)), 2)
        assert read(ask(service, form(OTHER, PICTURE)), 2) == [other, one]
        renamed = form(PICTURE, OTHER).replace(b'name="image1"', b'name="image0"')
        assert read(ask(service, renamed), 2) == [one, other]

    def test_ten_parts_are_read(self, service: Service) -> None:
        assert all(read(ask(service, form(*[PICTURE] * 10)), 10))

    def test_nodes_own_writer_of_forms_is_read_too(self, service: Service) -> None:
        """Another boundary, and a line's end after the last one."""
        boundary = "----formdata-undici-029912916687"
        body = form(PICTURE, OTHER).replace(BOUNDARY.encode(), boundary.encode()) + b"\r\n"
        judged = read(ask(service, body, f"multipart/form-data; boundary={boundary}", head=NODES_OWN), 2)
        assert judged == read(ask(service, form(PICTURE, OTHER)), 2) != [None, None]

    @pytest.mark.parametrize(("kind", "format"), [("image/jpeg", "JPEG"), ("image/gif", "GIF"), ("image/bmp", "BMP")])
    def test_the_other_kinds_of_its_contract_are_read(self, service: Service, kind: str, format: str) -> None:
        assert read(ask(service, form(encoded(drawn(), format), kind=kind)), 1)[0]

    def test_a_picture_of_another_shape_is_seen_as_a_whole(self, service: Service) -> None:
        wide = Image.new("RGB", (598, 299), "white")
        nothing = read(ask(service, form(encoded(wide))), 1)
        wide.paste(drawn("red", "circle").resize((140, 140)), (0, 80))
        assert read(ask(service, form(encoded(wide))), 1) != nothing


class TestLabelSet:
    def test_it_has_five_classes_of_as_many_prompts(self) -> None:
        label_set = read_label_sets(Settings().label_sets_dir, max_labels=1000)["nsfw-five"]
        assert label_set.categories is not None
        assert set(label_set.categories) == CLASSES
        assert {label_set.categories.count(name) for name in CLASSES} == {6}

    @pytest.mark.parametrize("name", sorted(CLASSES))
    def test_misskey_judges_each_class_as_it_should(self, name: str) -> None:
        shares = dict.fromkeys(CLASSES, 0.02) | {name: 0.92}
        predictions = [{"className": one, "probability": share} for one, share in shares.items()]
        assert judge(predictions) == (name in ("Sexy", "Hentai", "Porn"), name == "Porn")


class TestMistakesOfAPart:
    """HTTP stays 200, and the other parts keep their answers."""

    @pytest.mark.parametrize(
        ("picture", "expected"),
        [
            (NOTHING, "INVALID_REQUEST"),
            (NO_PICTURE, "IMAGE_DECODE_FAILED"),
            (BROKEN, "IMAGE_DECODE_FAILED"),
            (TOO_LARGE, "REQUEST_TOO_LARGE"),
        ],
        ids=["nothing", "no picture", "broken", "too large"],
    )
    def test_a_picture_that_cannot_be_read(self, service: Service, picture: bytes, expected: str) -> None:
        reply = ask(service, form(PICTURE, picture, OTHER))
        assert item_code(reply, 1) == expected
        one, none, other = read(reply, 3)
        assert none is None
        assert [one, other] == read(ask(service, form(PICTURE, OTHER)), 2)
        assert item_code(ask(service, form(picture))) == expected

    def test_a_kind_that_its_contract_does_not_have(self, service: Service) -> None:
        assert item_code(ask(service, form(PICTURE, kind="image/svg+xml"))) == "UNSUPPORTED_MEDIA_TYPE"

    def test_a_part_that_is_no_file(self, service: Service) -> None:
        assert item_code(ask(service, form(PICTURE).replace(b'; filename="0.png"', b""))) == "INVALID_REQUEST"


class TestMistakesOfTheRequest:
    @pytest.mark.parametrize(
        "body",
        [b"", b"nothing like a form", form(), form(PICTURE)[:-20], form(PICTURE).replace(b"name=", b"nome=")],
        ids=["empty", "no form", "no parts", "cut short", "a part without a name"],
    )
    def test_what_is_no_form_is_an_invalid_request(self, service: Service, body: bytes) -> None:
        assert code(ask(service, body)) == (400, "INVALID_REQUEST")

    def test_no_boundary_is_an_invalid_request(self, service: Service) -> None:
        assert code(ask(service, form(PICTURE), "multipart/form-data")) == (400, "INVALID_REQUEST")

    def test_another_kind_of_body_is_unsupported(self, service: Service) -> None:
        assert code(ask(service, PICTURE, "image/png")) == (415, "UNSUPPORTED_MEDIA_TYPE")

    def test_eleven_parts_are_too_many(self, service: Service) -> None:
        assert code(ask(service, form(*[PICTURE] * 11))) == (413, "REQUEST_TOO_LARGE")

    def test_too_many_bytes_are_too_large_before_their_kind_is_looked_at(self, start_service: StartService) -> None:
        service = start_service(max_body_bytes=1000)
        assert code(ask(service, os.urandom(1001), "image/png")) == (413, "REQUEST_TOO_LARGE")

    def test_without_the_label_set_the_model_is_unavailable(self, start_service: StartService, tmp_path: Any) -> None:
        service = start_service(label_sets_dir=tmp_path)
        assert code(ask(service, form(PICTURE))) == (503, "MODEL_UNAVAILABLE")
        wrong = (LAMBDA_SRC / "label_sets/nsfw-five.json").read_text().replace('"Porn"', '"Other"')
        (tmp_path / "nsfw-five.json").write_text(wrong)
        assert code(ask(start_service(label_sets_dir=tmp_path), form(PICTURE))) == (503, "MODEL_UNAVAILABLE")

    def test_a_bug_is_a_failed_detection(self, failing: Service) -> None:
        reply = ask(failing, form(PICTURE))
        assert code(reply) == (500, "DETECTION_FAILED")
        assert b"machine" not in reply.body
