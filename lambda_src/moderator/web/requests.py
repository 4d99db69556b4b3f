"""Turns a request's fields into a question: the pictures, what to look for, and what the answer should look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from moderator.clip.model import Model
from moderator.errors import InvalidField, TooMuch
from moderator.label_text import fault_of
from moderator.labels.label_sets import LabelSet
from moderator.pictures.batch import Picture
from moderator.policy.file import check_calibration, read_inline
from moderator.policy.policy import Policy
from moderator.question import Embedded, Limits, ModerationQuestion, Question, Wanted
from moderator.web.embeddings import read_embedding
from moderator.web.encoded_picture import decode_picture
from moderator.web.payload import Sent
from moderator.web.quoting import readable
from moderator.web.request_models import ClassifyRequest, LabelSetName, ModerateRequest, PictureRequest, check_fields

Asked = TypeVar("Asked", Question, ModerationQuestion)


@dataclass(frozen=True, kw_only=True)
class Asking(Generic[Asked]):
    """A question, and what its answer has to look like."""

    question: Asked
    many: bool  # asked about a list of pictures: the answer is a list, even for one
    return_embedding: bool
    names: tuple[str, ...] | None = None  # of `questions`, where they were several


class RequestReader:
    """Reads requests for one model with its label sets and policies."""

    def __init__(
        self, *, model: Model, label_sets: Mapping[str, LabelSet], policies: Mapping[str, Policy], limits: Limits
    ) -> None:
        self._model = model
        self._label_sets = label_sets
        self._policies = policies
        self._limits = limits

    def classification(self, sent: Sent) -> Asking[Question]:
        """Read a request of `POST /classify`.

        Raises:
            MalformedBody: a picture's base64 is not base64.
            InvalidField: a field is missing, of the wrong type, empty or given twice.
            TooMuch: more labels or pictures than allowed.
        """
        names = {"json": "labels", "form": "labels", "query": "label"}
        field = names[sent.place]
        self._count_pictures(sent.fields)
        self._count_labels(sent.fields, field)
        request = check_fields(ClassifyRequest, sent.fields, renamed={"labels": field})
        pictures, many = self._pictures(request, sent)
        wanted, questions = self._wanted(request, sent, field)
        return Asking(
            question=Question(pictures=pictures, wanted=wanted, view=request.view or "center"),
            many=many,
            return_embedding=bool(request.return_embedding),
            names=questions,
        )

    def moderation(self, sent: Sent) -> Asking[ModerationQuestion]:
        """Read a request of `POST /moderate`.

        Raises:
            MalformedBody: a picture's base64 is not base64.
            InvalidField: a field is missing, of the wrong type or empty, or the policy is not valid.
            TooMuch: more labels, categories or pictures than allowed.
        """
        self._count_pictures(sent.fields)
        request = check_fields(ModerateRequest, sent.fields, renamed={})
        pictures, many = self._pictures(request, sent)
        return Asking(
            question=ModerationQuestion(pictures=pictures, policy=self.policy(request.policy), view=request.view),
            many=many,
            return_embedding=bool(request.return_embedding),
        )

    def policy(self, asked: str | dict[str, object] | None) -> Policy:
        """Find the policy of that name, or read the one given.

        Raises:
            InvalidField: there is none of that name, or the one given is not valid or is calibrated for another model.
            TooMuch: it has more labels or categories than allowed.
        """
        known = ", ".join(self._policies) or "none"
        if asked is None:
            raise InvalidField(f"policy is missing: give a policy, or the name of one; the policies are {known}.")
        if isinstance(asked, str):
            if asked not in self._policies:
                raise InvalidField(f"policy {readable(asked)} is not configured: the policies are {known}.")
            return self._policies[asked]
        policy = read_inline(asked, known=self._policies.keys(), max_labels=self._limits.labels)
        check_calibration(policy, name=self._model.name, pretrained=self._model.pretrained)
        return policy

    def _pictures(self, request: PictureRequest, sent: Sent) -> tuple[tuple[Picture | Embedded, ...], bool]:
        if sent.pictures is not None:
            given = [name for name in ("image_data", "images", "embedding") if getattr(request, name) is not None]
            if given:
                raise InvalidField(f"{given[0]} is given as well as the picture itself: give only one of them.")
            return sent.pictures, len(sent.pictures) > 1
        source = _exactly_one(request, ("image_data", "images", "embedding"), "the picture")
        if source == "embedding":
            if request.view is not None:
                raise InvalidField("view is given with embedding: an embedding's view was chosen when it was made.")
            return (read_embedding(request.embedding or "", self._model),), False
        if source == "image_data":
            return (decode_picture(request.image_data or "", "image_data"),), False
        images = request.images or []
        return tuple(decode_picture(text, f"images[{place}]") for place, text in enumerate(images)), True

    def _wanted(
        self, request: ClassifyRequest, sent: Sent, field: str
    ) -> tuple[tuple[Wanted, ...], tuple[str, ...] | None]:
        if sent.place == "query":
            if request.labels is not None and request.label_set is not None:
                raise InvalidField("label and label_set are both in the query: give only one of them.")
            if request.labels is None and request.label_set is None:
                raise InvalidField("label is missing: ask with ?label=a&label=b or ?label_set=NAME.")
        given = _exactly_one(request, ("labels", "label_set", "questions"), "what to look for")
        if given == "label_set":
            return (self._from_set(request.label_set or "", "label_set"),), None
        if given == "labels":
            return (_own_labels(request.labels or [], field),), None
        questions = request.questions or {}
        for name in questions:
            if fault := fault_of(name):
                raise InvalidField(f"questions has a name that {fault}.")
        wanted = tuple(
            self._from_set(labels.label_set, f"questions[{readable(name)}].label_set")
            if isinstance(labels, LabelSetName)
            else _own_labels(labels, f"questions[{readable(name)}]")
            for name, labels in questions.items()
        )
        total = sum(len(one.labels) for one in wanted)
        if total > self._limits.labels:
            raise TooMuch(
                f"questions hold {total:,} labels in all: at most {self._limits.labels:,} are allowed in one call."
            )
        return wanted, tuple(questions)

    def _from_set(self, name: str, field: str) -> Wanted:
        chosen = self._label_sets.get(name)
        if chosen is None:
            known = ", ".join(self._label_sets) or "none"
            raise InvalidField(f"{field} {readable(name)} is not configured: the label sets are {known}.")
        return Wanted(labels=chosen.labels, categories=chosen.categories)

    # Counted before the items are looked at: a million of them can be refused without checking each.

    def _count_labels(self, fields: Mapping[str, object], field: str) -> None:
        labels, questions = fields.get("labels"), fields.get("questions")
        most = self._limits.labels
        if isinstance(labels, list | dict) and len(labels) > most:
            raise TooMuch(f"{field} holds {len(labels):,} labels: at most {most:,} are allowed in one call.")
        if isinstance(questions, dict):
            total = sum(len(one) if isinstance(one, list | dict) else 1 for one in questions.values())
            if total > most:
                raise TooMuch(f"questions hold {total:,} labels in all: at most {most:,} are allowed in one call.")

    def _count_pictures(self, fields: Mapping[str, object]) -> None:
        images = fields.get("images")
        if isinstance(images, list) and len(images) > self._limits.pictures:
            raise TooMuch(
                f"images holds {len(images):,} pictures: at most {self._limits.pictures} are allowed in one call."
            )


def _exactly_one(request: PictureRequest, names: Sequence[str], meaning: str) -> str:
    given = [name for name in names if getattr(request, name) is not None]
    if not given:
        raise InvalidField(f"{names[0]} is missing: give {meaning} in {', '.join(names[:-1])} or {names[-1]}.")
    if len(given) > 1:
        raise InvalidField(f"{given[0]} and {given[1]} are both given: give only one of them.")
    return given[0]


def _own_labels(labels: list[str] | dict[str, str], field: str) -> Wanted:
    categories = None
    if isinstance(labels, dict):
        categories = tuple(labels.values())
        for label, category in labels.items():
            if fault := fault_of(category):
                raise InvalidField(f"{field}[{readable(label)}] {fault}.")
    places: dict[str, int] = {}
    for place, label in enumerate(labels):
        name = f"{field}[{place}]"
        if fault := fault_of(label):
            raise InvalidField(f"{name} {fault}.")
        if label in places:
            raise InvalidField(
                f"{name} repeats {field}[{places[label]}], {readable(label)}: give each label once, "
                "because the answer has one probability for each."
            )
        places[label] = place
    return Wanted(labels=tuple(labels), categories=categories)
