"""Several questions about one picture: each answered as if it were alone, with one encoding of the picture for all."""

from __future__ import annotations

from typing import Any

import pytest

from support.harness import RedisServer, Service, StartService
from support.pictures import as_base64, drawn, encoded
from support.towers import Loader
from test_http_contract import assert_problem

PICTURE = as_base64(encoded(drawn("red", "circle")))
COLOURS, SHAPES = ["a red shape", "a blue shape"], {"a circle": "round", "a square": "angular"}
QUESTIONS: dict[str, Any] = {"colour": COLOURS, "shape": SHAPES, "both": {"label_set": "demo"}}


def test_each_is_answered_as_if_it_were_alone(service: Service) -> None:
    answers = service.classify(image_data=PICTURE, questions=QUESTIONS).json["answers"]
    assert list(answers) == list(QUESTIONS)
    alone = [
        service.classify(image_data=PICTURE, labels=COLOURS).json,
        service.classify(image_data=PICTURE, labels=SHAPES).json,
        service.classify(image_data=PICTURE, label_set="demo").json,
    ]
    for answer, one in zip(answers.values(), alone, strict=True):
        assert answer == {name: one[name] for name in ("result", "categories") if name in one}


def test_questions_may_share_labels(service: Service) -> None:
    questions = {"first": ["a red circle", "a star"], "second": ["a star", "a red circle", "a square"]}
    answers = service.classify(image_data=PICTURE, questions=questions).json["answers"]
    for name, labels in questions.items():
        assert answers[name]["result"] == service.classify(image_data=PICTURE, labels=labels).json["result"]


def test_several_pictures_have_their_answers_in_order(service: Service) -> None:
    pictures = [PICTURE, as_base64(encoded(drawn("blue", "square")))]
    results = service.classify(images=pictures, questions=QUESTIONS).json["results"]
    for picture, result in zip(pictures, results, strict=True):
        alone = service.classify(image_data=picture, questions=QUESTIONS).json
        assert result["answers"] == alone["answers"]


def test_all_labels_come_in_one_round_trip(start_service: StartService, redis_server: RedisServer) -> None:
    start_service(cache_url=redis_server.url).classify(image_data=PICTURE, questions=QUESTIONS)
    other = start_service(cache_url=redis_server.url)
    redis_server.client.config_resetstat()
    reply = other.classify(image_data=PICTURE, questions=QUESTIONS)
    assert reply.label_cache["computed"] == 0
    assert redis_server.client.info("commandstats")["cmdstat_mget"]["calls"] == 1


def test_the_picture_is_encoded_once(start_service: StartService) -> None:
    load = Loader()
    assert start_service(load=load).classify(image_data=PICTURE, questions=QUESTIONS).status == 200
    assert load.pictures == 1


@pytest.mark.parametrize(
    ("questions", "words"),
    [
        ({}, ["questions is empty"]),
        ([], ["questions is a list", "an object {name: labels}"]),
        ({"a": "cat"}, ["questions['a'] is a string", "label_set"]),
        ({"a": []}, ["questions['a'] is empty"]),
        ({"a": ["x", 1]}, ["questions['a'][1] is a number"]),
        ({"a": ["x", "x"]}, ["questions['a'][1] repeats"]),
        ({"a": {"x": 1}}, ["questions['a']['x'] is a number"]),
        ({"a": {"label_set": "nonsense"}}, ["questions['a'].label_set 'nonsense'", "moderation"]),
        ({"a": {"label_set": 5}}, ["questions['a']['label_set'] is a number"]),
        ({"": ["x"]}, ["questions"]),
        ({" ": ["x"]}, ["a name that is empty"]),
    ],
)
def test_mistakes_are_named(service: Service, questions: Any, words: list[str]) -> None:
    assert_problem(service.classify(image_data=PICTURE, questions=questions), 422, *words)


def test_questions_are_not_given_beside_labels(service: Service) -> None:
    reply = service.classify(image_data=PICTURE, labels=COLOURS, questions=QUESTIONS)
    assert_problem(reply, 422, "labels and questions are both given")


def test_413_when_all_labels_together_are_too_many(service: Service) -> None:
    many = [f"label {number}" for number in range(400)]
    reply = service.classify(image_data=PICTURE, questions={"a": many, "b": many, "c": many})
    assert_problem(reply, 413, "questions", "1,200", "1,000")


def test_an_embedding_answers_as_its_picture_does(service: Service) -> None:
    first = service.classify(image_data=PICTURE, labels=COLOURS, return_embedding=True).json
    again = service.classify(embedding=first["embedding"], labels=COLOURS).json
    assert again["result"] == first["result"]
    results = service.classify(images=[PICTURE, PICTURE], labels=COLOURS, return_embedding=True).json["results"]
    assert [one["embedding"] for one in results] == [first["embedding"]] * 2
