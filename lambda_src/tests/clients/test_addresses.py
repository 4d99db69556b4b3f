"""On each route for other clients: what the query says is understood or refused, and the demo model says what it is."""

from __future__ import annotations

import json

import pytest

from support.client_pictures import ALLOWED
from support.harness import Reply, Service
from support.pictures import as_base64

from .test_misskey import BOUNDARY, form

PICTURE = f"data:image/png;base64,{as_base64(ALLOWED)}"
AWS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.DetectLabels"}
REQUESTS: dict[str, tuple[str | bytes, dict[str, str]]] = {
    "/v1/moderations": (
        json.dumps({"input": [{"type": "image_url", "image_url": {"url": PICTURE}}]}),
        {"Content-Type": "application/json"},
    ),
    "/api/v1/vision/nsfw": (json.dumps({"id": "1", "images": [PICTURE]}), {"Content-Type": "application/json"}),
    "/api/v1/vision/labels": (json.dumps({"id": "1", "images": [PICTURE]}), {"Content-Type": "application/json"}),
    "/v1/detect-images": (form(ALLOWED), {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}),
    "/hooks/pict-rs": (ALLOWED, {"Content-Type": "image/png"}),
    "/": (json.dumps({"Image": {"Bytes": as_base64(ALLOWED)}}), AWS),
}


def ask(service: Service, path: str, query: str = "") -> Reply:
    body, headers = REQUESTS[path]
    return service.request("POST", path + query, body, headers)


@pytest.mark.parametrize("path", REQUESTS)
def test_a_misspelt_name_in_the_query_is_refused(demo: Service, path: str) -> None:
    reply = ask(demo, path, "?flagg=review")
    assert 400 <= reply.status < 500
    assert "'flagg' in the query is not a field" in reply.body.decode()


@pytest.mark.parametrize("path", REQUESTS)
def test_a_gateways_token_may_stand_there(demo: Service, path: str) -> None:
    assert ask(demo, path, "?token=secret").status == 200


@pytest.mark.parametrize("query", ["flag=", "flag=review&flag=block"])
def test_a_value_is_given_once_and_not_empty(demo: Service, query: str) -> None:
    assert ask(demo, "/v1/moderations", f"?{query}").status == 400
    assert ask(demo, "/api/v1/vision/nsfw", f"?{query}").status == 422


@pytest.mark.parametrize("path", REQUESTS)
def test_a_request_that_is_too_large_to_be_read_is_answered_in_the_clients_form(demo: Service, path: str) -> None:
    _, headers = REQUESTS[path]
    reply = demo.request("POST", path, bytes(10_500_000), headers)
    assert 400 <= reply.status < 500
    assert "10,500,000 bytes" in reply.body.decode()
    assert reply.headers["content-type"] != "application/problem+json"


def test_pict_rs_owner_may_accept_what_is_too_large(demo: Service) -> None:
    _, headers = REQUESTS["/hooks/pict-rs"]
    assert demo.request("POST", "/hooks/pict-rs?on_error=allow", bytes(10_500_000), headers).status == 202


@pytest.mark.parametrize("path", REQUESTS)
def test_the_demo_model_says_what_it_knows(demo: Service, path: str) -> None:
    assert "coloured shapes only" in ask(demo, path).headers["x-warning"]
