"""AWS' own SDK against the running service; and its signature, computed again from the request that arrived."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from moderator.handler import build_handler
from support.client_pictures import ALLOWED, BLOCKED, BROKEN, NO_PICTURE, REVIEWED, TOO_LARGE
from support.harness import Service, StartService, serving
from support.pictures import as_base64

from .conftest import DEMO

SESSION = boto3.Session()  # reads the description of Rekognition once
KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-central-1"


def client_of(service: Service, attempts: int = 1) -> Any:
    return SESSION.client(
        "rekognition",
        endpoint_url=f"http://127.0.0.1:{service.port}",
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": attempts}),
    )


@pytest.fixture(scope="module")
def client(demo: Service) -> Any:
    return client_of(demo)


class TestModerationLabels:
    def test_a_category_and_the_label_that_fired_are_two_levels(self, client: Any) -> None:
        answer = client.detect_moderation_labels(Image={"Bytes": BLOCKED}, MinConfidence=50)
        parent, child = answer["ModerationLabels"]
        assert (parent["Name"], parent["ParentName"], parent["TaxonomyLevel"]) == ("red circles", "", 1)
        assert (child["ParentName"], child["TaxonomyLevel"]) == ("red circles", 2)
        assert "circle" in child["Name"]
        assert 99 < child["Confidence"] <= parent["Confidence"] <= 100
        assert answer["ContentTypes"] == []

    def test_the_version_is_the_policys_and_the_verdict_is_a_header(self, demo: Service, client: Any) -> None:
        answer = client.detect_moderation_labels(Image={"Bytes": REVIEWED})
        policies = {one["name"]: one for one in demo.get("/policies").json["policies"]}
        assert answer["ModerationModelVersion"] == policies["demo"]["version"]
        assert answer["ResponseMetadata"]["HTTPHeaders"]["x-verdict"] == "review"
        assert len(answer["ResponseMetadata"]["RequestId"]) == 36

    def test_what_the_policy_allows_has_no_labels(self, client: Any) -> None:
        answer = client.detect_moderation_labels(Image={"Bytes": ALLOWED}, MinConfidence=0)
        assert answer["ModerationLabels"] == []
        assert answer["ResponseMetadata"]["HTTPHeaders"]["x-verdict"] == "allow"

    def test_min_confidence_leaves_out_what_is_below_it_and_without_it_nothing_is(
        self, start_service: StartService, tmp_path: Path
    ) -> None:
        # Calibrated to low scores, with low thresholds.
        content = {
            "categories": {"red": {"labels": ["a red circle"], "against": ["a green star"], "block": 0.1}},
            "calibration": {
                "model": {"name": "demo-shapes", "pretrained": "demo-shapes.safetensors"},
                "categories": {"red": {"scale": 0.001, "offset": -1}},
            },
        }
        (tmp_path / "doubtful.json").write_text(json.dumps(content))
        client = client_of(start_service(policies_dir=tmp_path, default_policy="doubtful"))
        for least, levels in ((None, 2), (20, 2), (50, 0), (100, 0)):
            given = {} if least is None else {"MinConfidence": least}
            answer = client.detect_moderation_labels(Image={"Bytes": BLOCKED}, **given)
            assert len(answer["ModerationLabels"]) == levels
            assert all(20 < label["Confidence"] < 50 for label in answer["ModerationLabels"])
            # The verdict is the policy's all the same.
            assert answer["ResponseMetadata"]["HTTPHeaders"]["x-verdict"] == "block"

    def test_the_names_are_rekognitions_where_the_policy_maps_them_and_parents_have_the_most_of_their_children(
        self, start_service: StartService, tmp_path: Path
    ) -> None:
        categories = {
            name: {"labels": labels, "against": ["a green star"], "block": 0.5, "as": {"rekognition": mapped}}
            for name, labels, mapped in (
                ("guns", ["a red circle"], "Violence/Weapons"),
                ("gore", ["a red shape"], "Violence/Graphic Violence/Blood & Gore"),
            )
        }
        (tmp_path / "mapped.json").write_text(json.dumps({"categories": categories}))
        client = client_of(start_service(policies_dir=tmp_path, default_policy="mapped"))
        labels = client.detect_moderation_labels(Image={"Bytes": BLOCKED})["ModerationLabels"]
        assert {(one["TaxonomyLevel"], one["Name"], one["ParentName"]) for one in labels} == {
            (1, "Violence", ""),
            (2, "Weapons", "Violence"),
            (2, "Graphic Violence", "Violence"),
            (3, "a red circle", "Weapons"),
            (3, "Blood & Gore", "Graphic Violence"),
        }
        confidence = {one["Name"]: one["Confidence"] for one in labels}
        assert confidence["Violence"] == max(confidence.values())

    def test_the_project_version_may_name_a_policy(self, client: Any) -> None:
        named = "arn:aws:rekognition:eu-central-1:123456789012:policy/moderation"
        answer = client.detect_moderation_labels(Image={"Bytes": ALLOWED}, ProjectVersion=named)
        assert answer["ProjectVersion"] == named
        other = client.detect_moderation_labels(Image={"Bytes": ALLOWED})
        assert answer["ModerationModelVersion"] != other["ModerationModelVersion"]
        for wrong in ("arn:aws:rekognition:eu-central-1:1:policy/nothing", "arn:aws:rekognition:eu-central-1:1:other"):
            with pytest.raises(client.exceptions.ResourceNotFoundException, match="demo"):
                client.detect_moderation_labels(Image={"Bytes": ALLOWED}, ProjectVersion=wrong)


class TestLabels:
    def test_labels_come_with_their_categories_as_parents(self, client: Any) -> None:
        answer = client.detect_labels(Image={"Bytes": BLOCKED})
        labels = {label["Name"]: label for label in answer["Labels"]}
        assert labels["a red circle"]["Parents"] == [{"Name": "red"}]
        assert labels["red"]["Parents"] == labels["red"]["Instances"] == []
        assert 99 < labels["a red circle"]["Confidence"] <= labels["red"]["Confidence"] <= 100
        assert answer["LabelModelVersion"] == "demo"

    def test_min_confidence_and_max_labels_leave_out_the_least(self, client: Any) -> None:
        every = client.detect_labels(Image={"Bytes": BLOCKED}, MinConfidence=0)["Labels"]
        assert len(every) == 12 + 4
        confidences = [label["Confidence"] for label in every]
        assert confidences == sorted(confidences, reverse=True)
        assert client.detect_labels(Image={"Bytes": BLOCKED}, MinConfidence=0, MaxLabels=3)["Labels"] == every[:3]
        # Rekognition's own default is 55.
        assert [label["Name"] for label in client.detect_labels(Image={"Bytes": BLOCKED})["Labels"]] == [
            label["Name"] for label in every if label["Confidence"] >= 55
        ]


CALLS = ("detect_moderation_labels", "detect_labels")


def assert_refused(service: Service, operation: str, fields: str, name: str) -> None:
    body = f'{{"Image": {{"Bytes": "{as_base64(ALLOWED)}"}}, {fields}}}'
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"RekognitionService.{operation}"}
    reply = service.request("POST", "/", body, headers)
    assert (reply.status, reply.json["__type"]) == (400, "InvalidParameterException")
    assert name in reply.json["Message"]


class TestMistakes:
    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize(
        ("image", "exception"),
        [
            ({"Bytes": NO_PICTURE}, "InvalidImageFormatException"),
            ({"Bytes": BROKEN}, "InvalidImageFormatException"),
            ({"Bytes": TOO_LARGE}, "ImageTooLargeException"),
            ({"S3Object": {"Bucket": "pictures", "Name": "a.jpg"}}, "InvalidS3ObjectException"),
            ({}, "InvalidParameterException"),
        ],
        ids=["no picture", "broken", "too large", "in a bucket", "missing"],
    )
    def test_a_mistake_is_rekognitions_exception(
        self, client: Any, call: str, image: dict[str, Any], exception: str
    ) -> None:
        with pytest.raises(getattr(client.exceptions, exception)) as caught:
            getattr(client, call)(Image=image)
        response = caught.value.response
        assert response["Error"]["Code"] == exception
        assert "Image" in response["Error"]["Message"]
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400

    @pytest.mark.parametrize(
        "fields",
        [
            {"Settings": {"GeneralLabels": {"LabelInclusionFilters": ["cat"]}}},
            {"Features": ["IMAGE_PROPERTIES"]},
        ],
    )
    def test_what_is_not_done_here_is_refused_not_ignored(self, client: Any, fields: dict[str, Any]) -> None:
        with pytest.raises(client.exceptions.InvalidParameterException, match=next(iter(fields))):
            client.detect_labels(Image={"Bytes": ALLOWED}, **fields)

    @pytest.mark.parametrize("operation", ["DetectLabels", "DetectModerationLabels"])
    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ('"Features": 3', "Features"),
            ('"Features": true', "Features"),
            ('"Features": "IMAGE_PROPERTIES"', "Features"),
            ('"Features": ["FOO"]', "Features"),
            ('"MinConfidence": 1e400', "MinConfidence"),
            ('"MinConfidence": 101', "MinConfidence"),
            ('"MinConfidence": "50"', "MinConfidence"),
        ],
    )
    def test_a_value_that_no_sdk_sends_is_named(self, demo: Service, operation: str, fields: str, name: str) -> None:
        assert_refused(demo, operation, fields, name)

    @pytest.mark.parametrize("value", ["1e400", "2.5", "-1", "true", f"1{'0' * 400}", '"3"', "null"])
    def test_a_number_of_labels_that_is_none_is_named(self, demo: Service, value: str) -> None:
        assert_refused(demo, "DetectLabels", f'"MaxLabels": {value}', "MaxLabels")

    def test_no_labels_are_no_labels(self, client: Any) -> None:
        assert client.detect_labels(Image={"Bytes": BLOCKED}, MaxLabels=0)["Labels"] == []

    def test_a_human_loop_is_refused_not_ignored(self, client: Any) -> None:
        loop = {"HumanLoopName": "a", "FlowDefinitionArn": "arn:aws:sagemaker:eu-central-1:1:flow-definition/a"}
        with pytest.raises(client.exceptions.InvalidParameterException, match="HumanLoopConfig"):
            client.detect_moderation_labels(Image={"Bytes": ALLOWED}, HumanLoopConfig=loop)

    def test_another_operation_is_unknown(self, client: Any) -> None:
        with pytest.raises(ClientError, match="DetectModerationLabels") as caught:
            client.detect_faces(Image={"Bytes": ALLOWED})
        assert caught.value.response["Error"]["Code"] == "UnknownOperationException"

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'{"Image": {"Bytes": "?"}}', b'{"Image": {"Bytes": ""}}', b'{"MinConfidence": 101}']
    )
    def test_what_no_sdk_sends_is_an_error_in_aws_form_too(self, demo: Service, body: bytes) -> None:
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "RekognitionService.DetectModerationLabels",
        }
        reply = demo.request("POST", "/", body, headers)
        assert reply.status == 400
        assert reply.headers["content-type"] == "application/x-amz-json-1.1"
        assert set(reply.json) == {"__type", "Message"}
        assert reply.json["__type"] in ("InvalidParameterException", "InvalidImageFormatException")

    @pytest.mark.parametrize(
        ("image", "words"),
        [
            ('"abc"', "Image is a string"),
            ("null", "Image is missing"),
            ('{"Bytes": 7}', "Image.Bytes is a number"),
            ("{}", "Image.Bytes is missing"),
        ],
    )
    def test_an_image_that_is_none_is_named(self, demo: Service, image: str, words: str) -> None:
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "RekognitionService.DetectModerationLabels",
        }
        reply = demo.request("POST", "/", f'{{"Image": {image}}}', headers)
        assert (reply.status, reply.json["__type"]) == (400, "InvalidParameterException")
        assert words in reply.json["Message"]

    def test_an_operation_is_unknown_before_its_body_is_looked_at(self, demo: Service) -> None:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "RekognitionService.ListFaces"}
        reply = demo.request("POST", "/", "{}", headers)
        assert (reply.status, reply.json["__type"]) == (400, "UnknownOperationException")

    def test_a_bug_is_an_internal_server_error_after_the_sdk_has_asked_again(self, failing: Service) -> None:
        client = client_of(failing, attempts=2)
        with pytest.raises(client.exceptions.InternalServerError) as caught:
            client.detect_moderation_labels(Image={"Bytes": ALLOWED})
        assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 1
        assert "machine" not in str(caught.value.response)

    def test_without_the_header_the_root_is_classify(self, demo: Service) -> None:
        reply = demo.request("POST", "/", b"{}", {"Content-Type": "application/json"})
        assert reply.status == 422
        assert reply.headers["content-type"] == "application/problem+json"


class TestSignature:
    """An HTTP API with IAM wants requests signed for `execute-api`; AWS' SDK signs these for `rekognition`."""

    def test_two_lines_sign_for_the_gateway_and_the_signature_is_right(
        self, recorded: tuple[Service, list[dict[str, Any]]]
    ) -> None:
        service, events = recorded
        client = client_of(service)
        client.meta.events.register(
            "before-parameter-build.rekognition.*",
            lambda context, **_: context.update(signing={"signing_name": "execute-api"}),
        )
        client.detect_moderation_labels(Image={"Bytes": BLOCKED})
        (event,) = events
        assert scope(event) == f"{REGION}/execute-api/aws4_request"
        assert signature(event) == computed_again(event, "execute-api")

    def test_without_them_it_is_signed_for_rekognition(self, recorded: tuple[Service, list[dict[str, Any]]]) -> None:
        service, events = recorded
        client_of(service).detect_labels(Image={"Bytes": BLOCKED})
        (event,) = events
        assert scope(event) == f"{REGION}/rekognition/aws4_request"
        assert signature(event) == computed_again(event, "rekognition") != computed_again(event, "execute-api")


@pytest.fixture
def recorded() -> Iterator[tuple[Service, list[dict[str, Any]]]]:
    """The service, and the events that reach it."""
    events: list[dict[str, Any]] = []
    handler: Callable[[dict[str, Any], Any], dict[str, Any]] = build_handler(DEMO)

    def record(event: dict[str, Any], context: Any) -> dict[str, Any]:
        events.append(event)
        return handler(event, context)

    with serving(record) as service:
        yield service, events


def fields(event: dict[str, Any]) -> dict[str, str]:
    _, _, rest = event["headers"]["authorization"].partition(" ")
    return dict(part.split("=", 1) for part in rest.split(", "))


def scope(event: dict[str, Any]) -> str:
    return fields(event)["Credential"].split("/", 2)[2]


def signature(event: dict[str, Any]) -> str:
    return fields(event)["Signature"]


def computed_again(event: dict[str, Any], service: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, with no library."""
    import base64

    body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
    names = fields(event)["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            event["requestContext"]["http"]["method"],
            event["rawPath"],
            event["rawQueryString"],
            *(f"{name}:{event['headers'][name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    moment = event["headers"]["x-amz-date"]
    where = f"{moment[:8]}/{REGION}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{where}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for part in where.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def test_the_answer_is_read_as_json_by_any_client(demo: Service) -> None:
    """As SDKs of other languages send it, by the wire's own rules."""
    with closing(http.client.HTTPConnection("127.0.0.1", demo.port)) as connection:
        connection.request(
            "POST",
            "/",
            json.dumps({"Image": {"Bytes": ""}}),
            {"Content-Type": "application/x-amz-json-1.1", "X-AMZ-TARGET": "RekognitionService.DetectLabels"},
        )
        answer = connection.getresponse()
        assert answer.status == 400
        assert json.loads(answer.read())["__type"] == "InvalidImageFormatException"
