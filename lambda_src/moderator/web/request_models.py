"""What a request looks like: the models that requests are checked against and OpenAPI is made from."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from moderator.errors import InvalidField
from moderator.label_text import LONGEST_LABEL
from moderator.pictures.views import View
from moderator.web.quoting import kind_of, readable

Label = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL)]
Category = Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL)]
# A red circle, so that the documentation's own examples can be tried.
EXAMPLE_PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQMAAACQp+OdAAAABlBMVEXr6+vWHCTU7pJ3AAAAg0lEQVR42r3QsQ2DQBQE0ccHCTJTAu4Ed+QSrwSXQAmEJwtx"
    "DpCtC4gcsNFoVtpguTa3jMCzP0RTSgJ9KSvBwEAw0hFMBMFMQ0tCk0IDs/jOx4FTbToYa/ODAYbT6j/IkE+rDdba7LDUpkDSYuYhSBSChZ1gZSPIZII3"
    "L1qY79XPF+QDrEEctGfYTQAAAAAASUVORK5CYII="
)
Base64Picture = Annotated[
    str,
    Field(
        min_length=1,
        description="One picture in base64: standard or URL-safe alphabet, with or without padding, white space and a "
        "`data:image/...;base64,` prefix. JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF.",
        examples=[EXAMPLE_PICTURE],
    ),
]
Name = Annotated[str, Field(min_length=1)]

# A union's tags: pydantic's own steps on the way to a field, not the client's. No client's key looks like one.
_LIST, _OBJECT, _SET = "\0list", "\0object", "\0label set"


class LabelSetName(BaseModel):
    """A configured label set, by its name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    label_set: Name


def _kind_of_labels(value: Any) -> str | None:
    match value:
        case list():
            return _LIST
        case dict():
            return _OBJECT
        case _:
            return None


def _kind_of_question(value: Any) -> str | None:
    match value:
        case LabelSetName():
            return _SET
        case {"label_set": _, **rest} if not rest:
            return _SET
        case _:
            return _kind_of_labels(value)


_LabelList = Annotated[list[Label], Tag(_LIST), Field(min_length=1)]
_LabelObject = Annotated[dict[Label, Category], Tag(_OBJECT), Field(min_length=1)]
Labels = Annotated[
    _LabelList | _LabelObject,
    Discriminator(_kind_of_labels, custom_error_type="labels_kind", custom_error_message="labels"),
]
LabelsOfQuestion = Annotated[
    _LabelList | _LabelObject | Annotated[LabelSetName, Tag(_SET)],
    Discriminator(_kind_of_question, custom_error_type="question_kind", custom_error_message="question"),
]


class PictureRequest(BaseModel):
    """What every question about pictures may have: exactly one of `image_data`, `images` and `embedding`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    image_data: Base64Picture | None = None
    images: Annotated[list[Base64Picture], Field(min_length=1)] | None = None
    embedding: Annotated[
        str | None,
        Field(min_length=1, description="Instead of a picture: what an earlier answer of the same model gave for it."),
    ] = None
    view: Annotated[
        View | None,
        Field(description="Which part of a picture is looked at: its centre, all of it squashed or padded, or tiles."),
    ] = None
    return_embedding: Annotated[
        bool | None,
        Field(description="Add each picture's `embedding` to the answer, to ask about it again without it."),
    ] = None


class ClassifyRequest(PictureRequest):
    """A picture, or several, and exactly one of `labels`, `label_set` and `questions`."""

    labels: Annotated[
        Labels | None,
        Field(
            description="What to look for, in your own words, each label once; or `{label: category}`.",
            examples=[["a red circle", "a blue square"]],
        ),
    ] = None
    label_set: Annotated[Name | None, Field(description="The name of a configured label set.")] = None
    questions: Annotated[
        dict[Name, LabelsOfQuestion] | None,
        Field(
            min_length=1,
            description="Several independent questions by name: each a list or an object of labels, or "
            '`{"label_set": NAME}`.',
        ),
    ] = None


class ModerateRequest(PictureRequest):
    """A picture, or several, and the policy to judge them by."""

    policy: Annotated[
        Name | dict[str, Any] | None,
        Field(description="The name of a configured policy, or a whole policy.", examples=["demo"]),
    ] = None


Model = TypeVar("Model", bound=PictureRequest)


def check_fields(model: type[Model], fields: Any, *, renamed: dict[str, str]) -> Model:
    """Check a request's fields.

    Args:
        model: what they are checked against.
        fields: by name; unknown names are refused before anything else is looked at.
        renamed: what a field is called in the client's form, where that is another name.

    Raises:
        InvalidField: names the field, what was wrong with it and what would be right.
    """
    unknown = next((name for name in fields if name not in model.model_fields), None)
    if unknown is not None:
        raise InvalidField(
            f"{readable(unknown)} is not a field of this request: the fields are {', '.join(model.model_fields)}."
        )
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        raise InvalidField(_sentence(first, renamed)) from error


def _sentence(error: ErrorDetails, renamed: dict[str, str]) -> str:
    # "[key]" marks a key. A policy is a text or an object: what is wrong inside the object, its own reader says.
    steps = [step for step in error["loc"] if step not in (_LIST, _OBJECT, _SET, "[key]")]
    if steps[0] == "policy":
        steps = steps[:1]
    field = renamed.get(str(steps[0]), str(steps[0])) + "".join(
        f"[{step}]" if isinstance(step, int) else f"[{readable(step)}]" for step in steps[1:]
    )
    found = kind_of(error["input"])
    if steps[0] == "policy":
        if error["input"] == "":
            return "policy is empty: it must be the name of a policy, or a whole policy."
        return f"policy is {found}: it must be the name of a policy, or a whole policy."
    match error["type"]:
        case "extra_forbidden":
            return f"{field} is not a field here: the field is label_set."
        case "string_type":
            return f"{field} is {found}: it must be a string."
        case "bool_type":
            return f"{field} is {found}: it must be true or false."
        case "string_unicode":
            return f"{field} has half a surrogate pair (such as \\ud83d alone): send whole characters."
        case "list_type":
            return f"{field} is {found}: it must be a list of strings."
        case "dict_type":
            return f"{field} is {found}: it must be an object {{name: labels}}."
        case "literal_error":
            shown = readable(error["input"]) if isinstance(error["input"], str) else found
            return f"{field} is {shown}: it must be {error['ctx']['expected'].replace(chr(39), '')}."
        case "string_too_short" | "too_short":
            return (
                f"{field} is empty: it must hold at least one {'item' if error['type'] == 'too_short' else 'letter'}."
            )
        case "string_too_long":
            return f"{field} has {len(error['input']):,} characters: at most {LONGEST_LABEL:,} are allowed."
        case "labels_kind":
            return f"{field} is {found}: it must be a list of labels or an object {{label: category}}."
        case "question_kind":
            return (
                f"{field} is {found}: it must be a list of labels, an object {{label: category}} "
                'or {"label_set": NAME}.'
            )
        case _:
            return f"{field} is not valid: {error['msg']}."
