"""OpenAI's own SDK against the running service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from support.client_pictures import ALLOWED, BLOCKED, BROKEN, NO_PICTURE, NOTHING, REVIEWED, TOO_LARGE
from support.harness import Service, StartService
from support.pictures import as_base64

MODEL = "omni-moderation-latest"


def image(data: bytes) -> Any:
    return at(f"data:image/png;base64,{as_base64(data)}")


def at(url: object) -> Any:
    return {"type": "image_url", "image_url": {"url": url}}


def client_of(service: Service, **options: Any) -> openai.OpenAI:
    options = {"max_retries": 0} | options
    return openai.OpenAI(base_url=f"http://127.0.0.1:{service.port}/v1", api_key="a token", **options)


@pytest.fixture
def client(demo: Service) -> Iterator[openai.OpenAI]:
    with client_of(demo) as made:
        yield made


class TestAnswers:
    def test_a_blocked_picture_is_flagged_and_its_category_is_the_policys(self, client: openai.OpenAI) -> None:
        (result,) = client.moderations.create(model=MODEL, input=[image(BLOCKED)]).results
        assert result.flagged is True
        assert result.categories.model_extra == {"red circles": True, "blue squares": False}
        scores = result.category_scores.model_extra or {}
        assert scores["red circles"] > 0.99
        assert scores["blue squares"] < 0.01
        types = result.category_applied_input_types.model_extra
        assert types == {"red circles": ["image"], "blue squares": ["image"]}

    def test_several_pictures_are_answered_in_order(self, client: openai.OpenAI) -> None:
        pictures = [image(one) for one in (ALLOWED, BLOCKED, REVIEWED)]
        answer = client.moderations.create(model=MODEL, input=pictures)
        assert [result.flagged for result in answer.results] == [False, True, False]
        assert [(result.model_extra or {})["verdict"] for result in answer.results] == ["allow", "block", "review"]

    def test_the_sdk_answers_asynchronously_too(self, demo: Service) -> None:
        async def ask() -> list[bool]:
            async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{demo.port}/v1", api_key="a token") as client:
                answer = await client.moderations.create(input=[image(BLOCKED), image(ALLOWED)])
                with pytest.raises(openai.BadRequestError) as caught:
                    await client.moderations.create(input=[image(ALLOWED), image(BROKEN)])
                assert (caught.value.code, caught.value.param) == ("broken_picture", "input[1].image_url.url")
                return [result.flagged for result in answer.results]

        assert asyncio.run(ask()) == [True, False]

    def test_the_model_is_repeated_and_ours_stands_beside_it(self, client: openai.OpenAI) -> None:
        answer = client.moderations.create(model=MODEL, input=[image(BLOCKED)])
        assert answer.model == MODEL
        assert answer.id.startswith("modr-")
        extra = answer.model_extra or {}
        assert extra["served_by"]["name"] == "demo-shapes"
        assert extra["policy"]["name"] == "demo"
        assert len(extra["policy"]["version"]) == 8

    def test_the_verdict_and_its_reasons_are_extra_fields(self, client: openai.OpenAI) -> None:
        (result,) = client.moderations.create(input=[image(BLOCKED)]).results
        extra = result.model_extra or {}
        assert extra["verdict"] == "block"
        (reason,) = extra["reasons"]
        assert reason["category"] == "red circles"
        assert reason["label"].endswith("red circle") or reason["label"] == "a circle in red"
        assert reason["score"] >= reason["threshold"] == 0.5

    def test_the_model_may_name_a_policy_whose_categories_are_openais_where_it_says_so(
        self, client: openai.OpenAI
    ) -> None:
        answer = client.moderations.create(model="policy/moderation", input=[image(ALLOWED)])
        assert (answer.model_extra or {})["policy"]["name"] == "moderation"
        categories = answer.results[0].categories
        # In the policy, weapons and violence are both `violence` to OpenAI; OpenAI has nothing for gaming.
        assert isinstance(categories.violence, bool)
        assert isinstance(categories.sexual, bool)
        assert isinstance(categories.violence_graphic, bool)
        assert "weapons" not in (categories.model_extra or {})
        assert "gaming" in (categories.model_extra or {})
        # What the policy does not look for is not said to be absent.
        assert categories.harassment is None
        assert categories.sexual_minors is None

    def test_review_is_flagged_where_the_request_or_the_setting_says_so(
        self, demo: Service, start_service: StartService
    ) -> None:
        with client_of(demo, default_query={"flag": "review"}) as client:
            (result,) = client.moderations.create(input=[image(REVIEWED)]).results
        assert result.flagged is True
        assert (result.categories.model_extra or {})["blue squares"] is True
        strict = start_service(default_policy="demo", flag_from="review")
        with client_of(strict) as client:
            assert client.moderations.create(input=[image(REVIEWED)]).results[0].flagged is True
        with client_of(strict, default_query={"flag": "block"}) as client:
            assert client.moderations.create(input=[image(REVIEWED)]).results[0].flagged is False

    def test_without_a_setting_the_policy_is_moderation(self, service: Service) -> None:
        with client_of(service) as client:
            answer = client.moderations.create(input=[image(ALLOWED)])
        assert (answer.model_extra or {})["policy"]["name"] == "moderation"


class TestMistakes:
    @pytest.mark.parametrize(
        ("given", "code", "param", "words"),
        [
            ("a text", "text_not_judged", "input", "only pictures"),
            (["a text", "another"], "text_not_judged", "input[0]", "input[0]"),
            ([{"type": "text", "text": "a text"}], "text_not_judged", "input[0]", "input[0]"),
            ([image(ALLOWED), "a text"], "text_not_judged", "input[1]", "input[1]"),
            ([at("https://example.com/a.png")], "malformed_body", "input[0].image_url.url", "fetched"),
            ([image(ALLOWED), at("data:image/png;base64,?")], "malformed_body", "input[1].image_url.url", "base64"),
            ([{"type": "image_url"}], "invalid_field", "input[0].image_url", "data:image/png"),
            (
                [{"type": "image_url", "image_url": "data:,"}],
                "invalid_field",
                "input[0].image_url",
                "an object with url",
            ),
            ([at(1)], "invalid_field", "input[0].image_url.url", "a number"),
            ([{"type": "video"}], "invalid_field", "input[0]", "input[0]"),
            ([], "invalid_field", "input", "empty"),
            (7, "invalid_field", "input", "a number"),
            (None, "invalid_field", "input", "missing"),
            ([image(BLOCKED), image(NO_PICTURE)], "unknown_picture", "input[1].image_url.url", "input[1]"),
            ([image(NOTHING)], "unknown_picture", "input[0].image_url.url", "input[0]"),
            ([image(ALLOWED)] * 3 + [image(BROKEN)], "broken_picture", "input[3].image_url.url", "input[3]"),
        ],
    )
    def test_a_mistake_is_a_bad_request_that_names_the_field_in_openais_form(
        self, client: openai.OpenAI, given: Any, code: str, param: str, words: str
    ) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            client.moderations.create(input=given)
        error = caught.value
        assert isinstance(error.body, dict)
        assert set(error.body) == {"message", "type", "param", "code"}
        assert (error.type, error.code, error.param) == ("invalid_request_error", code, param)
        assert words in error.body["message"]

    @pytest.mark.parametrize("model", ["policy/", 7, "x" * 3000, ["policy/demo"]])
    def test_a_model_that_is_none_is_the_field_that_was_wrong(self, client: openai.OpenAI, model: Any) -> None:
        with pytest.raises(openai.BadRequestError, match="model") as caught:
            client.moderations.create(model=model, input=[image(ALLOWED)])
        assert (caught.value.type, caught.value.code, caught.value.param) == (
            "invalid_request_error",
            "invalid_field",
            "model",
        )

    @pytest.mark.parametrize("query", [{"flag": "everything"}, {"flag": ""}])
    def test_a_wrong_flag_is_named_and_not_read_as_block(self, demo: Service, query: dict[str, str]) -> None:
        with client_of(demo, default_query=query) as client, pytest.raises(openai.BadRequestError) as caught:
            client.moderations.create(input=[image(REVIEWED)])
        assert caught.value.param == "flag"

    def test_a_query_that_means_nothing_is_named(self, demo: Service) -> None:
        query = {"flagg": "review"}
        with client_of(demo, default_query=query) as client, pytest.raises(openai.BadRequestError) as caught:
            client.moderations.create(input=[image(REVIEWED)])
        assert caught.value.param == "flagg"

    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            (b"", "malformed_body", None),
            (b"{", "malformed_body", None),
            (b"[]", "invalid_field", None),
            (b'{"input": [], "input": []}', "invalid_field", "input"),
        ],
    )
    def test_a_body_that_is_wrong_as_a_whole_names_no_field(
        self, demo: Service, body: bytes, code: str, param: str | None
    ) -> None:
        reply = demo.request("POST", "/v1/moderations", body, {"Content-Type": "application/json"})
        error = reply.json["error"]
        assert (reply.status, error["code"], error["param"]) == (400, code, param)

    def test_a_policy_that_is_not_there_is_a_model_that_is_not_found(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as caught:
            client.moderations.create(model="policy/nothing", input=[image(BLOCKED)])
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        assert "demo" in str(caught.value)

    @pytest.mark.parametrize(
        ("pictures", "param"),
        [([BLOCKED] * 17, "input"), ([ALLOWED, TOO_LARGE], "input[1].image_url.url")],
        ids=["too many", "too large"],
    )
    def test_too_much_is_413(self, client: openai.OpenAI, pictures: list[bytes], param: str) -> None:
        with pytest.raises(openai.APIStatusError) as caught:
            client.moderations.create(input=[image(one) for one in pictures])
        assert caught.value.status_code == 413
        assert (caught.value.code, caught.value.param) == ("too_much", param)

    def test_a_bug_is_an_internal_server_error_that_shows_nothing(
        self, failing: Service, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        with client_of(failing) as client, pytest.raises(openai.InternalServerError) as caught:
            client.moderations.create(input=[image(ALLOWED)])
        assert (caught.value.type, caught.value.code, caught.value.param) == ("server_error", None, None)
        assert "machine" not in str(caught.value.body)
        # Counted and logged, though Lambda does not see it.
        assert '"Failed":[1.0]' in capsys.readouterr().out
        assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)
