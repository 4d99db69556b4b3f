"""The HTTP contract: every form of input is taken, every mistake has its status and a sentence."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from moderator.web.instance import details
from moderator.web.routes import ROUTES
from support.harness import Reply, Service, StartService
from support.pictures import as_base64, drawn, encoded, noise
from support.towers import failing

PICTURE = encoded(drawn("red", "circle"))
LABELS = ["a red circle", "a blue square", "a green star"]


def assert_problem(reply: Reply, status: int, *words: str) -> None:
    """The answer is a problem document of this status whose detail names what is wrong, and no stack trace."""
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    for word in words:
        assert word in problem["detail"], problem
    assert b"Traceback" not in reply.body
    assert b".py" not in reply.body


class TestAnswers:
    def test_every_label_has_a_probability_in_the_order_asked_and_they_sum_to_1(self, service: Service) -> None:
        reply = service.classify(image_data=as_base64(PICTURE), labels=LABELS)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        result = reply.json["result"]
        assert list(result) == LABELS
        assert math.isclose(sum(result.values()), 1.0, abs_tol=1e-5)
        assert max(result, key=result.__getitem__) == "a red circle"

    def test_the_answer_names_the_model(self, service: Service) -> None:
        model = service.classify(image_data=as_base64(PICTURE), labels=LABELS).json["model"]
        assert model == service.get("/health").json["model"]
        assert len(model["fingerprint"]) == 16

    def test_the_headers_tell_times_and_where_the_labels_came_from(self, start_service: StartService) -> None:
        reply = start_service().classify(image_data=as_base64(PICTURE), labels=LABELS)
        times = dict(part.split(";dur=") for part in reply.headers["server-timing"].split(", "))
        assert list(times) == ["decode", "labels", "image", "total"]
        assert float(times["total"]) >= float(times["image"]) > 0
        assert reply.label_cache == {"precomputed": 0, "memory": 0, "store": 0, "computed": 3}

    def test_labels_with_categories_answer_the_sums_too(self, service: Service) -> None:
        labels = {"a red circle": "round", "a red square": "angular", "a blue circle": "round"}
        answer = service.classify(image_data=as_base64(PICTURE), labels=labels).json
        assert answer["categories"].keys() == {"round", "angular"}
        round_ones = answer["result"]["a red circle"] + answer["result"]["a blue circle"]
        assert math.isclose(answer["categories"]["round"], round_ones, rel_tol=1e-5)

    def test_a_label_set_answers_its_labels_and_categories(self, service: Service) -> None:
        moderation = {one["name"]: one for one in service.get("/label-sets").json["label_sets"]}["moderation"]
        answer = service.classify(image_data=as_base64(PICTURE), label_set="moderation").json
        assert list(answer["result"]) == moderation["labels"]
        assert answer["categories"].keys() == moderation["categories"].keys()
        assert math.isclose(sum(answer["categories"].values()), 1.0, abs_tol=1e-5)

    def test_several_pictures_are_answered_in_order(self, service: Service) -> None:
        pictures = [drawn("red", "circle"), drawn("blue", "square"), drawn("green", "star")]
        answer = service.classify(images=[as_base64(encoded(picture)) for picture in pictures], labels=LABELS).json
        best = [max(one["result"], key=one["result"].__getitem__) for one in answer["results"]]
        assert best == LABELS

    def test_one_picture_in_a_list_is_answered_in_a_list(self, service: Service) -> None:
        assert len(service.classify(images=[as_base64(PICTURE)], labels=LABELS).json["results"]) == 1

    def test_the_root_answers_as_classify_does(self, service: Service) -> None:
        body = json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS})
        assert service.request("POST", "/", body).json["result"] == service.post_json(body).json["result"]

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(as_base64(PICTURE).rstrip("="), id="no padding"),
            pytest.param(base64.urlsafe_b64encode(PICTURE).decode(), id="URL-safe alphabet"),
            pytest.param("\n".join(base64.encodebytes(PICTURE).decode().split()), id="lines"),
            pytest.param(f"  {as_base64(PICTURE)}\t", id="white space around"),
            pytest.param(f"data:image/png;base64,{as_base64(PICTURE)}", id="data URL"),
            pytest.param(f"data:image/svg+xml;charset=utf-8;base64,{as_base64(PICTURE)}", id="data URL with a lie"),
        ],
    )
    def test_every_form_of_base64_gives_the_same_answer(self, service: Service, text: str) -> None:
        plain = service.classify(image_data=as_base64(PICTURE), labels=LABELS).json["result"]
        assert service.classify(image_data=text, labels=LABELS).json["result"] == plain

    @pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", "IMAGE/JPEG; q=1"])
    def test_the_picture_itself_may_be_the_body(self, service: Service, content_type: str) -> None:
        query = "&".join(f"label={quote(label)}" for label in LABELS)
        as_json = service.classify(image_data=as_base64(PICTURE), labels=LABELS).json["result"]
        assert service.post_picture(PICTURE, query, content_type).json["result"] == as_json

    def test_a_label_in_the_query_may_hold_commas_and_plus_signs(self, service: Service) -> None:
        reply = service.post_picture(PICTURE, "label=red%2C+round&label=1%2B1")
        assert list(reply.json["result"]) == ["red, round", "1+1"]

    def test_a_label_set_may_be_named_in_the_query(self, service: Service) -> None:
        assert "categories" in service.post_picture(PICTURE, "label_set=moderation").json

    def test_null_counts_as_absent(self, service: Service) -> None:
        reply = service.classify(image_data=as_base64(PICTURE), images=None, labels=LABELS, label_set=None)
        assert reply.status == 200


class TestMistakes:
    """For each row of the table of statuses in docs/api.md, a test of every way into it."""

    @pytest.mark.parametrize("body", ["", "{", "[1, 2", '{"labels": [NaN]}', '{"a": 1} x', b"\xff\xfe", "[" * 10_000])
    def test_400_when_the_body_is_not_json(self, service: Service, body: str | bytes) -> None:
        assert_problem(service.post_json(body), 400, "not JSON", "image_data")

    @pytest.mark.parametrize("text", ["not base64!", "a", "ÄÖÜ", "iVBORw0KGgo*"])
    def test_400_when_the_base64_is_not_base64(self, service: Service, text: str) -> None:
        assert_problem(service.classify(image_data=text, labels=LABELS), 400, "image_data", "base64")
        assert_problem(service.classify(images=[as_base64(PICTURE), text], labels=LABELS), 400, "images[1]", "base64")

    def test_404_when_there_is_no_such_route(self, service: Service) -> None:
        assert_problem(service.get("/classifi"), 404, "/classify")

    @pytest.mark.parametrize(("method", "path"), [("GET", "/classify"), ("DELETE", "/"), ("POST", "/health")])
    def test_405_when_the_route_has_another_method(self, service: Service, method: str, path: str) -> None:
        reply = service.request(method, path)
        assert_problem(reply, 405, path)
        allowed = set(reply.headers["allow"].split(", "))
        assert allowed
        assert allowed <= {"GET", "POST"} - {method}

    def test_413_when_the_picture_has_too_many_pixels(self, start_service: StartService) -> None:
        reply = start_service(max_pixels=10_000).post_picture(encoded(noise(101, 100)), "label=a")
        assert_problem(reply, 413, "101 x 100", "10,000")

    def test_413_before_a_bomb_is_decoded(self, service: Service) -> None:
        header = bytearray(encoded(Image.new("L", (1, 1))))
        header[16:24] = (65_000).to_bytes(4, "big") * 2
        import zlib

        header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
        assert_problem(service.post_picture(bytes(header), "label=a"), 413, "65000 x 65000")

    def test_413_when_there_are_too_many_labels(self, service: Service) -> None:
        labels = [f"label {number}" for number in range(1001)]
        assert_problem(service.classify(image_data=as_base64(PICTURE), labels=labels), 413, "labels", "1,001", "1,000")
        as_object = dict.fromkeys(labels, "category")
        assert_problem(service.classify(image_data=as_base64(PICTURE), labels=as_object), 413, "1,001")
        assert_problem(service.post_picture(PICTURE, "label=a&" * 1001), 413, "label")

    def test_413_when_there_are_too_many_pictures(self, service: Service) -> None:
        assert_problem(service.classify(images=[as_base64(PICTURE)] * 17, labels=LABELS), 413, "images", "17", "16")

    def test_413_when_the_body_is_too_long(self, start_service: StartService) -> None:
        service = start_service(max_body_bytes=1000)
        assert_problem(service.post_json(" " * 1001), 413, "1,001")
        assert_problem(service.post_picture(bytes(1001), "label=a"), 413, "1,001")

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"<html></html>", id="HTML"),
            pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="SVG"),
            pytest.param(b"%PDF-1.7\n", id="PDF"),
            pytest.param(b"PK\x03\x04" + bytes(60), id="ZIP"),
            pytest.param(encoded(noise(8, 8), "PPM"), id="a format that Pillow knows and the contract does not"),
            pytest.param(encoded(noise(16, 16), "ICO"), id="an icon"),
        ],
    )
    def test_415_when_it_is_not_a_picture_that_is_read(self, service: Service, data: bytes) -> None:
        assert_problem(service.post_picture(data, "label=a"), 415, "The body", "JPEG, PNG, WebP")

    def test_415_names_the_picture_of_several(self, service: Service) -> None:
        images = [as_base64(PICTURE), as_base64(b"GIF87")]
        assert_problem(service.classify(images=images, labels=LABELS), 415, "images[1]")

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"labels": LABELS}, ["image_data is missing", "images"]),
            ({"image_data": "x"}, ["labels is missing", "label_set"]),
            ({"image_data": "x", "images": ["x"], "labels": LABELS}, ["image_data and images are both given"]),
            ({"image_data": "x", "labels": LABELS, "label_set": "moderation"}, ["labels and label_set are both given"]),
            ({"image_data": 5, "labels": LABELS}, ["image_data is a number", "must be a string"]),
            ({"image_data": "", "labels": LABELS}, ["image_data is empty"]),
            ({"images": "x", "labels": LABELS}, ["images is a string", "must be a list"]),
            ({"images": [], "labels": LABELS}, ["images is empty"]),
            ({"images": ["x", 1], "labels": LABELS}, ["images[1] is a number"]),
            ({"image_data": "x", "labels": "cat"}, ["labels is a string", "must be a list of labels or an object"]),
            ({"image_data": "x", "labels": []}, ["labels is empty"]),
            ({"image_data": "x", "labels": {}}, ["labels is empty"]),
            ({"image_data": "x", "labels": ["a", None]}, ["labels[1] is null", "must be a string"]),
            ({"image_data": "x", "labels": {"a": 1}}, ["labels['a'] is a number", "must be a string"]),
            ({"image_data": "x", "labels": {"a": " "}}, ["labels['a'] is empty"]),
            ({"image_data": "x", "labels": ["a", ""]}, ["labels[1] is empty"]),
            ({"image_data": "x", "labels": ["a", " \t"]}, ["labels[1] is empty"]),
            ({"image_data": "x", "labels": ["a", "b", "a"]}, ["labels[2] repeats labels[0]", "once"]),
            ({"image_data": "x", "labels": ["a", "b" * 2001]}, ["labels[1] has 2,001 characters", "2,000"]),
            ({"image_data": "x", "labels": ["\ud83d"]}, ["labels[0]", "surrogate"]),
            ({"image_data": "x", "label_set": "nonsense"}, ["'nonsense'", "moderation"]),
            ({"image_data": "x", "label_set": ""}, ["label_set is empty"]),
            ({"image_data": "x", "label_set": 3}, ["label_set is a number"]),
            ({"image_data": "x", "lables": LABELS}, ["'lables' is not a field", "labels"]),
            ([1], ["a list", "must be an object"]),
            (None, ["null", "must be an object"]),
        ],
    )
    def test_422_names_the_field_and_what_would_be_right(self, service: Service, fields: Any, words: list[str]) -> None:
        if isinstance(fields, dict):
            fields = {
                name: as_base64(PICTURE) if value == "x" else [as_base64(PICTURE)] if value == ["x"] else value
                for name, value in fields.items()
            }
        assert_problem(service.post_json(json.dumps(fields)), 422, *words)

    @pytest.mark.parametrize(
        "body", ['{"labels": ["a"], "labels": ["b"]}', '{"image_data": "", "labels": {"a": "x", "a": "y"}}']
    )
    def test_422_when_a_key_is_given_twice(self, service: Service, body: str) -> None:
        assert_problem(service.post_json(body), 422, "twice")

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("", ["label is missing", "?label=a"]),
            ("label=a&label_set=moderation", ["only one"]),
            ("label_set=a&label_set=b", ["label_set is given twice"]),
            ("label_set=nonsense", ["nonsense", "moderation"]),
            ("label=", ["label[0] is empty"]),
            ("label=a&label=a", ["label[1] repeats label[0]"]),
        ],
    )
    def test_422_when_the_query_is_not_right(self, service: Service, query: str, words: list[str]) -> None:
        assert_problem(service.post_picture(PICTURE, query), 422, *words)

    def test_422_when_a_label_is_longer_than_the_context_and_it_is_never_cut_off(self, service: Service) -> None:
        long = "a b c d e f g h i j " * 8
        assert_problem(service.classify(image_data=as_base64(PICTURE), labels=["a", long]), 422, "75 tokens")

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
    def test_422_when_the_picture_is_truncated(self, service: Service, format: str) -> None:
        whole = encoded(noise(64, 64), format)
        half = whole[: len(whole) // 2]
        assert_problem(service.classify(image_data=as_base64(half), labels=LABELS), 422, "image_data", "whole file")

    def test_500_is_counted_as_an_error_and_shows_nothing(self, start_service: StartService) -> None:
        reply = start_service(load=failing).classify(image_data=as_base64(PICTURE), labels=LABELS)
        assert_problem(reply, 500)
        assert b"a bug" not in reply.body
        assert b"ZeroDivision" not in reply.body


class TestOtherRoutes:
    def test_health_tells_the_model_and_that_there_is_no_store(self, service: Service) -> None:
        health = service.get("/health").json
        assert health["status"] == "ok"
        assert health["store"] == {"state": "none"}

    @pytest.mark.parametrize("query", ["details", "details=", "details=true", "details&from=somebody"])
    def test_health_tells_what_runs_it_where_that_is_asked_for(self, service: Service, query: str) -> None:
        plain, health = service.get("/health?details=false").json, service.get(f"/health?{query}").json
        assert plain.keys() == service.get("/health").json.keys() == health.keys() - {"instance", "processor"}
        assert health["instance"]["seconds"] > 0
        assert health["instance"]["peak_mb"] > 10
        assert health["instance"]["id"] == service.get("/health?details").json["instance"]["id"]
        assert len(health["processor"]["features"]) > 5
        assert health["processor"]["architecture"] in ("x86_64", "aarch64")

    @pytest.mark.parametrize("query", ["details=yes", "details=1", "details&details", "details=true&details=false"])
    def test_422_when_details_is_not_right(self, service: Service, query: str) -> None:
        assert_problem(service.get(f"/health?{query}"), 422, "details takes true, false")

    def test_openapi_describes_every_route(self, service: Service) -> None:
        document = service.get("/openapi.json").json
        assert document["openapi"].startswith("3.1")
        assert {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods} == {
            route.key for route in ROUTES
        }
        assert document["components"]["schemas"]["ClassifyRequest"]["properties"].keys() == {
            "image_data",
            "images",
            "embedding",
            "view",
            "return_embedding",
            "labels",
            "label_set",
            "questions",
        }

    def test_the_example_in_openapi_can_be_tried_as_it_is(self, service: Service) -> None:
        properties = service.get("/openapi.json").json["components"]["schemas"]["ClassifyRequest"]["properties"]
        (picture,) = (one["examples"][0] for one in properties["image_data"]["anyOf"] if "examples" in one)
        (labels,) = properties["labels"]["examples"]
        assert service.classify(image_data=picture, labels=labels).status == 200


def test_every_readable_format_is_read(service: Service) -> None:
    picture = drawn("blue", "square")
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        reply = service.classify(image_data=as_base64(encoded(picture, format)), labels=LABELS)
        assert reply.status == 200, format
        result = reply.json["result"]
        assert max(result, key=result.__getitem__) == "a blue square", format


def test_of_an_animated_picture_the_first_frame_counts(service: Service) -> None:
    buffer = io.BytesIO()
    first, second = drawn("red", "circle"), drawn("blue", "square")
    first.save(buffer, "GIF", save_all=True, append_images=[second.resize(first.size)])
    result = service.classify(image_data=as_base64(buffer.getvalue()), labels=LABELS).json["result"]
    assert max(result, key=result.__getitem__) == "a red circle"


def test_the_processors_of_lambda_are_read(tmp_path: Path) -> None:
    """Graviton2 as Linux shows it: no name, and features in the place of flags."""
    cpuinfo = tmp_path / "cpuinfo"
    cpu = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
    cpuinfo.write_text(f"{cpu}\n{cpu}\n")
    processor = details(cpuinfo)["processor"]
    assert (processor["name"], processor["features"]) == ("0x41 0xd0c", ["fp", "asimd", "asimddp"])
    assert details(tmp_path / "nowhere")["processor"]["features"] == []
