"""AWS's own runtime client runs the handler, and finds in it what Lambda expects of a function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.aws_events import function_url, http_api, rest_api
from support.harness import RedisServer, Service
from support.pictures import as_base64, drawn, encoded
from support.runtime_api import RuntimeApi, runtime, runtime_api
from support.server_process import Process
from support.tally import Tally

pytestmark = pytest.mark.slow

PICTURE = encoded(drawn("red", "circle"))
LABELS = ["a red circle", "a blue, square", "ein grünes Dreieck 🔺"]
QUERY = "&".join(f"label={quote(label)}" for label in LABELS)
JSON_BODY = json.dumps({"image_data": as_base64(PICTURE), "labels": LABELS}, ensure_ascii=False).encode()
FORMS: dict[str, Callable[..., dict[str, Any]]] = {
    "HTTP API, version 2": http_api,
    "REST API, version 1": rest_api,
    "function URL": function_url,
}
forms = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RuntimeApi, Process]]:
    with runtime_api() as api, runtime(api, tmp_path_factory.mktemp("runtime")) as process:
        yield api, process


@pytest.fixture
def api(function: tuple[RuntimeApi, Process]) -> RuntimeApi:
    return function[0]


def answer(api: RuntimeApi, event: dict[str, Any], status: int = 200) -> Any:
    report = api.invoke(event)
    assert report.kind == "response", report
    assert report.body["statusCode"] == status, report
    assert report.body.get("isBase64Encoded") is not True
    return json.loads(report.body["body"])


@forms
@pytest.mark.parametrize("encode", [False, True], ids=["text", "base64"])
def test_json_is_answered(form: str, encode: bool, api: RuntimeApi, service: Service, tally: Tally) -> None:
    event = FORMS[form]("POST", "/classify", body=JSON_BODY, encode=encode)
    assert answer(api, event)["result"] == service.post_json(JSON_BODY).json["result"]
    tally.add("Lambda runtime", f"JSON, {form}", "answered")


@forms
def test_a_picture_as_the_body_is_answered(form: str, api: RuntimeApi, service: Service, tally: Tally) -> None:
    event = FORMS[form]("POST", "/classify", query=QUERY, body=PICTURE, kind="image/png", encode=True)
    result = answer(api, event)["result"]
    assert list(result) == LABELS
    assert result == service.post_json(JSON_BODY).json["result"]
    tally.add("Lambda runtime", f"A picture as the body, {form}", "answered")


@forms
def test_the_other_routes_and_mistakes_are_answered(form: str, api: RuntimeApi, tally: Tally) -> None:
    make = FORMS[form]
    for path in ("/health", "/label-sets", "/openapi.json"):
        assert answer(api, make("GET", path, encode=False))
        tally.add("Lambda runtime", f"The other routes, {form}", "answered")
    for event, status in (
        (make("POST", "/classify", body=b"{", encode=True), 400),
        (make("GET", "/nothing", encode=False), 404),
        (make("PUT", "/classify", body=b"{}", encode=False), 405),
        (make("POST", "/classify", query="label=a", body=b"PK", kind="image/png", encode=True), 415),
        (make("POST", "/classify", body=b"{}", encode=False), 422),
    ):
        assert answer(api, event, status)["status"] == status
        tally.add("Lambda runtime", f"Mistakes, {form}", f"refused with {status}")


def test_a_warm_up_fills_the_store(redis_server: RedisServer, tmp_path: Path, tally: Tally) -> None:
    event: dict[str, Any] = {"warm": {"labels": ["a red circle", "a blue square"], "label_sets": []}}
    with runtime_api() as api, runtime(api, tmp_path, {"CACHE_URL": redis_server.url}):
        assert api.invoke(event).kind == "error"
        del event["warm"]["label_sets"]
        report = api.invoke(event)
    assert report.kind == "response"
    assert report.body["computed"] == len(redis_server.client.keys()) == 2
    tally.add("Lambda runtime", "The warm-up event", "stored")


def test_a_warm_up_that_cannot_do_its_work_is_an_error_to_lambda(api: RuntimeApi, tally: Tally) -> None:
    report = api.invoke({"warm": {"labels": ["a"]}})
    assert (report.kind, report.body["errorType"]) == ("error", "WarmUpError")
    assert "CACHE_URL" in report.body["errorMessage"]
    tally.add("Lambda runtime", "The warm-up event without a store", "reported as an error")


def test_an_event_that_is_neither_is_an_error_and_the_process_lives_on(api: RuntimeApi, tally: Tally) -> None:
    strange: list[Any] = [{}, [], None, "text", {"Records": []}, {"version": "2.0"}]
    for event in strange:
        assert api.invoke(event).kind == "error"
        tally.add("Lambda runtime", "Events that are neither HTTP nor a warm-up", "reported as an error")
    assert answer(api, http_api("GET", "/health", encode=False))["status"] == "ok"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODEL_DIR", "/nowhere"),
        ("CACHE_URL", "http://store"),
        ("MAX_PIXELS", "many"),
        ("LABEL_SETS_DIR", "/nowhere"),
    ],
)
def test_a_start_that_fails_is_reported_and_names_the_setting(
    variable: str, value: str, tmp_path: Path, tally: Tally
) -> None:
    with runtime_api() as api, runtime(api, tmp_path, {variable: value}) as process:
        report = api.init_error()
        assert report.kind == "init error"
        assert report.body["errorType"] == "ConfigurationError"
        assert variable in report.body["errorMessage"] or value in report.body["errorMessage"]
        assert process.process.wait(timeout=30) != 0
    tally.add("Lambda runtime", f"A start with a wrong {variable}", "reported as an init error")


def test_500_requests_leak_neither_memory_nor_files(function: tuple[RuntimeApi, Process], tally: Tally) -> None:
    api, process = function
    pictures = [encoded(drawn(), format) for format in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF")]
    broken = pictures[0][:200]
    events = [
        make("POST", "/classify", query=f"label=a+cat&label=label+{number}", body=data, kind="image/png", encode=True)
        for make in FORMS.values()
        for number, data in enumerate([*pictures, broken])
    ]
    events += [http_api("POST", "/classify", body=JSON_BODY, encode=False), http_api("GET", "/health", encode=False)]

    def ask(times: int) -> None:
        for number in range(times):
            report = api.invoke(events[number % len(events)])
            assert report.kind == "response"
            assert report.body["statusCode"] in (200, 422)

    ask(50)
    memory, files = process.resident_bytes, process.open_files
    ask(450)
    grown = process.resident_bytes - memory
    assert grown < 5_000_000, f"{grown / 1e6:.1f} MB more"
    assert process.open_files <= files
    tally.add("Lambda runtime", "Requests in one process: memory within 5 MB after the first 50", "answered", 500)
