"""PhotoPrism's requests, byte for byte as its vision service's client makes them, and answers read as it reads them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from support.client_pictures import ALLOWED, BLOCKED, REVIEWED, UNREADABLE
from support.harness import Reply, Service, StartService
from support.pictures import as_base64, drawn, encoded
from support.wire import exchange

ID = "5f0e1b0c-7a3c-4f3c-9d7d-3f6f0f1f2a3b"
UPLOAD_THRESHOLD = 0.75  # DefaultNSFWThreshold, of a remote detector


def body_of(images: Sequence[str]) -> bytes:
    """The request as Go's encoding/json writes the fields that are not empty, and those without `omitempty`."""
    content = {"id": ID, "suffix": "", "stream": False, "images": list(images)}
    return json.dumps(content, separators=(",", ":")).encode()


def data_url(data: bytes, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{as_base64(data)}"


def post(service: Service, path: str, body: bytes, key: str = "a-key", kind: str = "application/json") -> Reply:
    """Send a request byte for byte as Go's net/http writes that of PerformApiRequest: recorded from such a program."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{{port}}\r\nUser-Agent: Go-http-client/1.1\r\n"
        f"Content-Length: {len(body)}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {kind}\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    return exchange(service, [head.encode(), body])


def ask(service: Service, *pictures: bytes, query: str = "", key: str = "a-key") -> Reply:
    return post(service, f"/api/v1/vision/nsfw{query}", body_of([data_url(one) for one in pictures]), key)


@dataclass(frozen=True)
class Result:
    """nsfw.Result; a field that is absent has Go's zero value."""

    status: str
    score: np.float32
    score_is_set: bool
    classes: dict[str, np.float32]

    def decide(self, threshold: float) -> str:
        """Result.Decide of 2026: a score goes before classes, and both before the status."""
        if self.score_is_set or self.score != 0:
            score = self.score
        elif any(self.classes.values()):
            score = max(self.classes[name] for name in ("Porn", "Sexy", "Hentai"))
        else:
            return self.status
        return "unsafe" if score >= np.float32(threshold) else "safe"

    def decide_2025(self, threshold: float) -> bool:
        """Result.IsNsfw of 2025, which knows only the classes."""
        if self.classes["Neutral"] > 0.25:
            return False
        return any(self.classes[name] > threshold for name in ("Porn", "Sexy", "Hentai"))


def read(reply: Reply, pictures: int) -> list[Result]:
    """ApiResponse and normalizeNsfwResults: as many results as pictures, the missing ones undecided."""
    body = json.loads(reply.body)
    for name, kind in (("id", str), ("code", int), ("error", str), ("model", dict), ("result", dict)):
        assert isinstance(body.get(name, kind()), kind), name
    results = [result_of(one) for one in body.get("result", {}).get("nsfw", [])]
    assert len(results) in (0, pictures)
    return results or [result_of({})] * pictures


def result_of(fields: dict[str, Any]) -> Result:
    numbers = ("score", "threshold", "Drawing", "Hentai", "Neutral", "Porn", "Sexy")
    for name in numbers:
        assert isinstance(fields.get(name, 0.0), float), name
    for name in ("status", "reason"):
        assert isinstance(fields.get(name, ""), str), name
    return Result(
        status=fields["status"] if fields.get("status") in ("safe", "unsafe") else "unavailable",
        score=np.float32(fields.get("score", 0)),
        score_is_set=fields.get("score") is not None,
        classes={name: np.float32(fields.get(name, 0)) for name in numbers[2:]},
    )


def error_of(reply: Reply) -> str:
    """PerformApiRequest of 2026 and Err of 2025: a status from 300 on, or a code from 400 on, is an error."""
    body = json.loads(reply.body)
    if reply.status >= 300:
        return str(body.get("error") or f"status {reply.status}")
    return str(body.get("error") or "") if body.get("code", 0) >= 400 else ""


def assert_unavailable(reply: Reply, status: int, name: str, pictures: int) -> None:
    """An error to PhotoPrism; and to a version that reads the rows all the same, pictures that were not judged."""
    assert reply.headers["content-type"] == "application/json"
    body = reply.json
    assert (reply.status, body["code"], body["id"]) == (status, status, name)
    assert error_of(reply) == body["error"] != ""
    assert body["result"] == {"nsfw": [{"status": "unavailable", "reason": body["error"]}] * pictures}
    for threshold in (0.0001, UPLOAD_THRESHOLD, 1):
        assert {one.decide(threshold) for one in read(reply, pictures)} == {"unavailable"}


class TestNsfw:
    @pytest.mark.parametrize("threshold", [0.01, 0.5, UPLOAD_THRESHOLD, 0.98, 1.0])
    def test_the_policys_decision_holds_whatever_photoprisms_threshold(self, demo: Service, threshold: float) -> None:
        results = read(ask(demo, ALLOWED, BLOCKED, REVIEWED), 3)
        assert [one.decide(threshold) for one in results] == ["safe", "unsafe", "safe"]
        strict = read(ask(demo, REVIEWED, ALLOWED, query="?flag=review"), 2)
        assert [one.decide(threshold) for one in strict] == ["unsafe", "safe"]

    def test_a_version_that_knows_only_the_classes_decides_likewise(self, demo: Service) -> None:
        results = read(ask(demo, ALLOWED, BLOCKED), 2)
        assert [one.decide_2025(0.75) for one in results] == [False, True]

    def test_the_status_says_the_same_and_so_do_the_number_and_its_threshold(self, demo: Service) -> None:
        answer = ask(demo, ALLOWED, BLOCKED).json
        assert (answer["id"], answer["code"]) == (ID, 200)
        assert (answer["model"]["type"], answer["model"]["name"]) == ("nsfw", "demo-shapes")
        for one, status in zip(answer["result"]["nsfw"], ("safe", "unsafe"), strict=True):
            assert one["status"] == status
            assert (one["score"] >= one["threshold"]) == (status == "unsafe")
        assert answer["result"]["nsfw"][1]["reasons"][0]["category"] == "red circles"

    def test_a_content_type_with_its_charset_is_read_too(self, demo: Service) -> None:
        kind = "application/json; charset=utf-8"
        reply = post(demo, "/api/v1/vision/nsfw", body_of([data_url(BLOCKED)]), kind=kind)
        assert [one.status for one in read(reply, 1)] == ["unsafe"]

    def test_review_is_unsafe_where_the_setting_says_so_and_a_policy_may_be_named(
        self, start_service: StartService
    ) -> None:
        service = start_service(flag_from="review")
        assert [one.status for one in read(ask(service, REVIEWED, query="?policy=demo"), 1)] == ["unsafe"]
        assert [one.status for one in read(ask(service, REVIEWED, query="?policy=demo&flag=block"), 1)] == ["safe"]
        assert (
            ask(service, ALLOWED).json["model"]["version"]
            != ask(service, ALLOWED, query="?policy=demo").json["model"]["version"]
        )


class TestWhatCannotBeJudged:
    @pytest.mark.parametrize("name", UNREADABLE)
    def test_it_is_unavailable_and_the_other_pictures_keep_their_answers(self, demo: Service, name: str) -> None:
        for pictures, expected in (
            ((UNREADABLE[name],), ["unavailable"]),
            ((BLOCKED, UNREADABLE[name], ALLOWED), ["unsafe", "unavailable", "safe"]),
        ):
            reply = ask(demo, *pictures)
            assert reply.status == 200
            assert [one.decide(UPLOAD_THRESHOLD) for one in read(reply, len(pictures))] == expected
        assert ask(demo, UNREADABLE[name]).json["result"]["nsfw"][0]["reason"].startswith("images[0] ")

    def test_an_address_is_not_fetched_and_so_unavailable(self, demo: Service) -> None:
        reply = post(demo, "/api/v1/vision/nsfw", body_of(["https://photos.example.com/api/v1/dl/abc"]))
        (result,) = read(reply, 1)
        assert result.decide(UPLOAD_THRESHOLD) == "unavailable"
        assert "nothing is fetched" in reply.json["result"]["nsfw"][0]["reason"]

    @pytest.mark.parametrize(
        ("body", "status", "name", "pictures"),
        [
            (b"", 400, "", 1),
            (b"{", 400, "", 1),
            (b"[]", 422, "", 1),
            (body_of([]), 422, ID, 1),
            (b'{"id":"1","url":"https://photos.example.com/a.jpg","images":[]}', 422, "1", 1),
            (b'{"images":[1,2]}', 422, "", 2),
            (b'{"id":7,"images":["",""]}', 422, "", 2),
            (body_of([data_url(ALLOWED)] * 17), 413, ID, 17),
            (body_of([""] * 1000), 413, ID, 100),
        ],
        ids=["empty", "no JSON", "a list", "no picture", "an address", "numbers", "no id", "17 pictures", "a thousand"],
    )
    def test_a_mistake_of_the_request_makes_every_picture_unavailable(
        self, demo: Service, body: bytes, status: int, name: str, pictures: int
    ) -> None:
        """As far as the number is known; PhotoPrism takes those without a row for unavailable by itself."""
        reply = post(demo, "/api/v1/vision/nsfw", body)
        assert_unavailable(reply, status, name, pictures)

    @pytest.mark.parametrize(
        ("body", "status"), [(b"", 400), (body_of([]), 422), (body_of([data_url(ALLOWED)] * 17), 413)]
    )
    def test_a_mistake_of_the_request_has_no_labels(self, demo: Service, body: bytes, status: int) -> None:
        reply = post(demo, "/api/v1/vision/labels", body)
        assert (reply.status, reply.json["code"], reply.json["result"]) == (status, status, {})
        assert error_of(reply) == reply.json["error"] != ""

    @pytest.mark.parametrize("query", ["?policy=nothing", "?flag=everything", "?policy=", "?label_set=demo"])
    def test_a_mistake_in_the_uri_is_unavailable_not_safe(self, demo: Service, query: str) -> None:
        assert_unavailable(ask(demo, BLOCKED, ALLOWED, query=query), 422, ID, 2)

    @pytest.mark.parametrize("pictures", [1, 3])
    def test_a_bug_is_unavailable_and_shows_nothing(self, failing: Service, pictures: int) -> None:
        reply = ask(failing, *[ALLOWED] * pictures)
        assert_unavailable(reply, 500, ID, pictures)
        assert b"machine" not in reply.body


class TestLabels:
    def ask(self, service: Service, *pictures: bytes) -> Reply:
        return post(service, "/api/v1/vision/labels", body_of([data_url(one) for one in pictures]))

    def test_the_probable_labels_come_with_their_categories(self, demo: Service) -> None:
        answer = self.ask(demo, BLOCKED).json
        (label,) = answer["result"]["labels"]
        assert (label["name"], label["categories"]) == ("a red circle", ["red"])
        assert 0.99 < label["confidence"] <= 1
        # LabelResult.ToClassify: uncertainty in percent.
        assert math.isclose(100 - 100 * label["confidence"], 0, abs_tol=1)
        assert answer["model"]["type"] == "labels"

    def test_several_pictures_are_one_photo(self, demo: Service) -> None:
        other = encoded(drawn("yellow", "star"))
        names = {label["name"] for label in self.ask(demo, BLOCKED, other).json["result"]["labels"]}
        assert names == {"a red circle", "a yellow star"}

    def test_what_cannot_be_read_has_no_labels_but_the_others_have(self, demo: Service) -> None:
        (label,) = self.ask(demo, UNREADABLE["broken"], BLOCKED).json["result"]["labels"]
        assert label["name"] == "a red circle"
        reply = self.ask(demo, UNREADABLE["broken"])
        assert (reply.status, reply.json["result"]) == (422, {})
