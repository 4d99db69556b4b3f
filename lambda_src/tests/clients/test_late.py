"""Where not all labels are embedded in time, each client is told so in its own form, and when to go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moderator.clip.model import Model
from moderator.clip.towers import Embeddings, TextBatch, TextTower
from moderator.errors import OutOfTime
from moderator.handler import Towers, build_handler, load_towers
from support.client_pictures import ALLOWED, BROKEN
from support.harness import Service, serving

from .conftest import DEMO
from .test_misskey import PICTURE, ask, code, form, read
from .test_openai import client_of, image
from .test_photoprism import UPLOAD_THRESHOLD
from .test_photoprism import ask as ask_as_photoprism
from .test_photoprism import read as read_as_photoprism
from .test_pict_rs import upload
from .test_rekognition import client_of as aws_client_of


class LateTower(TextTower):
    """A text tower that is never done in time."""

    def embed_batch(self, batch: TextBatch) -> Embeddings:
        raise OutOfTime(done=1, labels=2, retry_after=3)


def load(model: Model, threads: int) -> Towers:
    return Towers(image=load_towers(model, threads).image, text=LateTower(model, threads=threads))


@pytest.fixture(scope="module")
def late() -> Iterator[Service]:
    with serving(build_handler(DEMO, load=load)) as running:
        yield running


def test_openais_sdk_may_ask_again(late: Service) -> None:
    import openai

    with client_of(late) as client, pytest.raises(openai.InternalServerError) as caught:
        client.moderations.create(input=[image(ALLOWED)])
    assert (caught.value.status_code, caught.value.code) == (503, "out_of_time")
    assert caught.value.response.headers["retry-after"] == "3"


def test_aws_sdk_is_throttled_and_asks_again(late: Service) -> None:
    client = aws_client_of(late, attempts=2)
    with pytest.raises(client.exceptions.ThrottlingException) as caught:
        client.detect_moderation_labels(Image={"Bytes": ALLOWED})
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 1


def test_misskeys_model_is_unavailable_for_the_whole_request(late: Service) -> None:
    reply = ask(late, form(PICTURE, PICTURE))
    assert code(reply) == (503, "MODEL_UNAVAILABLE")
    assert reply.headers["retry-after"] == "3"
    assert read(reply, 2) == [None, None]


def test_a_broken_picture_beside_others_hides_it_from_nobody(late: Service) -> None:
    reply = ask(late, form(PICTURE, BROKEN))
    assert code(reply) == (503, "MODEL_UNAVAILABLE")
    assert reply.headers["retry-after"] == "3"


def test_pict_rs_refuses_unless_the_owner_wrote_otherwise(late: Service) -> None:
    assert upload(late, "", ALLOWED)[0] == 503
    assert upload(late, "on_error=allow", ALLOWED)[0] == 202


def test_photoprism_takes_it_for_unavailable(late: Service) -> None:
    reply = ask_as_photoprism(late, ALLOWED, ALLOWED)
    assert reply.json["code"] == reply.status == 503
    assert [one.decide(UPLOAD_THRESHOLD) for one in read_as_photoprism(reply, 2)] == ["unavailable"] * 2
