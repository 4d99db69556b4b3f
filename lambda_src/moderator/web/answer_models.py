"""What answers look like: the models that OpenAPI is made from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from moderator.pictures.views import View
from moderator.policy.policy import Action

Warnings = Annotated[
    list[str] | None,
    Field(default=None, description="What makes the answer worth less than it seems; absent if there is nothing."),
]


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    pretrained: str
    fingerprint: str


class Viewed(BaseModel):
    """What of the picture was looked at."""

    kind: View
    parts: int
    unseen: float = Field(description="The share of the picture that no part covered.")


class Probabilities(BaseModel):
    """The probabilities of one question's labels."""

    result: dict[str, float] = Field(description="Each label's probability, in the order asked; they sum to 1.")
    categories: dict[str, float] | None = Field(
        default=None, description="Each category's sum of its labels' probabilities."
    )


class Result(BaseModel):
    """One picture's probabilities: `result`, or `answers` by question."""

    result: dict[str, float] | None = Field(
        default=None, description="Each label's probability, in the order asked; they sum to 1."
    )
    categories: dict[str, float] | None = None
    answers: dict[str, Probabilities] | None = Field(default=None, description="Of `questions`: each one's answer.")
    view: Viewed | None = Field(default=None, description="Unless it is the centre alone.")
    embedding: str | None = Field(default=None, description="With `return_embedding`.")


class OnePicture(Result):
    """The answer to one picture."""

    model: ModelName
    warnings: Warnings


class ManyPictures(BaseModel):
    """The answer to several pictures."""

    results: list[Result]
    model: ModelName
    warnings: Warnings


class Reason(BaseModel):
    """Why a picture is not simply allowed."""

    category: str = Field(
        description="Or `sample`: one of the share that is always reviewed; or `error`: not all frames could be seen."
    )
    action: Action
    score: float | None = None
    threshold: float | None = Field(default=None, description="The one that the score passed.")
    label: str | None = Field(default=None, description="The one that fired most.")
    frame: int | None = Field(default=None, description="Of an animated picture.")
    seconds: float | None = None


class CategoryVerdict(BaseModel):
    """What one category says."""

    score: float
    action: Action


class SeenFrames(BaseModel):
    """How many of an animated picture's frames were looked at."""

    seen: int
    of: int
    reachable: int | None = Field(
        default=None,
        description="Where the last frames were damaged or beyond the limits: how many before them could be looked at. "
        "The verdict is then no milder than the policy's `on_error`.",
    )


class Verdict(BaseModel):
    """What to do with one picture."""

    verdict: Action
    reasons: list[Reason] = Field(description="The categories that are not allowed, the worst first.")
    categories: dict[str, CategoryVerdict]
    view: Viewed | None = None
    frames: SeenFrames | None = Field(default=None, description="Of an animated picture.")
    embedding: str | None = Field(default=None, description="With `return_embedding`.")


class PolicyName(BaseModel):
    """Which policy judged."""

    name: str | None = Field(description="null where the policy came with the request.")
    version: str = Field(description="A hash of the policy's content.")
    calibrated: bool


class OneVerdict(Verdict):
    """The answer to one picture."""

    policy: PolicyName
    model: ModelName
    warnings: Warnings


class ManyVerdicts(BaseModel):
    """The answer to several pictures."""

    verdict: Action = Field(description="The worst of all.")
    results: list[Verdict]
    policy: PolicyName
    model: ModelName
    warnings: Warnings


class StoreHealth(BaseModel):
    """The store, as just seen."""

    state: str = Field(description="none (not configured), up, read-only, down, or unknown (not asked yet).")


class Instance(BaseModel):
    """The process that answered."""

    id: str = Field(description="Two answers with one id came from one process.")
    seconds: float = Field(description="How long it has run.")
    memory_mb: int | None = Field(description="The memory that its Lambda has, in MiB; null elsewhere.")
    peak_mb: float | None = Field(description="The most that it ever held, in MiB; null where the system does not say.")


class Processor(BaseModel):
    """What it runs on, as /proc/cpuinfo says."""

    architecture: str
    name: str | None
    cpus: int | None
    features: list[str] = Field(description="The instructions that the first CPU offers.")


class Health(BaseModel):
    """The answer of `GET /health`."""

    status: Literal["ok"]
    model: ModelName
    store: StoreHealth
    instance: Instance | None = Field(default=None, description="With `details`.")
    processor: Processor | None = Field(default=None, description="With `details`.")
    warnings: Warnings


class LabelSetDescription(BaseModel):
    """A configured label set."""

    name: str
    description: str
    labels: list[str]
    categories: dict[str, list[str]] | None = Field(description="The labels of each category.")


class LabelSetList(BaseModel):
    """The answer of `GET /label-sets`."""

    label_sets: list[LabelSetDescription]


class CategoryDescription(BaseModel):
    """One of a policy's categories."""

    labels: list[str]
    against: list[str] = Field(description="What it is compared with: the policy's `neutral` and its own `against`.")
    review: float | None
    block: float | None


class PolicyDescription(PolicyName):
    """A configured policy."""

    description: str
    view: View
    candidate: str | None
    categories: dict[str, CategoryDescription]
    policy: dict[str, Any] = Field(
        description="The policy as it is written: what a request's `policy` takes, and what a policy's file holds."
    )


class PolicyList(BaseModel):
    """The answer of `GET /policies`."""

    policies: list[PolicyDescription]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
