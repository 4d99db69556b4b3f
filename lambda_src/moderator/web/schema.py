"""What a request and an answer look like: the models that requests are checked against and OpenAPI is made from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from moderator.errors import InvalidField

# No label of more characters fits into any CLIP's context; and cleaning and tokenising it would take long.
LONGEST_LABEL = 2000

Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL)]
Category = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL)]
Base64Picture = Annotated[
    str,
    Field(
        min_length=1,
        description="One picture in base64: standard or URL-safe alphabet, with or without padding, white space and a "
        "`data:image/...;base64,` prefix. JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.",
        # A red circle, so that the documentation's own example can be tried.
        examples=[
            "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAABlBMVEXr6+vWHCTU7pJ3AAAAg0lEQVR42r3QsQ2DQBQE0ccH"
            "CTJTAu4Ed+QSrwSXQAmEJwtxDpCtC4gcsNFoVtpguTa3jMCzP0RTSgJ9KSvBwEAw0hFMBMFMQ0tCk0IDs/jOx4FTbToYa/OD"
            "AYbT6j/IkE+rDdba7LDUpkDSYuYhSBSChZ1gZSPIZII3L1qY79XPF+QDrEEctGfYTQAAAAAASUVORK5CYII="
        ],
    ),
]


def _kind_of_labels(value: Any) -> str | None:
    match value:
        case list():
            return "list"
        case dict():
            return "object"
        case _:
            return None


Labels = Annotated[
    Annotated[list[Label], Tag("list"), Field(min_length=1)]
    | Annotated[dict[Label, Category], Tag("object"), Field(min_length=1)],
    Discriminator(
        _kind_of_labels,
        custom_error_type="labels_kind",
        custom_error_message="must be a list of labels or an object {label: category}",
    ),
]


class ClassifyRequest(BaseModel):
    """Exactly one of `image_data` and `images`, and exactly one of `labels` and `label_set`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    image_data: Base64Picture | None = None
    images: Annotated[list[Base64Picture], Field(min_length=1)] | None = None
    labels: Annotated[
        Labels | None,
        Field(
            description="What to look for, in your own words, each label once; or `{label: category}`.",
            examples=[["a red circle", "a blue square"]],
        ),
    ] = None
    label_set: Annotated[str, Field(min_length=1, description="The name of a configured label set.")] | None = None


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    pretrained: str
    fingerprint: str


class Result(BaseModel):
    """One picture's probabilities."""

    result: dict[str, float] = Field(description="Each label's probability, in the order asked; they sum to 1.")
    categories: dict[str, float] | None = Field(
        default=None, description="Each category's sum of its labels' probabilities."
    )


class OnePicture(Result):
    """The answer to `image_data`, or to a picture sent as the body."""

    model: ModelName


class ManyPictures(BaseModel):
    """The answer to `images`."""

    results: list[Result]
    model: ModelName


class StoreHealth(BaseModel):
    """The store, as just seen."""

    state: str = Field(description="none (not configured), up, read-only, down, or unknown (not asked yet).")


class Health(BaseModel):
    """The answer of `GET /health`."""

    status: str
    model: ModelName
    store: StoreHealth


class LabelSetDescription(BaseModel):
    """A configured label set."""

    name: str
    description: str
    labels: list[str]
    categories: dict[str, list[str]] | None = Field(description="The labels of each category.")


class LabelSetList(BaseModel):
    """The answer of `GET /label-sets`."""

    label_sets: list[LabelSetDescription]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


def check_request(content: Any) -> ClassifyRequest:
    """Check a parsed JSON body.

    Raises:
        InvalidField: names the field, what was wrong with it and what would be right.
    """
    if not isinstance(content, dict):
        raise InvalidField(f"The body is {_kind(content)}: it must be an object with image_data and labels.")
    try:
        request = ClassifyRequest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        raise InvalidField(_sentence(first)) from error
    _exactly_one(request, "image_data", "images", "the picture")
    _exactly_one(request, "labels", "label_set", "what to look for")
    return request


def _exactly_one(request: ClassifyRequest, one: str, other: str, meaning: str) -> None:
    given = [name for name in (one, other) if getattr(request, name) is not None]
    if not given:
        raise InvalidField(f"{one} is missing: give {meaning} in {one} or {other}.")
    if len(given) == 2:
        raise InvalidField(f"{one} and {other} are both given: give only one of them.")


def _sentence(error: ErrorDetails) -> str:
    # The tags of the union of list and object are pydantic's own steps, not the client's; "[key]" marks a key.
    steps = [step for step in error["loc"] if step not in ("list", "object", "[key]")]
    # A name that is no Unicode at all has no place either.
    field = "".join(
        str(step) if not place else f"[{step}]" if isinstance(step, int) else f"[{_shortened(step)}]"
        for place, step in enumerate(steps or ["a field's name"])
    )
    found = _kind(error["input"])
    match error["type"]:
        case "extra_forbidden":
            fields = ", ".join(ClassifyRequest.model_fields)
            return f"{_shortened(field)} is not a field of this request: the fields are {fields}."
        case "string_type":
            return f"{field} is {found}: it must be a string."
        case "string_unicode":
            return f"{field} has half a surrogate pair (such as \\ud83d alone): send whole characters."
        case "list_type":
            return f"{field} is {found}: it must be a list of strings."
        case "string_too_short" | "too_short":
            return (
                f"{field} is empty: it must hold at least one {'item' if error['type'] == 'too_short' else 'letter'}."
            )
        case "string_too_long":
            return f"{field} has {len(error['input']):,} characters: at most {LONGEST_LABEL:,} are read."
        case "labels_kind":
            return f"{field} is {found}: it must be a list of labels or an object {{label: category}}."
        case _:
            return f"{field} is not valid: {error['msg']}."


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"
