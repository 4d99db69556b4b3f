"""The one table of routes: the app answers them, the description lists them, and API Gateway lets no others through.

`infra/api.py` and `docs/api.md` are held to this table by tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from moderator.web.answers import misskey, openai, photoprism, pict_rs, rekognition
from moderator.web.answers.adapter import Adapter


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path, and who answers them: a method of `App`, or another service's adapter."""

    method: str
    path: str
    answer: str
    summary: str
    adapter: Adapter | None = None
    header: str = ""  # only of requests that have this one; in lower case
    takes: str = "application/json"  # the media type of an adapter's requests

    @property
    def key(self) -> str:
        """The name that API Gateway gives it."""
        return f"{self.method} {self.path}"

    @property
    def name(self) -> str:
        """A unique name: two routes may have the same `answer`."""
        last = self.path.rpartition("/")[2]
        return f"{self.answer}_{last or 'at_root'}" if self.adapter or not last else self.answer


ROUTES = (
    Route(method="POST", path="/classify", answer="classify", summary="Say how probable each label is"),
    Route(
        method="POST", path="/moderate", answer="moderate", summary="Say what a policy does with the picture, and why"
    ),
    Route(
        method="POST",
        path="/",
        answer="rekognition",
        adapter=rekognition.ADAPTER,
        header=rekognition.TARGET,
        takes="application/x-amz-json-1.1",
        summary="Amazon Rekognition's DetectModerationLabels and DetectLabels",
    ),
    Route(method="POST", path="/", answer="classify", summary="The same as /classify, for clients of the predecessor"),
    Route(method="GET", path="/", answer="page", summary="The page: pictures, verdicts, and policies to tune"),
    Route(method="GET", path="/try", answer="page", summary="The same page"),
    Route(method="GET", path="/health", answer="health", summary="The model, and the state of the label store"),
    Route(method="GET", path="/label-sets", answer="label_sets", summary="The configured label sets"),
    Route(method="GET", path="/policies", answer="policies", summary="The configured policies"),
    Route(method="GET", path="/openapi.json", answer="openapi", summary="The description of all routes"),
    Route(method="GET", path="/docs", answer="docs", summary="The description as a page"),
    Route(
        method="POST",
        path="/v1/moderations",
        answer="openai",
        adapter=openai.ADAPTER,
        summary="OpenAI's moderations, for its SDKs",
    ),
    Route(
        method="POST",
        path="/v1/detect-images",
        answer="misskey",
        adapter=misskey.ADAPTER,
        takes="multipart/form-data",
        summary="Misskey's detection of sensitive media",
    ),
    Route(
        method="POST",
        path="/hooks/pict-rs",
        answer="pict_rs",
        adapter=pict_rs.ADAPTER,
        takes="image/*",
        summary="The external validation of pict-rs, Lemmy's picture store",
    ),
    Route(
        method="POST",
        path="/api/v1/vision/nsfw",
        answer="photoprism",
        adapter=photoprism.ADAPTER,
        summary="PhotoPrism's vision service: is it safe for work",
    ),
    Route(
        method="POST",
        path="/api/v1/vision/labels",
        answer="photoprism",
        adapter=photoprism.ADAPTER,
        summary="PhotoPrism's vision service: labels",
    ),
)
