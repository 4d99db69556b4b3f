"""What a policy's JSON looks like: the models that files and requests are checked against and OpenAPI is made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moderator.label_text import LONGEST_LABEL
from moderator.policy.mistake import PolicyMistake, from_pydantic, readable
from moderator.policy.policy import Action, View

LONGEST_NAME = 100
# An animation's frames share the time of one request.
MOST_FRAMES = 64
LONGEST_STEP = 3600.0  # seconds

# What a verdict's reasons are called where the reason is not a category.
RESERVED_NAMES = frozenset({"sample", "error"})

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)

Label = Annotated[str, Field(max_length=LONGEST_LABEL, pattern=r"\S")]
Name = Annotated[str, Field(max_length=LONGEST_NAME, pattern=r"\S")]
RekognitionName = Annotated[str, Field(max_length=LONGEST_NAME, pattern=r"^[^/]*\w[^/]*(/[^/]*\w[^/]*){0,2}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class FramesObject(BaseModel):
    """Which frames of an animated picture are looked at, and how many of them must agree."""

    model_config = _STRICT

    most: Annotated[int, Field(ge=1, le=MOST_FRAMES)] = 8
    at_least: Annotated[int, Field(ge=1, le=MOST_FRAMES)] = 1
    every: Annotated[float, Field(ge=0, le=LONGEST_STEP, description="Seconds.")] = 0.0


class OtherNames(BaseModel):
    """What other services call a category."""

    model_config = _STRICT

    openai: Name | None = None
    rekognition: Annotated[RekognitionName | None, Field(description="With its parents, such as `A/B`.")] = None


class CategoryObject(BaseModel):
    """One thing that is looked for: at least one of `review` and `block`, `block` no less than `review`."""

    model_config = _STRICT

    labels: Annotated[list[Label], Field(min_length=1, description="What the category looks like, in your own words.")]
    against: Annotated[list[Label], Field(description="What looks alike and is harmless.")] = []
    review: Share | None = None
    block: Share | None = None
    as_: Annotated[OtherNames, Field(alias="as")] = OtherNames()


class ModelObject(BaseModel):
    """A model, by the names in its manifest."""

    model_config = _STRICT

    name: Label
    pretrained: Label


class ScaleObject(BaseModel):
    """What a category's evidence is multiplied by, and what is then added."""

    model_config = _STRICT

    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    offset: Annotated[float, Field(allow_inf_nan=False)]


class CalibrationObject(BaseModel):
    """How evidence becomes a probability, with one model; any other field says how it was found."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    model: ModelObject
    categories: Annotated[dict[Name, ScaleObject], Field(min_length=1)]


class PolicyObject(BaseModel):
    """A policy."""

    model_config = _STRICT

    description: Annotated[str, Field(max_length=LONGEST_LABEL)] = ""
    view: View = "tiles"
    frames: FramesObject = FramesObject()
    on_error: Action = "review"
    sample: Share = 0.0
    neutral: Annotated[list[Label], Field(description="What every category is compared with.")] = []
    categories: Annotated[dict[Name, CategoryObject], Field(min_length=1)]
    candidate: Annotated[Name | None, Field(description="A configured policy that is judged beside this one.")] = None
    calibration: CalibrationObject | None = None


def check_policy(content: Any) -> PolicyObject:
    """Check parsed JSON.

    Raises:
        PolicyMistake: names the first field that is wrong, and what would be right.
    """
    try:
        policy = PolicyObject.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        raise from_pydantic(first, _MUST, _FIELDS) from error
    _check_frames(policy.frames)
    for name, category in policy.categories.items():
        _check_category(name, category, policy.neutral)
    for name in policy.calibration.categories if policy.calibration else ():
        if name not in policy.categories:
            known = ", ".join(policy.categories)
            raise PolicyMistake(
                ("calibration", "categories", name), f"is not a category of this policy: its categories are {known}"
            )
    return policy


def _check_frames(frames: FramesObject) -> None:
    if frames.at_least > frames.most:
        raise PolicyMistake(
            ("frames", "at_least"), f"is {frames.at_least}: it must be no more than frames.most, {frames.most}"
        )


def _check_category(name: str, category: CategoryObject, neutral: Sequence[str]) -> None:
    place = ("categories", name)
    if name in RESERVED_NAMES:
        raise PolicyMistake(place, "has a name that verdicts use themselves: choose one other than sample and error")
    if category.review is None and category.block is None:
        raise PolicyMistake(place, "has neither review nor block: give at least one of them")
    if category.review is not None and category.block is not None and category.block < category.review:
        raise PolicyMistake(
            (*place, "block"), f"is {category.block}: it must be no less than review, {category.review}"
        )
    if not category.against and not neutral:
        raise PolicyMistake(place, "has nothing to be compared with: give it against, or give the policy neutral")
    opposite = dict.fromkeys(neutral, "the policy's neutral") | dict.fromkeys(category.against, "its against")
    for number, label in enumerate(category.labels):
        if label in opposite:
            raise PolicyMistake(
                (*place, "labels", number),
                f"is {readable(label)}, which is in {opposite[label]} too: no label can be on both sides",
            )


_SHARE = "a number from 0 to 1"
_LABEL = "a text that is not empty"
_NAME = f"a text of 1 to {LONGEST_NAME} characters"

# What each kind of field must be, as the end of a sentence.
_MUST = {
    "": "an object with categories",
    "description": "a text",
    "view": "center, squash, pad or tiles",
    "frames": "an object with most, at_least and every",
    "frames.most": f"a whole number from 1 to {MOST_FRAMES}",
    "frames.at_least": f"a whole number from 1 to {MOST_FRAMES}",
    "frames.every": f"a number of seconds from 0 to {LONGEST_STEP:.0f}",
    "on_error": "allow, review or block",
    "sample": _SHARE,
    "neutral": "a list of labels",
    "neutral.#": _LABEL,
    "categories": "an object {name: category} with at least one category",
    "categories.*?": _NAME,
    "categories.*": "an object with labels, and review or block",
    "categories.*.labels": "a list of at least one label",
    "categories.*.labels.#": _LABEL,
    "categories.*.against": "a list of labels",
    "categories.*.against.#": _LABEL,
    "categories.*.review": _SHARE,
    "categories.*.block": _SHARE,
    "categories.*.as": "an object with openai and rekognition, or one of them",
    "categories.*.as.openai": _NAME,
    "categories.*.as.rekognition": "a name, with its parents before it: A/B/C at the longest",
    "candidate": "the name of another policy",
    "calibration": "an object with model and categories",
    "calibration.model": "an object with name and pretrained",
    "calibration.model.name": _LABEL,
    "calibration.model.pretrained": _LABEL,
    "calibration.categories": "an object {category: {scale, offset}} with at least one category",
    "calibration.categories.*?": "the name of a category",
    "calibration.categories.*": "an object with scale and offset",
    "calibration.categories.*.scale": "a number above 0",
    "calibration.categories.*.offset": "a number",
}


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


_FIELDS = {
    "": _names(PolicyObject),
    "frames": _names(FramesObject),
    "categories.*": _names(CategoryObject),
    "categories.*.as": _names(OtherNames),
    "calibration.model": _names(ModelObject),
    "calibration.categories.*": _names(ScaleObject),
}
