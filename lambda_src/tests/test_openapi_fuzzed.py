"""Schemathesis reads the service's own description and sends what it allows, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
import schemathesis.checks as checks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from moderator.web.routes import ROUTES as TABLE
from support.harness import Service
from support.pictures import as_base64, drawn, encoded
from support.tally import Tally

pytestmark = pytest.mark.slow

PICTURE = as_base64(encoded(drawn("red", "circle")))
# Without the description's own, from which it is read.
ROUTES = tuple(route.key for route in TABLE if route.path != "/openapi.json" and not route.header)
# Nothing can be wrong with requests for the others: they take no parameters.
PARAMETERS = tuple(key for key in ROUTES if key.startswith("POST"))
# Other services describe what their clients send.
EXAMPLES = tuple(
    dict.fromkeys(
        route.key
        for route in TABLE
        if route.method == "POST" and not route.header
        if route.place is None or route.place.takes == "application/json"  # a page chooses files
    )
)

# No schema can say which bytes are a picture, nor that a query beside JSON is refused.
BEYOND_A_SCHEMA = [checks.positive_data_acceptance, checks.negative_data_rejection]


def test_every_route_is_described(service: Service) -> None:
    assert {operation.label for operation in operations(service)} == set(ROUTES)


@pytest.mark.parametrize(
    ("route", "mode"),
    [(route, GenerationMode.POSITIVE) for route in ROUTES] + [(route, GenerationMode.NEGATIVE) for route in PARAMETERS],
)
def test_every_answer_is_as_described(route: str, mode: GenerationMode, service: Service, tally: Tally) -> None:
    (operation,) = (one for one in operations(service) if one.label == route)

    @settings(
        max_examples=150 if route in PARAMETERS else 5,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=some.data())
    def ask(data: some.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        response = case.call()
        if response.status_code in (414, 431):  # the local server's own, for long addresses, as API Gateway has one
            assert response.json()["status"] == response.status_code
        else:
            # Not a server error, and the status, the content type, the headers and the body are as described.
            case.validate_response(response, excluded_checks=BEYOND_A_SCHEMA)
        tally.add("Requests", f"{mode.name.lower()} examples of {route}", f"status {response.status_code}")

    ask()


@pytest.mark.parametrize(
    "fields",
    [
        {"image_data": PICTURE, "labels": ["a red circle", "a blue square"]},
        {"image_data": PICTURE, "labels": {"a red circle": "round", "a blue square": "angular"}},
        {"images": [PICTURE, PICTURE], "label_set": "moderation"},
    ],
    ids=["labels", "categories", "several pictures"],
)
def test_a_full_answer_is_as_described(fields: dict[str, Any], service: Service, tally: Tally) -> None:
    # No generated text is a picture, so these answers have to be asked for.
    (operation,) = (one for one in operations(service) if one.label == "POST /classify")
    response = operation.Case(body=fields, media_type="application/json").call_and_validate()
    assert response.status_code == 200
    tally.add("Requests", "Full answers against the description", "status 200")


@pytest.mark.parametrize("route", EXAMPLES)
def test_every_example_is_answered_as_the_page_would_send_it(route: str, service: Service) -> None:
    (operation,) = (one for one in operations(service) if one.label == route)
    media = service.get("/openapi.json").json["paths"][operation.path]["post"]["requestBody"]["content"]
    examples = media["application/json"]["examples"]
    assert examples
    for name, example in examples.items():
        reply = service.request(
            "POST", operation.path, json.dumps(example["value"]), {"Content-Type": "application/json"}
        )
        assert reply.status == 200, (name, reply.body)
        operation.Case(body=example["value"], media_type="application/json").call_and_validate()


def operations(service: Service) -> list[schemathesis.APIOperation[Any, Any, Any, Any]]:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
