"""Whatever request arrives, it is answered or refused with a reason; nothing is a 5xx."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from moderator.handler import Handler, build_handler
from moderator.settings import Settings
from support.aws_events import function_url, http_api, rest_api
from support.harness import Reply, Service
from support.pictures import as_base64, drawn, encoded
from support.tally import Tally

pytestmark = pytest.mark.slow

PICTURE = encoded(drawn("red", "circle"))
GOOD = as_base64(PICTURE)

# The machine is shared: a single slow example says nothing.
properties = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
# Of every script and plane, with controls, combining marks, and halves of surrogate pairs.
words = some.text(some.characters(), min_size=1, max_size=40)
pictures = some.just(GOOD) | some.text(string.ascii_letters + "+/=-_ \n", max_size=60) | some.binary().map(as_base64)
requests = some.fixed_dictionaries(
    {},
    optional={
        "image_data": pictures | anything,
        "images": some.lists(pictures, max_size=3) | anything,
        "labels": some.lists(words, max_size=6) | some.dictionaries(words, words, max_size=4) | anything,
        "label_set": some.sampled_from(["moderation", "nothing", ""]) | anything,
    },
)


@pytest.fixture(scope="module")
def handler() -> Handler:
    return build_handler(Settings())


def checked(response: dict[str, Any]) -> int:
    """Check that an answer has the form that its status promises, and return the status."""
    status = int(response["statusCode"])
    headers = response.get("headers") or {}
    kinds = response.get("multiValueHeaders") or {}
    kind = headers.get("Content-Type") or kinds["Content-Type"][0]
    if status == 200 and kind.startswith("text/html"):  # the page
        assert response["body"].lower().startswith("<!doctype html>")
        return status
    body = json.loads(response["body"].encode("utf-8"))  # and nothing in it that UTF-8 cannot carry
    if status == 200:
        assert kind == "application/json"
        for result in body.get("results", [body]):
            assert sum(result["result"].values()) == pytest.approx(1.0, abs=1e-5)
            assert all(0.0 <= share <= 1.0 for share in result["result"].values())
    else:
        assert status in (400, 404, 405, 413, 415, 422), response
        assert kind == "application/problem+json"
        assert body.keys() == {"type", "title", "status", "detail"}
        assert body["status"] == status
        assert len(body["detail"]) < 1000
        assert "Traceback" not in body["detail"]
    return status


def count(tally: Tally, tried: str, status: int) -> None:
    tally.add("Requests", tried, "answered" if status == 200 else f"refused with {status}")


class TestProperties:
    @properties
    @given(request=requests | some.dictionaries(words, anything, max_size=3))
    def test_any_json_of_the_requests_fields(self, request: dict[str, Any], handler: Handler, tally: Tally) -> None:
        body = json.dumps(request).encode()
        count(tally, "Any JSON in the request's fields", checked(handler(post(body), None)))

    @properties
    @given(labels=some.lists(words, min_size=1, max_size=8, unique=True))
    def test_any_words_are_answered_in_their_order_or_refused(
        self, labels: list[str], handler: Handler, tally: Tally
    ) -> None:
        response = handler(post(json.dumps({"image_data": GOOD, "labels": labels}).encode()), None)
        status = checked(response)
        if status == 200:
            assert list(json.loads(response["body"])["result"]) == labels
        else:
            assert status == 422
        count(tally, "Any Unicode text as labels", status)

    @properties
    @given(body=some.binary(max_size=300) | some.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
    def test_any_bytes_as_the_body(self, body: bytes, handler: Handler, tally: Tally) -> None:
        count(tally, "Any bytes as JSON", checked(handler(post(body), None)))
        picture = http_api("POST", "/classify", query="label=a", body=body, kind="image/png", encode=True)
        count(tally, "Any bytes as a picture", checked(handler(picture, None)))

    @properties
    @given(
        make=some.sampled_from([http_api, rest_api, function_url]),
        query=some.text(string.printable, max_size=60)
        | some.lists(words, max_size=3).map(
            lambda labels: "&".join(f"label={quote(label, errors='replace')}" for label in labels)
        ),
    )
    def test_any_query(self, make: Callable[..., dict[str, Any]], query: str, handler: Handler, tally: Tally) -> None:
        event = make("POST", "/classify", query=query, body=PICTURE, kind="image/png", encode=True)
        count(tally, "Any query", checked(handler(event, None)))

    @properties
    @given(
        make=some.sampled_from([http_api, rest_api, function_url]),
        method=some.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE", "NONSENSE"]),
        path=some.sampled_from(["/", "/classify", "/classify/", "//classify", "/health/..", "/docs%00"])
        | some.text(some.characters(exclude_categories=["Cs"]), max_size=30).map(lambda text: f"/{text}"),
        kind=some.sampled_from(
            ["application/json", "image/png", "text/html", "", ";", "IMAGE/*", "multipart/form-data"]
        ),
        body=some.none() | some.binary(max_size=40),
    )
    def test_any_route_method_and_content_type(
        self,
        make: Callable[..., dict[str, Any]],
        method: str,
        path: str,
        kind: str,
        body: bytes | None,
        handler: Handler,
        tally: Tally,
    ) -> None:
        status = checked(handler(make(method, path, body=body, kind=kind, encode=True), None))
        count(tally, "Any route, method and content type", status)


def post(body: bytes) -> dict[str, Any]:
    return http_api("POST", "/classify", body=body, encode=True)


def deep(opening: str, closing: str, depth: int = 10_000) -> str:
    return opening * depth + closing * depth


SPECIAL: dict[str, tuple[str | bytes, int]] = {
    "Lists 10,000 deep": (deep("[", "]"), 400),
    "Objects 10,000 deep": (deep('{"a":', "1").replace("1" * 10_000, "1") + "}" * 10_000, 400),
    "10,000 levels below labels": ('{"image_data": "x", "labels": ' + deep("[", "]") + "}", 400),
    "A key twice": ('{"image_data": "x", "image_data": "x", "labels": ["a"]}', 422),
    "A label twice in an object": ('{"image_data": "x", "labels": {"a": "b", "a": "c"}}', 422),
    "A label twice, escaped differently": ('{"image_data": "x", "labels": {"a": "b", "\\u0061": "c"}}', 422),
    "NaN": ('{"image_data": "x", "labels": [NaN]}', 400),
    "Infinity": ('{"image_data": "x", "labels": [Infinity]}', 400),
    "Minus infinity": ('{"image_data": -Infinity, "labels": ["a"]}', 400),
    "A number of 4,000 digits": ('{"image_data": ' + "9" * 4_000 + ', "labels": ["a"]}', 422),
    "A number of 5,000,000 digits": ('{"image_data": ' + "9" * 5_000_000 + ', "labels": ["a"]}', 400),
    "A number beyond all floats": ('{"image_data": 1e999999, "labels": ["a"]}', 422),
    "Half a surrogate pair, escaped": ('{"image_data": "x", "labels": ["\\ud83d"]}', 422),
    "Half a surrogate pair in a key": ('{"image_data": "x", "labels": {"\\ud83d": "a"}}', 422),
    "Half a surrogate pair as a field": ('{"\\ud83d": 1}', 422),
    "Half a surrogate pair in the picture": ('{"image_data": "\\ud83d", "labels": ["a"]}', 422),
    "Half a surrogate pair, as bytes": (b'{"image_data": "x", "labels": ["\xed\xa0\xbd"]}', 400),
    "A byte order mark": (b"\xef\xbb\xbf{}", 422),
    "UTF-16": ('{"labels": ["a"]}'.encode("utf-16"), 400),
    "A null byte behind the JSON": (b"{}\0", 400),
    "6 MB of white space": (" " * 6_000_000, 400),
    "6 MB of one string": ('{"image_data": "' + "A" * 6_000_000 + '", "labels": ["a"]}', 415),
    "6 MB of empty lists": ("[" + "[]," * 2_000_000 + "[]]", 413),
    "A million labels": (json.dumps({"image_data": "x", "labels": ["a"] * 1_000_000}), 413),
    "400,000 fields": (json.dumps({str(number): 1 for number in range(400_000)}), 413),
    "40,000 fields": (json.dumps({str(number): 1 for number in range(40_000)}), 422),
    "A label of 5 MB": (json.dumps({"image_data": "x", "labels": ["a" * 5_000_000]}), 422),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_a_special_body_has_its_status(name: str, service: Service, tally: Tally) -> None:
    body, status = SPECIAL[name]
    if isinstance(body, str):
        body = body.replace('"x"', f'"{GOOD}"').encode()
    assert refused(service.post_json(body)) == status
    tally.add("Requests", name, f"refused with {status}")


def refused(reply: Reply) -> int:
    assert reply.headers["content-type"] == "application/problem+json", reply
    assert reply.json["status"] == reply.status
    assert len(reply.body) < 2000
    return reply.status


LABELS = {
    "Emoji": ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "1️⃣"],
    "Right-to-left text": ["دائرة حمراء", "עיגול אדום", "\u202ereversed\u202c", "mixed אדום red"],
    "Zero-width and invisible characters": ["red\u200bcircle", "red\u200dcircle", "redcircle", "\ufeffred", "a\u0301"],
    "Controls": ["a\0b", "a\x1bb", "tab\there", "line\nbreak", "a\x7f"],
    "Markup, quotes and formats": ["<script>", "&amp;amp;", "{}", "%s", "'; DROP TABLE", "a,b", '"', "\\", "${x}"],
    "All planes": ["\U0001d563\U0001d556\U0001d555", "𓂀", "\U0010ffff", "红色圆圈", "赤い円", "빨간 원", "ﷺ"],
    "Labels that are one once tokenised": ["a red circle", "A  RED circle", " a red circle\n", "a red &#99;ircle"],
}


@pytest.mark.parametrize("name", LABELS)
def test_special_labels_are_answered_as_they_were_given(name: str, service: Service, tally: Tally) -> None:
    labels = LABELS[name]
    reply = service.classify(image_data=GOOD, labels=labels)
    assert reply.status == 200, reply.body
    assert list(reply.json["result"]) == labels
    assert sum(reply.json["result"].values()) == pytest.approx(1.0)
    tally.add("Requests", name, "answered", len(labels))


def test_labels_that_are_one_once_tokenised_are_equally_probable(service: Service) -> None:
    result = service.classify(image_data=GOOD, labels=LABELS["Labels that are one once tokenised"]).json["result"]
    assert list(result.values()) == pytest.approx([0.25] * 4, abs=1e-6)


def test_a_thousand_labels_of_maximal_length_are_answered(service: Service, tally: Tally) -> None:
    # As many tokens as the context holds, found by asking: the tokenizer's merges decide.
    length = max(count for count in range(1, 80) if answered(service, ["9 " * count]))
    assert not answered(service, ["9 " * (length + 1)])
    numbers = (" ".join(str(number).zfill(4)) for number in range(1000))
    labels = [f"{number} " + "9 " * (length - 4) for number in numbers]
    reply = service.classify(image_data=GOOD, labels=labels)
    assert reply.status == 200, reply.body
    assert len(reply.json["result"]) == 1000
    assert sum(reply.json["result"].values()) == pytest.approx(1.0)
    tally.add("Requests", "1,000 labels of maximal length", "answered")


def answered(service: Service, labels: list[str]) -> bool:
    return service.classify(image_data=GOOD, labels=labels).status == 200


@pytest.mark.parametrize("unit", ["a", "é", "漢", "😀", "&amp;", "\u0301", "ﷺ"])
def test_labels_of_2000_characters_are_refused_soon(unit: str, service: Service, tally: Tally) -> None:
    labels = [f"{number} {unit * 2000}"[:2000] for number in range(1000)]
    body = json.dumps({"image_data": GOOD, "labels": labels}, ensure_ascii=False).encode()
    assert refused(service.post_json(body)) == 422
    tally.add("Requests", "1,000 labels of 2,000 characters", "refused with 422")


def test_a_body_of_6_mb_that_is_a_sound_picture_is_answered(service: Service, tally: Tally) -> None:
    padded = base64.b64encode(PICTURE + bytes(4_400_000)).decode()
    assert service.classify(image_data=padded, labels=["a"]).status == 200
    tally.add("Requests", "6 MB of JSON with a sound picture", "answered")
