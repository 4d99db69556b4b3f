"""The policies that come with the service."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from model_build.demo_captions import combinations
from model_build.demo_pictures import BACKGROUNDS, draw
from moderator.clip.model import read_model
from moderator.clip.towers import ImageTower, TextTower
from moderator.labels.label_sets import read_label_sets
from moderator.policy.file import read_policies
from moderator.policy.verdict import judge
from moderator.settings import Settings
from support.harness import LAMBDA_SRC

POLICIES = read_policies(LAMBDA_SRC / "policies", max_labels=Settings().max_labels)

# omni-moderation's names, as OpenAI's SDK has them.
OPENAI = {
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic",
}  # fmt: skip
# https://docs.aws.amazon.com/rekognition/latest/dg/moderation-api.html, version 7: those that fit one of ours.
REKOGNITION = {
    "Explicit", "Non-Explicit Nudity of Intimate parts and Kissing", "Violence/Weapons", "Violence/Graphic Violence",
    "Violence/Graphic Violence/Self-Harm", "Violence/Graphic Violence/Blood & Gore", "Drugs & Tobacco", "Hate Symbols",
}  # fmt: skip


def test_both_are_there() -> None:
    assert set(POLICIES) == {"moderation", "demo"}


@pytest.mark.parametrize("name", POLICIES)
def test_its_labels_fit_the_models_context(name: str) -> None:
    labels = POLICIES[name].labels
    assert TextTower(read_model(Settings().model_dir), threads=1).embed(labels).shape[0] == len(labels)


class TestModeration:
    moderation = POLICIES["moderation"]

    def test_it_has_the_twelve_categories_each_with_several_labels_and_something_against_it(self) -> None:
        label_set = read_label_sets(Settings().label_sets_dir, max_labels=1000)["moderation"]
        assert label_set.categories is not None
        assert {category.name for category in self.moderation.categories} == set(label_set.categories)
        written = json.loads((LAMBDA_SRC / "policies" / "moderation.json").read_text("utf-8"))
        for category in written["categories"].values():
            assert len(category["labels"]) >= 3
            assert len(category["against"]) >= 4

    def test_it_looks_at_the_whole_picture_and_says_that_it_is_not_calibrated(self) -> None:
        assert self.moderation.view == "tiles"
        assert not self.moderation.calibrated

    def test_only_what_can_be_harmful_is_acted_on(self) -> None:
        reported = {
            category.name for category in self.moderation.categories if (category.review, category.block) == (1.0, None)
        }
        assert reported == {"neutral", "gaming", "sport", "music"}

    def test_other_services_names_are_theirs(self) -> None:
        names = [(category.openai, category.rekognition) for category in self.moderation.categories]
        assert {openai for openai, _ in names if openai} <= OPENAI
        assert {rekognition for _, rekognition in names if rekognition} == REKOGNITION


def test_demo_blocks_red_circles_reviews_blue_squares_and_allows_the_rest() -> None:
    model = read_model(Settings().model_dir)
    demo = POLICIES["demo"]
    labels = TextTower(model, threads=1).embed(demo.labels)
    drawn = [
        (colour, shape, draw(colour, shape, background, np.random.default_rng([91, place, turn])))
        for turn, background in enumerate(BACKGROUNDS)
        for place, (colour, shape) in enumerate(combinations())
    ]
    size = (model.preprocessing.width, model.preprocessing.height)
    pixels = [np.asarray(ImageOps.fit(picture, size, Image.Resampling.BICUBIC)) for *_, picture in drawn]
    cosines = np.einsum("pd,ld->pl", ImageTower(model, threads=1).embed(pixels), labels)
    wrong = []
    for (colour, shape, _), row in zip(drawn, cosines, strict=True):
        expected = {("red", "circle"): "block", ("blue", "square"): "review"}.get((colour, shape), "allow")
        if judge(demo, row[None, None], model.logit_scale).action != expected:
            wrong.append((colour, shape))
    assert wrong == []
