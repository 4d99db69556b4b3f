"""API Gateway's own answers - to a wrong token, to too many requests, or when the service is down - are errors to all.

The service checks no token: on AWS a gateway does, before the service is asked; a local one is open. An HTTP API's
own answers have its own form (`{"message": …}`), which we cannot change: here each client reads that form.
"""

from __future__ import annotations

from http import HTTPStatus

import openai
import pytest
from botocore.exceptions import ClientError

from support.client_pictures import ALLOWED
from support.gateway import ANSWERS, gateway

from . import test_misskey as misskey
from . import test_openai as sdk
from . import test_photoprism as photoprism
from . import test_pict_rs as pict_rs
from . import test_rekognition as rekognition

each_answer = pytest.mark.parametrize("status", ANSWERS, ids=lambda status: str(int(status)))
OPENAI_EXCEPTIONS = {
    HTTPStatus.UNAUTHORIZED: openai.AuthenticationError,
    HTTPStatus.FORBIDDEN: openai.PermissionDeniedError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: openai.APIStatusError,
    HTTPStatus.TOO_MANY_REQUESTS: openai.RateLimitError,
    HTTPStatus.INTERNAL_SERVER_ERROR: openai.InternalServerError,
    HTTPStatus.SERVICE_UNAVAILABLE: openai.InternalServerError,
}


@each_answer
def test_openais_sdk_raises(status: HTTPStatus) -> None:
    with (
        gateway(status) as service,
        sdk.client_of(service) as client,
        pytest.raises(OPENAI_EXCEPTIONS[status]) as caught,
    ):
        client.moderations.create(input=[sdk.image(ALLOWED)])
    assert caught.value.status_code == status


@each_answer
def test_aws_sdk_raises(status: HTTPStatus) -> None:
    with gateway(status) as service, pytest.raises(ClientError) as caught:
        rekognition.client_of(service).detect_moderation_labels(Image={"Bytes": ALLOWED})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@each_answer
def test_misskey_takes_it_for_not_judged(status: HTTPStatus) -> None:
    with gateway(status) as service:
        assert misskey.read(misskey.ask(service, misskey.form(misskey.PICTURE)), 1) == [None]


@each_answer
def test_pict_rs_refuses(status: HTTPStatus) -> None:
    with gateway(status) as service:
        reply = service.request("POST", "/hooks/pict-rs?on_error=allow", ALLOWED, {"Content-Type": "image/png"})
    assert not pict_rs.accepts(reply.status)


@each_answer
def test_photoprism_takes_it_for_unavailable(status: HTTPStatus) -> None:
    with gateway(status) as service:
        (result,) = photoprism.read(photoprism.ask(service, ALLOWED), 1)
    assert result.decide(photoprism.UPLOAD_THRESHOLD) == "unavailable"
