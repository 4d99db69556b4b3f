"""Turns a request's body or query into a question: the pictures' bytes and the labels to look for."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moderator import strict_json
from moderator.errors import InvalidField, MalformedBody, TooMuch
from moderator.labels.label_sets import LabelSet
from moderator.pictures.batch import Picture
from moderator.web.schema import LONGEST_LABEL, ClassifyRequest, check_request

_DATA_PREFIX = re.compile(r"\s*data:[^,;]{0,100}(?:;[^,;]{0,100})*?;base64,", re.IGNORECASE)
_WHITE_SPACE = re.compile(r"\s+")
_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a request asks: which of `labels` is in each of `pictures`."""

    pictures: tuple[Picture, ...]
    labels: tuple[str, ...]
    categories: tuple[str, ...] | None  # of each label, in the labels' order
    many: bool  # asked with `images`: the answer is a list, even for one picture


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one request may hold."""

    labels: int
    pictures: int
    body_bytes: int


def read_json(body: str | bytes, label_sets: Mapping[str, LabelSet], limits: Limits) -> Question:
    """Read a JSON request.

    Raises:
        MalformedBody: it is not JSON, or a picture's base64 is not base64.
        InvalidField: a field is missing, of the wrong type, empty or given twice.
        TooMuch: more bytes, labels or pictures than `limits`.
    """
    _check_size(len(body), limits)
    try:
        content = strict_json.loads(body)
    except strict_json.RepeatedKeyError as error:
        raise InvalidField(f"{_readable(error.key)} is given twice: give each field and each label once.") from error
    except ValueError as error:
        raise MalformedBody(
            f"The body is not JSON ({error}): send a JSON object with image_data and labels, or the picture itself "
            "with Content-Type image/* and the labels in the query."
        ) from error
    _check_counts(content, limits)
    request = check_request(content)
    encoded = [request.image_data] if request.image_data is not None else request.images or []
    many = request.images is not None
    pictures = tuple(_decode(text, f"images[{place}]" if many else "image_data") for place, text in enumerate(encoded))
    labels, categories = _labels_of(request, label_sets)
    return Question(pictures=pictures, labels=labels, categories=categories, many=many)


def read_picture(
    body: bytes, query: Mapping[str, Sequence[str]], label_sets: Mapping[str, LabelSet], limits: Limits
) -> Question:
    """Read a request whose body is the picture and whose labels are in the query.

    Raises:
        InvalidField: the labels are missing, empty, given twice, or name no label set.
        TooMuch: more bytes or labels than `limits`.
    """
    _check_size(len(body), limits)
    asked, names = list(query.get("label", ())), list(query.get("label_set", ()))
    if asked and names:
        raise InvalidField("label and label_set are both in the query: give only one of them.")
    if len(names) > 1:
        raise InvalidField("label_set is given twice in the query: give one name.")
    if names:
        labels, categories = _from_set(names[0], label_sets)
    elif asked:
        if len(asked) > limits.labels:
            raise TooMuch(f"label is given {len(asked)} times in the query: at most {limits.labels} labels are read.")
        labels, categories = _checked(asked, "label"), None
    else:
        raise InvalidField("label is missing: ask with ?label=a&label=b or ?label_set=NAME.")
    picture = Picture(name="The body", data=body)
    return Question(pictures=(picture,), labels=labels, categories=categories, many=False)


def decode_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, with or without padding, white space and a data URL's prefix.

    Raises:
        ValueError: it is not base64.
    """
    prefix = _DATA_PREFIX.match(text)
    if prefix:
        text = text[prefix.end() :]
    try:
        # Nearly always right at once; every clean-up below copies the whole picture.
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        text = _WHITE_SPACE.sub("", text).translate(_URL_SAFE).rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _decode(text: str, name: str) -> Picture:
    try:
        return Picture(name=name, data=decode_base64(text))
    except ValueError as error:
        raise MalformedBody(f"{name} is not base64 ({error}): send the picture's bytes encoded in base64.") from error


def _labels_of(
    request: ClassifyRequest, label_sets: Mapping[str, LabelSet]
) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    if request.label_set is not None:
        return _from_set(request.label_set, label_sets)
    if isinstance(request.labels, dict):
        categories = tuple(request.labels.values())
        for label, category in request.labels.items():
            _check_text(category, f"labels[{_readable(label)}]")
        return _checked(list(request.labels), "labels"), categories
    return _checked(request.labels or [], "labels"), None


def _from_set(name: str, label_sets: Mapping[str, LabelSet]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    chosen = label_sets.get(name)
    if chosen is None:
        known = ", ".join(label_sets) or "none"
        raise InvalidField(f"label_set {_readable(name)} is not configured: the label sets are {known}.")
    return chosen.labels, chosen.categories


def _checked(labels: Sequence[str], field: str) -> tuple[str, ...]:
    places: dict[str, int] = {}
    for place, label in enumerate(labels):
        name = f"{field}[{place}]"
        _check_text(label, name)
        if label in places:
            raise InvalidField(
                f"{name} repeats {field}[{places[label]}], {_readable(label)}: give each label once, "
                "for the answer has one probability a label."
            )
        places[label] = place
    return tuple(labels)


def _check_text(text: str, name: str) -> None:
    if not text.strip():
        raise InvalidField(f"{name} is empty: it must say what to look for.")
    if len(text) > LONGEST_LABEL:
        raise InvalidField(f"{name} has {len(text):,} characters: at most {LONGEST_LABEL:,} are read.")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidField(f"{name} has half a surrogate pair (such as \\ud83d alone): send whole characters.")


def _check_counts(content: object, limits: Limits) -> None:
    """Count before looking at the items: a million of them need not be checked one by one to be refused."""
    if not isinstance(content, dict):
        return
    labels, images = content.get("labels"), content.get("images")
    if isinstance(labels, list | dict) and len(labels) > limits.labels:
        raise TooMuch(f"labels holds {len(labels):,} labels: at most {limits.labels:,} are read in one call.")
    if isinstance(images, list) and len(images) > limits.pictures:
        raise TooMuch(f"images holds {len(images):,} pictures: at most {limits.pictures} are read in one call.")


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.body_bytes:
        raise TooMuch(f"The body has {size:,} bytes: at most {limits.body_bytes:,} are read.")


def _readable(text: str) -> str:
    """Quote a client's text in an answer: shortened, and with nothing that UTF-8 cannot carry."""
    shortened = text if len(text) <= 40 else f"{text[:40]}…"
    return repr(shortened.encode("utf-8", "replace").decode())
