"""The events that AWS sends: both payload versions of API Gateway, and function URLs."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from moderator.handler import Handler, build_handler
from moderator.settings import Settings
from support.pictures import as_base64, drawn, encoded
from support.towers import failing

PICTURE = encoded(drawn("red", "circle"))
BODY = json.dumps({"image_data": as_base64(PICTURE), "labels": ["a red circle", "a blue, square"]})


@pytest.fixture(scope="module")
def handler() -> Handler:
    return build_handler(Settings())


def version_2(**changes: Any) -> dict[str, Any]:
    """An HTTP API's event, and a function URL's."""
    return {
        "version": "2.0",
        "routeKey": "POST /classify",
        "rawPath": "/classify",
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "id.execute-api.eu-central-1.amazonaws.com"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "id",
            "http": {"method": "POST", "path": "/classify", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "$default",
        },
        "body": BODY,
        "isBase64Encoded": False,
    } | changes


def version_1(**changes: Any) -> dict[str, Any]:
    """A REST API's event."""
    return {
        "resource": "/classify",
        "path": "/classify",
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"httpMethod": "POST", "path": "/prod/classify", "stage": "prod", "requestId": "id"},
        "body": BODY,
        "isBase64Encoded": False,
    } | changes


def result_of(response: dict[str, Any]) -> Any:
    assert response["statusCode"] == 200, response
    return json.loads(response["body"])["result"]


@pytest.mark.parametrize("event", [version_2(), version_1()], ids=["version 2", "version 1"])
def test_json_is_answered(handler: Handler, event: dict[str, Any]) -> None:
    assert list(result_of(handler(event, None))) == ["a red circle", "a blue, square"]


@pytest.mark.parametrize("form", [version_2, version_1])
def test_a_json_body_may_come_in_base64(handler: Handler, form: Any) -> None:
    event = form(body=base64.b64encode(BODY.encode()).decode(), isBase64Encoded=True)
    assert result_of(handler(event, None)) == result_of(handler(form(), None))


def test_a_picture_as_the_body_is_answered_the_same_in_both_versions(handler: Handler) -> None:
    body = {"body": base64.b64encode(PICTURE).decode(), "isBase64Encoded": True}
    headers = {"headers": {"Content-Type": "image/png"}}
    labels = ["a red circle", "a blue, square"]
    query_2 = {"rawQueryString": "label=a+red+circle&label=a%20blue%2C%20square"}
    query_1 = {"multiValueQueryStringParameters": {"label": labels}}
    second = result_of(handler(version_2(**body, **headers, **query_2), None))
    first = result_of(handler(version_1(**body, **headers, **query_1), None))
    assert list(first) == labels
    assert first == second == result_of(handler(version_2(), None))


def test_a_named_stage_is_not_part_of_the_route(handler: Handler) -> None:
    context = version_2()["requestContext"] | {"stage": "prod"}
    context["http"] = context["http"] | {"path": "/prod/classify"}
    assert result_of(handler(version_2(rawPath="/prod/classify", requestContext=context), None))


def test_mistakes_are_answered_in_both_versions(handler: Handler) -> None:
    for event in (version_2(body="{"), version_1(body="{")):
        response = handler(event, None)
        assert response["statusCode"] == 400
        assert json.loads(response["body"])["status"] == 400


def test_an_event_without_headers_or_body_is_answered(handler: Handler) -> None:
    for event in (version_2(headers=None, body=None), version_1(headers=None, multiValueHeaders=None, body=None)):
        assert handler(event, None)["statusCode"] == 400


def test_a_body_that_is_wrongly_marked_as_base64_is_the_callers_mistake(handler: Handler) -> None:
    assert handler(version_2(body="{}", isBase64Encoded=True), None)["statusCode"] == 400


def test_an_http_request_is_never_taken_for_a_warm_up(handler: Handler) -> None:
    assert handler(version_2(warm={"labels": ["a"]}), None)["statusCode"] == 200


def test_a_bug_is_raised_so_that_lambda_counts_it() -> None:
    with pytest.raises(ZeroDivisionError):
        build_handler(Settings(), load=failing)(version_2(), None)
