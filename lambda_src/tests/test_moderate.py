"""`POST /moderate`: a verdict over HTTP, on every form of picture, by a configured policy or one in the request."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from moderator.classifier import Seen
from moderator.clip.model import read_model
from moderator.errors import ConfigurationError
from moderator.handler import build_handler
from moderator.policy.policy import ACTIONS
from moderator.question import Animation
from moderator.settings import Settings
from moderator.telemetry import SERVICE
from moderator.web.answers.native import score_digits
from moderator.web.embeddings import read_embedding, write_embedding
from support.harness import RedisServer, Reply, Service, StartService
from support.pictures import as_base64, drawn, encoded
from support.towers import LOADING_SECONDS, failing, late, slow
from test_http_contract import assert_problem

pytestmark = pytest.mark.slow

RED_CIRCLE, BLUE_SQUARE, GREEN_STAR = (
    encoded(drawn(*what)) for what in (("red", "circle"), ("blue", "square"), ("green", "star"))
)
INLINE = {
    "neutral": ["a green star", "a yellow triangle"],
    "categories": {
        "red circles": {"labels": ["a red circle"], "against": ["a red square"], "review": 0.5, "block": 0.9},
        "blue squares": {"labels": ["a blue square"], "review": 0.5},
    },
}


def moderate(service: Service, **fields: Any) -> Reply:
    return service.request("POST", "/moderate", json.dumps(fields), {"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("picture", "verdict", "category"),
    [(RED_CIRCLE, "block", "red circles"), (BLUE_SQUARE, "review", "blue squares"), (GREEN_STAR, "allow", None)],
)
def test_the_demo_policy_decides(service: Service, picture: bytes, verdict: str, category: str | None) -> None:
    answer = moderate(service, image_data=as_base64(picture), policy="demo").json
    assert answer["verdict"] == verdict
    assert [reason["category"] for reason in answer["reasons"]] == ([category] if category else [])
    assert set(answer) == {"verdict", "reasons", "categories", "view", "policy", "model", "warnings"}
    assert answer["policy"].keys() == {"name", "version", "calibrated"}
    for reason in answer["reasons"]:
        assert reason["score"] >= reason["threshold"]
        assert reason["label"]


def test_every_form_of_request_gives_the_same_answer(service: Service) -> None:
    as_json = moderate(service, image_data=as_base64(RED_CIRCLE), policy="demo").json
    as_body = service.request("POST", "/moderate?policy=demo", RED_CIRCLE, {"Content-Type": "image/png"}).json
    as_form = service.post_form("/moderate", [("image", RED_CIRCLE), ("policy", b"demo")]).json
    assert as_body == as_form == as_json


def test_several_pictures_have_the_worst_verdict(service: Service) -> None:
    images = [as_base64(picture) for picture in (GREEN_STAR, BLUE_SQUARE, RED_CIRCLE)]
    answer = moderate(service, images=images, policy="demo").json
    assert answer["verdict"] == "block"
    assert [one["verdict"] for one in answer["results"]] == ["allow", "review", "block"]
    for picture, one in zip(images, answer["results"], strict=True):
        alone = moderate(service, image_data=picture, policy="demo").json
        assert one == {name: alone[name] for name in one}
        assert "policy" not in one
        assert "model" not in one


def test_a_policy_may_come_with_the_request(service: Service) -> None:
    answer = moderate(service, image_data=as_base64(RED_CIRCLE), policy=INLINE).json
    assert (answer["verdict"], answer["policy"]["name"]) == ("block", None)
    stricter = json.loads(json.dumps(INLINE))
    stricter["categories"]["red circles"]["block"] = 1
    other = moderate(service, image_data=as_base64(RED_CIRCLE), policy=stricter).json
    assert other["verdict"] == "review"
    assert other["policy"]["version"] != answer["policy"]["version"]
    assert other["categories"]["red circles"]["score"] == answer["categories"]["red circles"]["score"]


def test_scores_are_those_of_the_probabilities_over_the_same_labels(service: Service) -> None:
    """Means of probabilities stand in the same ratio as the means of exp(s cos) in docs/policies.md."""
    policy = INLINE | {"view": "center"}
    # Of a shape in two colours at once, so that no score is all but 0 or 1.
    mixed = Image.blend(drawn("red", "circle").convert("RGB"), drawn("blue", "square").convert("RGB"), 0.45)
    picture = as_base64(encoded(mixed))
    scores = moderate(service, image_data=picture, policy=policy).json["categories"]
    for name, category in INLINE["categories"].items():  # type: ignore[attr-defined]  # JSON
        against = [*INLINE["neutral"], *category.get("against", [])]
        result = service.classify(image_data=picture, labels=[*category["labels"], *against]).json["result"]
        ours = sum(result[label] for label in category["labels"]) / len(category["labels"])
        theirs = sum(result[label] for label in against) / len(against)
        evidence = math.log(ours) - math.log(theirs)
        assert scores[name]["score"] == pytest.approx(1 / (1 + math.exp(-evidence)), abs=1e-5)


def test_an_embedding_replays_a_picture(service: Service) -> None:
    first = moderate(service, image_data=as_base64(RED_CIRCLE), policy="demo", return_embedding=True).json
    again = moderate(service, embedding=first["embedding"], policy="demo").json
    assert again["categories"] == first["categories"]
    assert again["reasons"] == first["reasons"]
    other = moderate(service, embedding=first["embedding"], policy=INLINE).json
    assert other["categories"] == moderate(service, image_data=as_base64(RED_CIRCLE), policy=INLINE).json["categories"]


def test_what_an_embedding_does_not_hold_is_said(service: Service) -> None:
    """Which pictures are sampled is chosen by their bytes."""
    first = moderate(service, image_data=as_base64(GREEN_STAR), policy=INLINE, return_embedding=True).json
    sampled = INLINE | {"sample": 1.0}
    assert moderate(service, image_data=as_base64(GREEN_STAR), policy=sampled).json["verdict"] == "review"
    again = moderate(service, embedding=first["embedding"], policy=sampled).json
    assert again["verdict"] == "allow"
    assert [warning for warning in again["warnings"] if "sample" in warning]
    assert not [warning for warning in first["warnings"] if "sample" in warning]


@given(
    frames=st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1e13)), max_size=63),
    more=st.integers(0, 1000),
    unreached=st.integers(0, 1000),
)
@example(frames=[(1, 4908534051.428572), (1, 3681400538.6)], more=0, unreached=0)
@example(frames=[(1, 1e-7)], more=1, unreached=0)
def test_what_is_written_as_an_embedding_is_read_again(
    frames: list[tuple[int, float]], more: int, unreached: int
) -> None:
    model = read_model(Settings().model_dir)
    steps = [(0, 0.0), *frames]
    numbers = tuple(itertools.accumulate(step for step, _ in steps))
    seconds = tuple(itertools.accumulate(second for _, second in steps))
    vectors = np.eye(2, model.embedding_size, dtype=np.float32)
    animation = Animation(
        numbers=numbers, seconds=seconds, total_frames=numbers[-1] + 1 + more + unreached, unreached=unreached
    )
    seen = Seen(
        cosines=np.zeros((len(numbers), 1), np.float32), embeddings=(vectors,) * len(numbers), **vars(animation)
    )
    read = read_embedding(write_embedding(seen, model), model)
    assert read.animation == (animation if animation.total_frames > 1 else None)
    assert all(np.array_equal(frame, vectors) for frame in read.frames)


@given(score=st.floats(0, 1, exclude_max=True), threshold=st.integers(0, 10**6).map(lambda number: number / 10**6))
@example(score=math.nextafter(1.0, 0.0), threshold=1.0)
@example(score=0.79999999, threshold=0.8)
@example(score=0.7, threshold=0.7)
def test_a_score_that_is_shown_passes_a_threshold_exactly_where_the_score_does(score: float, threshold: float) -> None:
    assert (score_digits(score) >= threshold) == (score >= threshold)
    assert score_digits(score) == pytest.approx(score, rel=1e-5)


def test_policies_are_listed(service: Service) -> None:
    listed = {one["name"]: one for one in service.get("/policies").json["policies"]}
    assert listed.keys() == {"demo", "moderation"}
    answer = moderate(service, image_data=as_base64(RED_CIRCLE), policy="moderation").json
    assert listed["moderation"]["version"] == answer["policy"]["version"]
    assert listed["moderation"]["categories"].keys() == answer["categories"].keys()
    assert {category["action"] for category in answer["categories"].values()} <= set(ACTIONS)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({}, 422, ["policy is missing", "demo, moderation"]),
        ({"policy": "nonsense"}, 422, ["'nonsense' is not configured", "demo, moderation"]),
        ({"policy": ""}, 422, ["policy is empty"]),
        ({"policy": 5}, 422, ["policy is a number", "name of a policy"]),
        ({"policy": {}}, 422, ["policy.categories is missing"]),
        ({"policy": INLINE | {"verdict": 1}}, 422, ["policy.verdict is not a field"]),
        ({"policy": INLINE | {"view": "all"}}, 422, ["policy.view"]),
        ({"policy": "demo", "view": "all"}, 422, ["view is 'all'", "center", "tiles"]),
        ({"policy": "demo", "labels": ["a"]}, 422, ["'labels' is not a field", "policy"]),
        ({"policy": "demo", "return_embedding": "yes"}, 422, ["return_embedding is a string", "true or false"]),
    ],
)
def test_mistakes_are_named(service: Service, fields: dict[str, Any], status: int, words: list[str]) -> None:
    assert_problem(moderate(service, image_data=as_base64(RED_CIRCLE), **fields), status, *words)


GOOD = as_base64(RED_CIRCLE)
LONGEST = [f"a red circle beside number {number} " + "of many " * 32 for number in range(1000)]
LARGE = as_base64(encoded(Image.new("1", (65_000, 1_000))))
LONG = {"categories": {"c": {"labels": ["of many " * 40], "against": ["b"], "block": 0.5}}}
MANY = {"categories": {"c": {"labels": [f"{number}" for number in range(1001)], "against": ["b"], "block": 0.5}}}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        pytest.param("{", 400, ["not JSON"], id="not JSON"),
        pytest.param({"image_data": "!", "policy": "demo"}, 400, ["image_data is not base64"], id="not base64"),
        pytest.param({"image_data": LARGE, "policy": "demo"}, 413, ["image_data", "pixels"], id="too many pixels"),
        pytest.param({"images": [GOOD] * 17, "policy": "demo"}, 413, ["17 pictures"], id="too many pictures"),
        pytest.param({"image_data": GOOD, "policy": MANY}, 413, ["policy", "labels"], id="too many labels"),
        pytest.param(" " * 10_000_001, 413, ["10,000,001 bytes"], id="too many bytes"),
        pytest.param({"image_data": "QUJD", "policy": "demo"}, 415, ["image_data is not a picture"], id="no picture"),
        pytest.param({"images": [GOOD, "QUJD"], "policy": "demo"}, 415, ["images[1] is not a picture"], id="second"),
        pytest.param(
            {"image_data": as_base64(RED_CIRCLE[:-40]), "policy": "demo"}, 422, ["image_data"], id="a truncated picture"
        ),
        pytest.param({"policy": "demo"}, 422, ["image_data is missing"], id="no picture at all"),
        pytest.param({"image_data": GOOD, "policy": LONG}, 422, ["tokens"], id="a label longer than the context"),
        pytest.param(f'{{"image_data": "{GOOD}", "policy": "demo", "policy": "demo"}}', 422, ["twice"], id="twice"),
    ],
)
def test_what_the_contract_refuses_is_refused_here_too(
    service: Service, body: Any, status: int, words: list[str]
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    reply = service.request("POST", "/moderate", content, {"Content-Type": "application/json"})
    assert_problem(reply, status, *words)


def test_other_methods_and_paths_are_named(service: Service) -> None:
    assert_problem(service.get("/moderate"), 405, "POST")
    assert_problem(service.request("POST", "/moderate/demo", "{}"), 404, "/moderate")


def test_a_policys_new_labels_may_take_several_requests(start_service: StartService) -> None:
    """Those done are kept, and the same request goes on."""
    limited = start_service(load=slow, max_seconds=1.5)
    policy = {"categories": {"c": {"labels": LONGEST[:-1], "against": LONGEST[-1:], "block": 0.5}}}
    reply = moderate(limited, image_data=GOOD, policy=policy)
    assert_problem(reply, 503, "labels are embedded and kept")
    assert reply.headers["retry-after"] == "1"
    for _ in range(60):
        if reply.status == 200:
            break
        reply = moderate(limited, image_data=GOOD, policy=policy)
    assert reply.status == 200
    assert reply.label_cache["memory"] > 0


def test_a_bug_is_answered_without_its_trace(start_service: StartService) -> None:
    reply = moderate(start_service(load=failing), image_data=GOOD, policy="demo")
    assert_problem(reply, 500)
    assert b"machine" not in reply.body


# Three parts of the demo model's size, whose base64 has no padding and can be repeated.
UNIT = base64.b64encode(np.eye(3, 64, dtype="<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("embedding", "status", "words"),
    [
        ("", 422, ["embedding is empty"]),
        ("AAAA", 422, ["no fingerprint"]),
        ("0123456789abcdef:AAAA", 422, ["'0123456789abcdef'", "is running"]),
        ("{}:?", 400, ["not base64"]),
        ("{}:", 422, ["0 bytes"]),
        ("{}:AAAA", 422, ["3 bytes", "multiple"]),
        ("{}:" + base64.b64encode(bytes(512)).decode(), 422, ["unit length"]),
        ("{}:" + base64.b64encode(b"\xff" * 512).decode(), 422, ["unit length"]),
        ("{}:" + UNIT * 2, 413, ["a frame of 6 parts", "more than 4"]),
        ("{}:" + ",".join([UNIT] * 65), 413, ["more than 64 frames"]),
        (f"{{}}:{UNIT},{UNIT}", 422, ["animated", "where its frames belong"]),
        (f"{{}}:{UNIT},{UNIT};0@0.0", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT},{UNIT};0@0.0;2/2", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT},{UNIT};0@0.0,1@x;2/2", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT},{UNIT};1@0.0,0@0.5;2/2", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT},{UNIT};0@0.0,9@0.5;9/20", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT},{UNIT};0@0.0,9@0.5;20/10", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT};;1/1", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT};5@0.0;6/6", 422, ["where its frames belong"]),
        (f"{{}}:{UNIT};0@0.0;1/1", 422, ["where its frames belong"]),
    ],
)
def test_an_embedding_that_is_not_one_is_named(service: Service, embedding: str, status: int, words: list[str]) -> None:
    model = service.get("/health").json["model"]["fingerprint"]
    reply = moderate(service, embedding=embedding.replace("{}", model), policy="demo")
    assert_problem(reply, status, *words)


def test_an_embedding_is_not_given_beside_a_picture_or_a_view(service: Service) -> None:
    known = moderate(service, image_data=as_base64(RED_CIRCLE), policy="demo", return_embedding=True).json["embedding"]
    both = moderate(service, image_data=as_base64(RED_CIRCLE), embedding=known, policy="demo")
    assert_problem(both, 422, "image_data and embedding are both given")
    assert_problem(moderate(service, embedding=known, view="pad", policy="demo"), 422, "view is given with embedding")


def test_a_policy_that_is_not_valid_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps({"categories": {"a": {"labels": ["x"], "neutral": []}}}))
    with pytest.raises(ConfigurationError, match=r"mine\.json: categories\.a\.neutral is not a field"):
        build_handler(Settings(policies_dir=tmp_path))


def test_a_calibration_for_another_model_stops_the_start(tmp_path: Path) -> None:
    calibration = {
        "model": {"name": "ViT-B-32", "pretrained": "openai"},
        "categories": {"red circles": {"scale": 1.0, "offset": 0.0}},
    }
    (tmp_path / "mine.json").write_text(json.dumps(INLINE | {"calibration": calibration}))
    with pytest.raises(ConfigurationError, match=r"ViT-B-32 \(openai\).*demo-shapes"):
        build_handler(Settings(policies_dir=tmp_path))


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    """What the service logs meanwhile."""
    records: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    keeper = Keeper()
    logging.getLogger(SERVICE).addHandler(keeper)
    yield records
    logging.getLogger(SERVICE).removeHandler(keeper)


def metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What the service has counted, as CloudWatch reads it."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]


class TestCandidates:
    def policies(self, folder: Path, candidate: dict[str, Any]) -> Path:
        (folder / "live.json").write_text(json.dumps(INLINE | {"candidate": "next"}))
        (folder / "next.json").write_text(json.dumps(INLINE | candidate))
        return folder

    def test_where_it_differs_one_line_and_one_metric_say_so(
        self,
        tmp_path: Path,
        start_service: StartService,
        capsys: pytest.CaptureFixture[str],
        log: list[logging.LogRecord],
    ) -> None:
        milder = {"categories": {"red circles": {"labels": ["a red circle"], "review": 0.5}}}
        service = start_service(policies_dir=self.policies(tmp_path, milder))
        answer = moderate(service, image_data=as_base64(RED_CIRCLE), policy="live").json
        assert answer["verdict"] == "block"
        (line,) = (vars(record) for record in log if record.getMessage() == "candidate differs")
        assert {name: line[name] for name in ("policy", "candidate", "verdict", "candidate_verdict", "categories")} == {
            "policy": "live",
            "candidate": "next",
            "verdict": "block",
            "candidate_verdict": "review",
            "categories": ["blue squares", "red circles"],
        }
        assert "a red circle" not in str(line)
        (metric,) = (line for line in metrics(capsys) if "CandidateDiffers" in line)
        assert (metric["CandidateDiffers"], metric["CandidateCompared"]) == ([1.0], [1.0])

    def test_where_it_agrees_only_the_metric_says_so(
        self,
        tmp_path: Path,
        start_service: StartService,
        capsys: pytest.CaptureFixture[str],
        log: list[logging.LogRecord],
    ) -> None:
        service = start_service(policies_dir=self.policies(tmp_path, {}))
        moderate(service, image_data=as_base64(RED_CIRCLE), policy="live")
        assert "candidate differs" not in [record.getMessage() for record in log]
        (metric,) = (line for line in metrics(capsys) if "CandidateDiffers" in line)
        assert metric["CandidateDiffers"] == [0.0]

    def test_it_is_said_at_the_start_where_it_would_look_elsewhere(
        self, tmp_path: Path, start_service: StartService, log: list[logging.LogRecord]
    ) -> None:
        start_service(policies_dir=self.policies(tmp_path, {"frames": {"at_least": 2}}))
        assert not [record for record in log if record.levelno >= logging.WARNING]
        for other in ({"view": "pad"}, {"frames": {"most": 4}}, {"frames": {"every": 2.0}}):
            log.clear()
            start_service(policies_dir=self.policies(tmp_path, other))
            (line,) = (vars(record) for record in log if record.levelno == logging.WARNING)
            assert "the view and the frames of the live policy" in line["msg"]
            assert (line["policy"], line["candidate"]) == ("live", "next")

    def test_a_slow_one_costs_an_answer_a_second_and_is_finished_by_later_requests(
        self, tmp_path: Path, start_service: StartService, capsys: pytest.CaptureFixture[str]
    ) -> None:
        many = {"categories": {"red circles": {"labels": LONGEST[:-9], "against": LONGEST[-1:], "block": 0.5}}}
        service = start_service(policies_dir=self.policies(tmp_path, many), load=slow)
        computed = 0
        for _ in range(60):
            answer = moderate(service, image_data=as_base64(RED_CIRCLE), policy="live")
            assert answer.json["verdict"] == "block"
            lines = metrics(capsys)
            if [line for line in lines if "CandidateCompared" in line]:
                break
            computed += len([line for line in lines if "CandidateFailed" in line])
        else:
            pytest.fail("never finished")
        assert computed >= 1

    def test_a_text_tower_that_takes_long_to_load_for_it_is_loaded_behind_the_answers(
        self,
        tmp_path: Path,
        redis_server: RedisServer,
        start_service: StartService,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        # The live policy's labels are in the store, the candidate's are not.
        moderate(start_service(cache_url=redis_server.url), image_data=as_base64(RED_CIRCLE), policy=INLINE)
        other = {"categories": {"red circles": {"labels": ["a very red circle"], "block": 0.5}}}
        policies = self.policies(tmp_path, other)
        service = start_service(policies_dir=policies, cache_url=redis_server.url, load=late)
        began = time.perf_counter()
        assert moderate(service, image_data=as_base64(RED_CIRCLE), policy="live").json["verdict"] == "block"
        assert time.perf_counter() - began < LOADING_SECONDS - 1  # the candidate has one second
        assert [line for line in metrics(capsys) if "CandidateFailed" in line]
        while time.perf_counter() - began < LOADING_SECONDS + 30:
            moderate(service, image_data=as_base64(RED_CIRCLE), policy="live")
            if [line for line in metrics(capsys) if "CandidateCompared" in line]:
                break
        else:
            pytest.fail("never compared")

    def test_a_failing_one_never_touches_the_answer(
        self,
        tmp_path: Path,
        start_service: StartService,
        capsys: pytest.CaptureFixture[str],
        log: list[logging.LogRecord],
    ) -> None:
        # A label too long for any context: it passes every check until it is embedded.
        endless = {"categories": {"red circles": {"labels": ["word " * 100], "block": 0.5}}}
        service = start_service(policies_dir=self.policies(tmp_path, endless))
        without = start_service()
        picture = as_base64(RED_CIRCLE)
        answer = moderate(service, image_data=picture, policy="live").json
        assert answer["categories"] == moderate(without, image_data=picture, policy=INLINE).json["categories"]
        assert "A candidate policy could not be judged." in [record.getMessage() for record in log]
        assert [line for line in metrics(capsys) if "CandidateFailed" in line]


def test_verdicts_are_counted_by_policy_and_category(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    moderate(service, images=[as_base64(RED_CIRCLE), as_base64(GREEN_STAR)], policy="demo")
    lines = metrics(capsys)
    (verdicts,) = (line for line in lines if "VerdictBlock" in line)
    assert (verdicts["policy"], verdicts["VerdictBlock"], verdicts["VerdictAllow"]) == ("demo", [1.0], [1.0])
    (category,) = (line for line in lines if "CategoryBlock" in line)
    assert (category["category"], category["CategoryBlock"]) == ("red circles", [1.0])


def test_a_policy_of_a_request_has_no_name_in_the_metrics(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """A client could give every request another name, and each metric costs money."""
    moderate(service, image_data=as_base64(RED_CIRCLE), policy=INLINE)
    lines = metrics(capsys)
    assert {line["policy"] for line in lines if "VerdictBlock" in line} == {"inline"}
    assert not [line for line in lines if "CategoryBlock" in line]
