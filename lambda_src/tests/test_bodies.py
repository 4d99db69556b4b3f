"""Every form of body is taken; for one that cannot be, the answer says what it is and what to send."""

from __future__ import annotations

import gzip
import json

import pytest

from support.harness import Service
from support.pictures import as_base64, drawn, encoded
from test_http_contract import assert_problem

PICTURE = encoded(drawn("red", "circle"))
LABELS = ["a red circle", "a blue square"]


def test_a_form_is_answered_as_json_is(service: Service) -> None:
    as_json = service.classify(image_data=as_base64(PICTURE), labels=LABELS).json
    repeated = service.post_form(
        "/classify", [("image", PICTURE), ("label", b"a red circle"), ("label", b"a blue square")]
    )
    in_json = service.post_form("/classify", [("labels", json.dumps(LABELS).encode()), ("image", PICTURE)])
    assert repeated.json == in_json.json == as_json


def test_a_form_may_hold_several_pictures_and_every_field(service: Service) -> None:
    other = encoded(drawn("blue", "square"))
    parts = [("image", PICTURE), ("image", other), ("label_set", b"demo"), ("return_embedding", b"true")]
    answer = service.post_form("/classify", parts).json
    assert len(answer["results"]) == 2
    assert all("embedding" in one for one in answer["results"])
    questions = json.dumps({"colour": LABELS}).encode()
    assert "answers" in service.post_form("/classify", [("image", PICTURE), ("questions", questions)]).json


@pytest.mark.parametrize(
    ("parts", "status", "words"),
    [
        ([("label", b"a")], 422, ["image is missing", "part image"]),
        ([("image", PICTURE)], 422, ["labels is missing"]),
        ([("image", PICTURE), ("lable", b"a")], 422, ["'lable' in the form is not a field", "label"]),
        ([("image", PICTURE), ("label_set", b"a"), ("label_set", b"b")], 422, ["label_set is given twice in the form"]),
        ([("image", PICTURE), ("labels", b"[1")], 400, ["labels begins like JSON but is not"]),
        ([("image", PICTURE), ("label", b"\xff")], 400, ["'label'", "not text in UTF-8"]),
        ([("file", PICTURE), ("label", b"a")], 422, ["'file' of the form is a picture", "part image"]),
        ([("image", as_base64(PICTURE).encode()), ("label", b"a")], 422, ["picture in base64"]),
        ([("image", PICTURE), ("image", b"nothing"), ("label", b"a")], 415, ["image[1] is not a picture"]),
        ([("image", b"nothing"), ("label", b"a")], 415, ["image is not a picture"]),
        ([("image", PICTURE)] * 17 + [("label", b"a")], 413, ["image is given more than 16 times"]),
        ([("image", PICTURE), ("image_data", b"x"), ("label", b"a")], 422, ["'image_data' in the form"]),
    ],
)
def test_a_form_that_is_not_right_is_named(
    service: Service, parts: list[tuple[str, bytes]], status: int, words: list[str]
) -> None:
    assert_problem(service.post_form("/classify", parts), status, *words)


def post(
    service: Service, body: bytes, content_type: str | None, target: str = "/classify?label=a", **more: str
) -> object:
    headers = ({} if content_type is None else {"Content-Type": content_type}) | {
        name.replace("_", "-"): value for name, value in more.items()
    }
    return service.request("POST", target, body, headers)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        pytest.param(PICTURE, "video/mp4", 415, ["'video/mp4'", "Send single frames"], id="a video"),
        pytest.param(gzip.compress(PICTURE), "application/json", 415, ["compressed (gzip)"], id="gzip unannounced"),
        pytest.param(b"label=a", "application/x-www-form-urlencoded", 415, ["HTML form", "multipart"], id="HTML form"),
        pytest.param(b"--x", "multipart/form-data", 400, ["lacks its boundary"], id="no boundary"),
        pytest.param(b"", "multipart/form-data; boundary=x", 400, ["not a form"], id="an empty form"),
        pytest.param(b"<html>", "text/html", 400, ["not JSON"], id="HTML"),
        pytest.param(PICTURE, "application/json", 415, ["is a picture", "application/json"], id="a picture as JSON"),
        pytest.param(PICTURE, "text/plain", 415, ["is a picture", "text/plain"], id="a picture as text"),
        pytest.param(b"\x89\xff\x01\x02", "application/json", 400, ["not JSON, nor a picture"], id="bytes"),
        pytest.param('{"a": 1}'.encode("utf-16"), "application/json", 400, ["UTF-16"], id="UTF-16"),
        pytest.param(b" ", "application/json", 400, ["The body is empty"], id="nothing"),
    ],
)
def test_a_body_of_another_kind_is_called_what_it_is(
    service: Service, body: bytes, content_type: str, status: int, words: list[str]
) -> None:
    target = "/classify"
    reply = service.request("POST", target, body, {"Content-Type": content_type})
    assert_problem(reply, status, *words)
    assert b"utf-8" not in reply.body


def test_a_compressed_body_is_called_so(service: Service) -> None:
    body = gzip.compress(json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS}).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert_problem(service.request("POST", "/classify", body, headers), 415, "compressed", "'gzip'")


def test_a_byte_order_mark_before_json_does_not_matter(service: Service) -> None:
    body = json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS}).encode("utf-8-sig")
    assert service.request("POST", "/classify", body, {"Content-Type": "application/json"}).status == 200


@pytest.mark.parametrize("content_type", ["image/png", "multipart/form-data; boundary=x"])
def test_no_compressed_body_is_taken_for_a_plain_one(service: Service, content_type: str) -> None:
    headers = {"Content-Type": content_type, "Content-Encoding": "gzip"}
    reply = service.request("POST", "/classify?label=a", PICTURE, headers)
    assert_problem(reply, 415, "compressed", "'gzip'")


@pytest.mark.parametrize(("body", "kind"), [(b"", None), (b"\x00\x01", None), (b"", "application/json")])
def test_what_is_no_json_is_not_called_so_for_its_query(service: Service, body: bytes, kind: str | None) -> None:
    reply = service.request("POST", "/classify?label=a", body, {} if kind is None else {"Content-Type": kind})
    assert reply.status in (400, 415)
    assert "the body is JSON" not in reply.json["detail"]


@pytest.mark.parametrize("content_type", [None, "", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_picture_without_a_kind_is_a_picture_when_it_begins_like_one(
    service: Service, format: str, content_type: str | None
) -> None:
    """`curl --data-binary @picture.png` names the kind of an HTML form."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    target = "/classify?label=a+red+circle&label=a+star"
    reply = service.request("POST", target, encoded(drawn("red", "circle"), format), headers)
    assert reply.status == 200, reply.body
    assert list(reply.json["result"]) == ["a red circle", "a star"]


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/a.jpg",
        "s3://bucket/key",
        " HTTP://example.org",
        "blob:http://x",
        "www.x.org/a",
        "/home/me/x.png",
    ],
)
def test_an_address_is_called_one(service: Service, address: str) -> None:
    assert_problem(
        service.classify(image_data=address, labels=LABELS),
        400,
        "image_data is an address or a path",
        "nothing is fetched",
    )


@pytest.mark.parametrize("query", ["label=a", "label_set=demo", "view=pad"])
def test_fields_in_the_query_beside_json_or_a_form_are_refused(service: Service, query: str) -> None:
    name = query.split("=")[0]
    body = json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS})
    reply = service.request("POST", f"/classify?{query}", body, {"Content-Type": "application/json"})
    assert_problem(reply, 422, f"'{name}' is in the query, but the body is JSON")
    reply = service.post_form(f"/classify?{query}", [("image", PICTURE), ("label", b"a")])
    assert_problem(reply, 422, f"'{name}' is in the query, but the body is a form")


@pytest.mark.parametrize("query", ["lable=a&label=b", "labels=a&label=b", "policy=demo&label=a", "labelset=demo"])
def test_a_misspelt_name_in_the_query_is_refused(service: Service, query: str) -> None:
    reply = service.post_picture(PICTURE, query)
    assert_problem(reply, 422, f"'{query.split('=')[0]}' in the query is not a field", "label, label_set")


def test_a_gateways_token_in_the_query_is_not_a_field(service: Service) -> None:
    assert service.post_picture(PICTURE, "label=a&label=b&token=secret").status == 200
    body = json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS})
    assert service.request("POST", "/classify?token=secret", body, {"Content-Type": "application/json"}).status == 200


def test_a_slash_at_the_end_is_not_part_of_the_route(service: Service) -> None:
    body = json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS})
    assert service.request("POST", "/classify/", body, {"Content-Type": "application/json"}).status == 200


def test_probabilities_have_six_digits(service: Service) -> None:
    result = service.classify(image_data=as_base64(PICTURE), label_set="moderation").json["result"]
    assert all(float(f"{value:.6g}") == value for value in result.values())
    assert sum(result.values()) == pytest.approx(1.0, abs=1e-5)
