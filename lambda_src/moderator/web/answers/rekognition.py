"""Amazon Rekognition's form: `POST /` with X-Amz-Target, as AWS' own SDKs send it.

The policy decides what DetectModerationLabels answers: the categories that it does not allow, each with the label that
fired most beneath it; MinConfidence leaves out more. DetectLabels answers with a label set. What cannot be judged is
one of Rekognition's errors, which the SDKs raise; on a 5xx and on ThrottlingException they ask again first. An empty
list of labels always means that the picture was judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from moderator.classifier import Answer
from moderator.clip.model import Model
from moderator.errors import BrokenPicture, InvalidField, RequestError, TooMuch, UnknownPicture
from moderator.labels.label_sets import LabelSet
from moderator.web.answers.adapter import Adapter, Asked, Known, NotConfigured, Outcome, Place
from moderator.web.answers.reading import check_query, read_object
from moderator.web.answers.rekognition_image import picture_of
from moderator.web.answers.rekognition_labels import labels_of, moderation_labels
from moderator.web.answers.writing import as_json, verdict_of
from moderator.web.buckets import UnreadableObject
from moderator.web.http_event import Request, Response
from moderator.web.quoting import kind_of, readable

TARGET = "x-amz-target"
_ROOT = Place(
    path="/",
    summary="Amazon Rekognition's DetectModerationLabels and DetectLabels",
    takes="application/x-amz-json-1.1",
    header=TARGET,
)
_SERVICE = "RekognitionService."
_POLICY_PREFIX = "policy/"  # the end of a ProjectVersion that names a policy
_LEAST_OF_LABELS = 55.0  # percent; DetectLabels' own default
_MOST_LABELS = 1000  # likewise


class UnknownOperation(InvalidField):
    """Rekognition may have such an operation; this service does not."""


_EXCEPTIONS: tuple[tuple[type[RequestError], str], ...] = (
    (UnreadableObject, "InvalidS3ObjectException"),
    (UnknownOperation, "UnknownOperationException"),
    (NotConfigured, "ResourceNotFoundException"),
    (BrokenPicture, "InvalidImageFormatException"),
    (UnknownPicture, "InvalidImageFormatException"),
    (TooMuch, "ImageTooLargeException"),
)


def read(request: Request, known: Known) -> Asked:
    """Read a request of either operation; the end of ProjectVersion may name a policy (`…policy/NAME`)."""
    operation = request.headers.get(TARGET, "").removeprefix(_SERVICE)
    if operation not in ("DetectModerationLabels", "DetectLabels"):
        raise UnknownOperation(
            f"{readable(operation)} is not an operation here: send DetectModerationLabels or DetectLabels."
        )
    check_query(request, _ROOT.query)
    body = read_object(request, known.limits)
    for name in ("HumanLoopConfig", "Settings"):
        if body.get(name) is not None:
            raise InvalidField(f"{name} is not read here: leave it out.")
    if body.get("Features") not in (None, [], ["GENERAL_LABELS"]):
        raise InvalidField("Features may only be [GENERAL_LABELS]: image properties are not measured here.")
    pictures = (picture_of(body.get("Image"), known.buckets),)
    least = _confidence(body)
    details: dict[str, Any] = {"id": _request_id(request)}
    if operation == "DetectLabels":
        most = body.get("MaxLabels", _MOST_LABELS)
        if not isinstance(most, int) or isinstance(most, bool) or not 0 <= most <= 2**31 - 1:
            raise InvalidField("MaxLabels must be a whole number from 0 on.")
        least = _LEAST_OF_LABELS if least is None else least
        return Asked(pictures=pictures, by=known.label_set(), details=details | {"least": least, "most": most})
    version = body.get("ProjectVersion")
    if not isinstance(version, str | None):
        raise InvalidField(f"ProjectVersion is {kind_of(version)}: it must be a string that ends with policy/NAME.")
    policy = known.policy(None if version is None else version.rpartition(_POLICY_PREFIX)[2] or "?")
    return Asked(pictures=pictures, by=policy, details=details | {"least": least or 0.0, "version": version})


def write(asked: Asked, outcomes: Sequence[Outcome], _: Model) -> Response:
    """Write the labels of the one picture; the verdict, for which there is no field, is the header X-Verdict."""
    (outcome,) = outcomes
    headers = {"x-amzn-RequestId": asked.details["id"]}
    if isinstance(outcome, Answer) and isinstance(asked.by, LabelSet):
        labels = [one for one in labels_of(outcome, asked.by) if one["Confidence"] >= asked.details["least"]]
        labels.sort(key=lambda one: -float(one["Confidence"]))
        return _json({"Labels": labels[: asked.details["most"]], "LabelModelVersion": asked.by.name}, headers=headers)
    verdict, policy = verdict_of(outcome), asked.policy
    labels = [one for one in moderation_labels(verdict, policy) if one["Confidence"] >= asked.details["least"]]
    answer = {"ModerationLabels": labels, "ModerationModelVersion": policy.version, "ContentTypes": []}
    if asked.details["version"] is not None:
        answer["ProjectVersion"] = asked.details["version"]
    return _json(answer, headers=headers | {"X-Verdict": verdict.action})


def refuse(request: Request, error: RequestError | None) -> Response:
    """Write an error as AWS' JSON protocol has it."""
    headers = {"x-amzn-RequestId": _request_id(request)}
    if error is None:
        content = {"__type": "InternalServerError", "Message": "The service failed; its log says why."}
        return _json(content, status=HTTPStatus.INTERNAL_SERVER_ERROR, headers=headers)
    name = next((name for kind, name in _EXCEPTIONS if isinstance(error, kind)), "InvalidParameterException")
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        name = "ThrottlingException"
    return _json({"__type": name, "Message": error.detail}, status=HTTPStatus.BAD_REQUEST, headers=headers)


ADAPTER = Adapter(places=(_ROOT,), read=read, write=write, refuse=refuse, picture_by_picture=False)


def _confidence(body: dict[str, Any]) -> float | None:
    value = body.get("MinConfidence")
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        raise InvalidField("MinConfidence must be a number from 0 to 100.")
    return float(value)


def _request_id(request: Request) -> str:
    return str(request.event.get("requestContext", {}).get("requestId", ""))


def _json(content: Any, *, status: int = HTTPStatus.OK, headers: dict[str, str]) -> Response:
    response = as_json(content, status=status, headers=headers)
    return Response(status=status, body=response.body, content_type="application/x-amz-json-1.1", headers=headers)
