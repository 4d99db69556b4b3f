"""Where an answer is worth less than it seems, it says so; and where it is not, it does not."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from moderator.settings import Settings
from support.harness import Service, StartService
from support.pictures import as_base64, drawn, encoded

PICTURE = as_base64(encoded(drawn("red", "circle")))


@pytest.fixture
def real(tmp_path: Path, start_service: StartService) -> Service:
    """The demo model under another name, as if it knew photographs."""
    folder = tmp_path / "model"
    shutil.copytree(Settings().model_dir, folder)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"demo-shapes"', '"ViT-B-32"', 1))
    return start_service(model_dir=folder)


def test_an_answer_without_doubts_has_no_warnings(real: Service) -> None:
    assert "warnings" not in real.classify(image_data=PICTURE, labels=["a red circle", "a blue square"]).json
    assert "warnings" not in real.get("/health").json


def test_the_demo_model_says_what_it_knows_wherever_it_answers(service: Service) -> None:
    for answer in (
        service.classify(image_data=PICTURE, labels=["a red circle", "a blue square"]).json,
        service.request("POST", "/moderate?policy=demo", encoded(drawn()), {"Content-Type": "image/png"}).json,
        service.get("/health").json,
    ):
        assert any("coloured shapes only" in warning and "make model" in warning for warning in answer["warnings"])
    assert "coloured shapes only" in service.get("/openapi.json").json["info"]["description"]
    assert b"coloured shapes only" in service.get("/docs").body


def test_one_label_always_gets_1_and_the_answer_says_so(real: Service) -> None:
    answer = real.classify(image_data=PICTURE, labels=["a submarine"]).json
    assert answer["result"] == {"a submarine": 1.0}
    assert any("always gets 1" in warning for warning in answer["warnings"])


@pytest.mark.parametrize("labels", [["a red circle,a blue square"], ["cat,dog,bird", "fish"]])
def test_a_label_that_looks_like_a_list_is_told(real: Service, labels: list[str]) -> None:
    warnings = real.classify(image_data=PICTURE, labels=labels).json["warnings"]
    assert any("looks like several with commas" in warning for warning in warnings)


def test_a_sentence_with_a_comma_is_a_label(real: Service) -> None:
    labels = ["a red car, parked", "two people, one of them with a hat, who look at a third one"]
    assert "warnings" not in real.classify(image_data=PICTURE, labels=labels).json


def test_that_only_the_first_frame_was_seen_is_told(real: Service) -> None:
    buffer = io.BytesIO()
    frames = [drawn(colour, "circle") for colour in ("red", "blue", "green")]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100)
    labels = ["a red circle", "a blue circle"]
    answer = real.classify(image_data=as_base64(buffer.getvalue()), labels=labels).json
    assert answer["warnings"] == ["Only the first of 3 frames was looked at: /moderate looks at several."]


def test_an_uncalibrated_policy_is_called_so(real: Service) -> None:
    answer = real.request("POST", "/moderate?policy=demo", encoded(drawn()), {"Content-Type": "image/png"}).json
    assert answer["policy"]["calibrated"] is False
    assert any("not calibrated" in warning for warning in answer["warnings"])
