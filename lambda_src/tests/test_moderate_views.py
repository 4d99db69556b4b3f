"""Nothing in a picture is overlooked: neither its edges nor the frames of an animation."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from model_build.demo_captions import combinations
from model_build.demo_pictures import BACKGROUNDS, draw
from moderator.handler import Handler, build_handler
from moderator.settings import Settings
from support.animations import changing
from support.aws_events import http_api
from support.harness import Service
from support.pictures import as_base64, drawn, encoded

pytestmark = pytest.mark.slow

POLICY: dict[str, Any] = {
    "neutral": ["a green star", "a blue square"],
    "categories": {"red circles": {"labels": ["a red circle"], "block": 0.5}},
}
EXPECTED = {("red", "circle"): "block", ("blue", "square"): "review"}


def moderate(service: Service, **fields: Any) -> Any:
    reply = service.request("POST", "/moderate", json.dumps(fields), {"Content-Type": "application/json"})
    assert reply.status == 200, reply.body
    return reply.json


def square(image: Image.Image) -> Image.Image:
    """The centre, in which every drawing has its shape."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def at_the_edge(image: Image.Image, *, tall: bool = False, far: bool = False) -> Image.Image:
    """`image`, which is square, at an edge of a picture of 16:9 or 9:16 whose rest has the colour of its corner."""
    long = round(image.width * 16 / 9)
    size = (image.width, long) if tall else (long, image.width)
    wide = Image.new("RGB", size, image.getpixel((1, 1)))
    place = (long - image.width) if far else 0
    wide.paste(image, (0, place) if tall else (place, 0))
    return wide


@pytest.mark.parametrize("tall", [False, True], ids=["wide", "tall"])
@pytest.mark.parametrize("far", [False, True], ids=["near edge", "far edge"])
def test_what_is_at_the_edge_is_found_by_tiles_and_missed_by_the_centre(
    service: Service, tall: bool, far: bool
) -> None:
    star = square(drawn("green", "star", seed=1)).resize((200, 200))
    picture = Image.new("RGB", (600, 200), star.getpixel((1, 1)))
    picture.paste(star, (200, 0))
    left = 478 if far else 2
    ImageDraw.Draw(picture).ellipse((left, 40, left + 120, 160), fill=(214, 28, 36))
    if tall:
        # The star points up again.
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
        picture.paste(star, (0, 200))
    data = as_base64(encoded(picture))
    views = ("center", "pad", "tiles")
    center, pad, tiles = (moderate(service, image_data=data, policy="demo", view=view) for view in views)
    assert (center["verdict"], tiles["verdict"]) == ("allow", "block")
    # The demo model was trained on one large shape. It is unsure about a small one among others, yet finds the circle.
    assert pad["categories"]["red circles"]["score"] > 1000 * center["categories"]["red circles"]["score"]
    assert center["view"]["unseen"] == pytest.approx(1 - 200 / 600, abs=0.01)
    assert pad["view"] == {"kind": "pad", "parts": 1, "unseen": 0}
    assert tiles["view"] == {"kind": "tiles", "parts": 3, "unseen": 0}


@pytest.mark.parametrize("wide", [False, True], ids=["as drawn", "at the edge of 16:9"])
def test_the_demo_policy_is_right_about_500_new_drawings(service: Service, wide: bool) -> None:
    right = 0
    pairs = combinations()
    # Every fourth shape is one that the policy acts on: otherwise nearly all would be allowed.
    chosen = [[("red", "circle"), ("blue", "square")][n // 4 % 2] if n % 4 == 0 else pairs[n % 64] for n in range(500)]
    for start in range(0, 500, 10):
        numbers = range(start, start + 10)
        pictures = [
            draw(*chosen[number], BACKGROUNDS[number % 3], np.random.default_rng([31, number])) for number in numbers
        ]
        if wide:
            pictures = [at_the_edge(square(picture), far=place % 2 == 0) for place, picture in enumerate(pictures)]
        images = [as_base64(encoded(picture)) for picture in pictures]
        results = moderate(service, images=images, policy="demo")["results"]
        right += sum(
            one["verdict"] == EXPECTED.get(chosen[number], "allow")
            for number, one in zip(numbers, results, strict=True)
        )
    assert right >= 0.97 * 500, right


def test_a_tile_answers_as_the_same_square_sent_alone(service: Service) -> None:
    picture = at_the_edge(square(drawn("red", "circle")).resize((144, 144)), far=True)
    left, right = picture.crop((0, 0, 144, 144)), picture.crop((picture.width - 144, 0, picture.width, 144))
    labels = ["a red circle", "a blue square", "a green star"]
    whole = embedding(service, picture, view="tiles", labels=labels)
    alone = [embedding(service, part, view="center", labels=labels)[0] for part in (left, right)]
    assert np.array_equal(whole, np.stack(alone))


def embedding(service: Service, picture: Image.Image, **fields: Any) -> Any:
    import base64

    reply = service.classify(image_data=as_base64(encoded(picture)), return_embedding=True, **fields)
    text = reply.json["embedding"].partition(":")[2]
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(-1, 64)


def animated(frames: list[Image.Image], kind: str, durations: list[int]) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_a_moment_of_an_animation_is_found_and_named(service: Service, kind: str) -> None:
    harmless, harmful = square(drawn("green", "star")).resize((96, 96)), square(drawn("red", "circle")).resize((96, 96))
    frames = [harmless.copy() for _ in range(20)]
    frames[12] = harmful
    # No two neighbours are the same, or encoders would merge them.
    for number, frame in enumerate(frames):
        frame.putpixel((number, 0), (number * 10, 0, 0))
    durations = [500] * 20
    durations[12] = 3000
    data = as_base64(animated(frames, kind, durations))
    answer = moderate(service, image_data=data, policy="demo")
    assert answer["verdict"] == "block"
    (reason,) = answer["reasons"]
    assert reason["frame"] == 12
    assert 6.0 <= reason["seconds"] < 9.0
    # Eight moments, two of which fall into the long frame.
    assert answer["frames"] == {"seen": 7, "of": 20}
    assert (
        service.classify(image_data=data, labels=["a red circle", "a green star"]).json["result"]["a green star"] > 0.5
    )


def test_at_least_k_frames_must_agree(service: Service) -> None:
    harmless, harmful = square(drawn("green", "star")).resize((96, 96)), square(drawn("red", "circle")).resize((96, 96))
    data = as_base64(animated([harmless, harmful, harmless, harmless], "GIF", [500] * 4))
    once, twice = (
        moderate(service, image_data=data, policy=POLICY | {"frames": {"at_least": count}}) for count in (1, 2)
    )
    assert (once["verdict"], twice["verdict"]) == ("block", "allow")


@pytest.fixture(scope="module")
def partly_seen() -> dict[str, str]:
    """A large GIF, of whose frames all are needed and the last are beyond the limits, and a small one that is cut off.

    Both are harmless.
    """
    star = square(drawn("green", "star"))

    def dotted(side: int, count: int) -> list[Image.Image]:
        frames = [star.resize((side, side)).quantize(8) for _ in range(count)]
        for number, frame in enumerate(frames):
            frame.putpixel((number, 0), number % 8)  # frames that are equal are merged
        return frames

    long = changing((1200, 1200), 80, (1200, 1200), to=star, delay=50, transparent=True)
    whole = animated(dotted(96, 12), "GIF", [500] * 12)
    return {"beyond the limits": as_base64(long), "damaged": as_base64(whole[:-60])}


class TestWhatCouldNotBeSeenOfAnAnimation:
    """Frames beyond the limits, or behind damage, are not judged: the verdict is no milder than `on_error`."""

    @pytest.mark.parametrize("why", ["beyond the limits", "damaged"])
    def test_the_policys_on_error_is_the_least(self, service: Service, partly_seen: dict[str, str], why: str) -> None:
        data = partly_seen[why]
        answer = moderate(service, image_data=data, policy=POLICY)
        assert (answer["verdict"], answer["reasons"]) == ("review", [{"category": "error", "action": "review"}])
        assert answer["categories"]["red circles"]["action"] == "allow"
        assert 1 <= answer["frames"]["seen"] <= answer["frames"]["reachable"]
        assert [warning for warning in answer["warnings"] if "image_data is animated" in warning]
        if why == "beyond the limits":
            assert answer["frames"]["of"] == 80
            assert answer["frames"]["reachable"] < 80

        strict = moderate(service, image_data=data, policy=POLICY | {"on_error": "block"})
        assert (strict["verdict"], strict["reasons"]) == ("block", [{"category": "error", "action": "block"}])
        trusting = moderate(service, image_data=data, policy=POLICY | {"on_error": "allow"})
        assert (trusting["verdict"], trusting["reasons"]) == ("allow", [])

    def test_what_was_seen_counts_beside_it_and_the_worst_comes_first(
        self, service: Service, partly_seen: dict[str, str]
    ) -> None:
        stars = POLICY | {
            "on_error": "block",
            "neutral": ["a blue square"],
            "categories": {"stars": {"labels": ["a green star"], "against": ["a red circle"], "review": 0.5}},
        }
        answer = moderate(service, image_data=partly_seen["damaged"], policy=stars)
        named = [(reason["category"], reason["action"]) for reason in answer["reasons"]]
        assert (answer["verdict"], named) == ("block", [("error", "block"), ("stars", "review")])

    def test_a_replayed_embedding_says_so_too(self, service: Service, partly_seen: dict[str, str]) -> None:
        for data in partly_seen.values():
            first = moderate(service, image_data=data, policy=POLICY, return_embedding=True)
            again = moderate(service, embedding=first["embedding"], policy=POLICY)
            same = ("verdict", "reasons", "categories", "frames", "policy", "model")
            assert {name: again[name] for name in same} == {name: first[name] for name in same}
            assert [warning for warning in again["warnings"] if "not looked at to its end" in warning]

    def test_frames_that_nobody_asked_for_are_no_loss(self, service: Service, partly_seen: dict[str, str]) -> None:
        for frames in ({"most": 1}, {"every": 60}):
            for data in partly_seen.values():
                answer = moderate(service, image_data=data, policy=POLICY | {"frames": frames})
                assert (answer["verdict"], answer["frames"]["seen"]) == ("allow", 1)
                assert "reachable" not in answer["frames"]

    def test_classifys_embedding_has_the_first_frame_only(self, service: Service) -> None:
        star = square(drawn("green", "star")).resize((96, 96))
        data = as_base64(animated([star, square(drawn("red", "circle")).resize((96, 96))], "GIF", [500] * 2))
        text = service.classify(image_data=data, labels=["a", "b"], return_embedding=True).json["embedding"]
        answer = moderate(service, embedding=text, policy=POLICY)
        assert (answer["verdict"], answer["frames"]) == ("review", {"seen": 1, "of": 2, "reachable": 1})


def test_a_replayed_animation_gives_the_same_reasons(service: Service) -> None:
    harmless, harmful = square(drawn("green", "star")).resize((96, 96)), square(drawn("red", "circle")).resize((96, 96))
    dotted = harmless.copy()
    dotted.putpixel((0, 0), (9, 9, 9))  # a frame that equals the one before it is merged with it
    data = as_base64(animated([harmless, dotted, harmful, harmless], "GIF", [500, 1300, 500, 500]))
    first = moderate(service, image_data=data, policy="demo", return_embedding=True)
    again = moderate(service, embedding=first["embedding"], policy="demo")
    assert (first["verdict"], first["reasons"][0]["frame"]) == ("block", 2)
    del first["view"], first["embedding"]
    assert again == first


@pytest.fixture(scope="module")
def pictures() -> list[str]:
    """Wide pictures, and an animation between them."""
    shapes = [at_the_edge(square(drawn(*what, seed=7))) for what in combinations()[:6]]
    moving = animated([shape.resize((96, 54)) for shape in shapes], "GIF", [700] * 6)
    still = [as_base64(encoded(shape)) for shape in shapes]
    return [still[0], as_base64(moving), *still[1:]]


class TestTheSameAnswer:
    """The same request answers bit for bit the same, in any company, on any number of threads, after a restart."""

    def ask(self, handler: Handler, **fields: Any) -> Any:
        event = http_api("POST", "/moderate", body=json.dumps(fields).encode(), encode=True)
        return json.loads(handler(event, None)["body"])

    def test_alone_and_in_company(self, pictures: list[str]) -> None:
        handler = build_handler(Settings())
        together = self.ask(handler, images=pictures, policy="demo", return_embedding=True)["results"]
        for picture, one in zip(pictures, together, strict=True):
            alone = self.ask(handler, image_data=picture, policy="demo", return_embedding=True)
            assert one == {name: alone[name] for name in one}

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda: build_handler(Settings(threads=1)), id="one thread"),
            pytest.param(lambda: build_handler(Settings(threads=2)), id="two threads"),
            pytest.param(lambda: build_handler(Settings()), id="restarted"),
        ],
    )
    def test_on_any_number_of_threads_and_after_a_restart(
        self, make: Callable[[], Handler], pictures: list[str]
    ) -> None:
        asked: dict[str, Any] = {"images": pictures[:3], "policy": "moderation", "return_embedding": True}
        assert self.ask(make(), **asked) == self.ask(build_handler(Settings(threads=1)), **asked)
