"""Rekognition's pictures in S3: read where the owner names the bucket, and refused everywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from moderator.handler import build_handler
from support.client_pictures import BLOCKED, NO_PICTURE
from support.harness import serving
from support.s3 import S3, s3

from .conftest import DEMO
from .test_rekognition import client_of

NAMES = ["a.png", "folder/a b.png", "a+b%20c.png", "über/😀.png", "a~b(1)'!*.png", "a//b.png"]


@pytest.fixture
def store() -> Iterator[S3]:
    objects = {("pictures.example", name): BLOCKED for name in NAMES}
    objects |= {
        ("pictures.example", "large"): BLOCKED + bytes(2_000_000),
        ("pictures.example", "no picture"): NO_PICTURE,
        ("pictures.example", "nothing"): b"",
        ("other", "a.png"): BLOCKED,
    }
    with s3(objects) as running:
        yield running


@pytest.fixture
def client(store: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    settings = replace(DEMO, read_buckets="pictures.example, more", max_body_bytes=1_000_000)
    with serving(build_handler(settings)) as service:
        yield client_of(service)


def placed(name: str, bucket: str = "pictures.example", **more: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": bucket, "Name": name, **more}}


@pytest.mark.parametrize("name", NAMES)
def test_an_object_of_a_named_bucket_is_judged_as_its_bytes_are(name: str, client: Any, store: S3) -> None:
    there = client.detect_moderation_labels(Image=placed(name))
    here = client.detect_moderation_labels(Image={"Bytes": BLOCKED})
    assert there["ModerationLabels"] == here["ModerationLabels"] != []
    assert store.asked == [("pictures.example", name)]
    assert store.refused == []


def test_a_version_is_read_as_that_version(client: Any, store: S3) -> None:
    client.detect_labels(Image=placed("a.png", Version="a/b+c="))
    assert store.asked == [("pictures.example", "a.png?versionId=a%2Fb%2Bc%3D")]
    assert store.refused == []


def test_another_bucket_is_not_even_asked(client: Any, store: S3) -> None:
    with pytest.raises(client.exceptions.InvalidS3ObjectException, match=r"more, pictures\.example"):
        client.detect_moderation_labels(Image=placed("a.png", "other"))
    assert store.asked == []


@pytest.mark.parametrize(
    ("name", "exception", "words"),
    [
        ("not there", "InvalidS3ObjectException", "404 NoSuchKey"),
        ("large", "ImageTooLargeException", "1,000,000 bytes"),
        ("no picture", "InvalidImageFormatException", "Image.S3Object is a web page"),
        ("nothing", "InvalidImageFormatException", "Image.S3Object"),
    ],
)
def test_what_cannot_be_judged_is_rekognitions_exception(name: str, exception: str, words: str, client: Any) -> None:
    with pytest.raises(getattr(client.exceptions, exception), match=words):
        client.detect_moderation_labels(Image=placed(name))


@pytest.mark.parametrize(
    ("refuses", "exception"),
    [
        ((403, "AccessDenied"), "InvalidS3ObjectException"),
        ((301, "PermanentRedirect"), "InvalidS3ObjectException"),
        ((503, "SlowDown"), "ThrottlingException"),
    ],
)
def test_what_s3_refuses_is_told(refuses: tuple[int, str], exception: str, client: Any, store: S3) -> None:
    store.refuses = refuses
    with pytest.raises(getattr(client.exceptions, exception), match=refuses[1]):
        client.detect_moderation_labels(Image=placed("a.png"))


def test_an_s3_that_does_not_answer_is_asked_again_by_the_sdk(
    client: Any, store: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(client.exceptions.ThrottlingException, match="S3 does not answer"):
        client.detect_moderation_labels(Image=placed("a.png"))


def test_bytes_and_an_object_are_one_too_many(client: Any) -> None:
    with pytest.raises(client.exceptions.InvalidParameterException, match="only one"):
        client.detect_moderation_labels(Image={**placed("a.png"), "Bytes": BLOCKED})
