"""The warm-up event: after it a request computes nothing; and it never pretends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moderator.errors import InvalidField, WarmUpError
from moderator.handler import Handler, build_handler
from moderator.settings import Settings
from support.harness import RedisServer, StartService, free_port
from support.pictures import as_base64, drawn, encoded


def handler_with(url: str, **settings: Any) -> Handler:
    return build_handler(replace(Settings(), cache_url=url, **settings))


def test_it_stores_what_the_store_lacks_and_counts_it(redis_server: RedisServer) -> None:
    handler = handler_with(redis_server.url)
    first = handler({"warm": {"labels": ["a", "b"]}}, None)
    assert (first["labels"], first["stored"], first["computed"]) == (2, 0, 2)
    second = handler({"warm": {"labels": ["a", "b", "c"]}}, None)
    assert (second["labels"], second["stored"], second["computed"]) == (3, 2, 1)
    assert second["ms"] > 0


def test_after_it_a_new_instance_computes_nothing(redis_server: RedisServer, start_service: StartService) -> None:
    handler_with(redis_server.url)({"warm": {"label_sets": ["moderation"]}}, None)
    picture = as_base64(encoded(drawn()))
    reply = start_service(cache_url=redis_server.url).classify(image_data=picture, label_set="moderation")
    assert reply.label_cache["computed"] == 0
    assert reply.label_cache["store"] == len(reply.json["result"])


def test_it_renews_the_time_to_live_of_what_is_stored(redis_server: RedisServer) -> None:
    handler = handler_with(redis_server.url, cache_ttl_seconds=1000)
    handler({"warm": {"labels": ["a"]}}, None)
    (key,) = redis_server.client.keys()
    redis_server.client.expire(key, 10)
    assert handler({"warm": {"labels": ["a"]}}, None)["computed"] == 0
    assert int(redis_server.client.ttl(key)) > 900


def test_a_label_given_twice_counts_once(redis_server: RedisServer) -> None:
    assert handler_with(redis_server.url)({"warm": {"labels": ["a", "a"]}}, None)["labels"] == 1


def test_it_raises_when_the_store_is_not_there() -> None:
    with pytest.raises(WarmUpError, match="could not be read"):
        handler_with(f"redis://127.0.0.1:{free_port()}")({"warm": {"labels": ["a"]}}, None)


def test_it_raises_when_there_is_no_store_at_all() -> None:
    with pytest.raises(WarmUpError, match="CACHE_URL"):
        handler_with("")({"warm": {"labels": ["a"]}}, None)


def test_it_raises_when_the_store_takes_nothing(redis_server: RedisServer) -> None:
    redis_server.client.config_set("maxmemory", "1")
    redis_server.client.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(WarmUpError, match="did not take"):
        handler_with(redis_server.url)({"warm": {"labels": ["a"]}}, None)


def test_it_raises_for_a_label_that_cannot_be_computed(redis_server: RedisServer) -> None:
    with pytest.raises(InvalidField, match="75 tokens"):
        handler_with(redis_server.url)({"warm": {"labels": ["word " * 100]}}, None)


@pytest.mark.parametrize(
    "warm",
    [None, {}, [], "moderation", {"labels": []}, {"label_sets": []}, {"labels": "cat"}, {"labels": [1]},
     {"labels": [" "]}, {"label_sets": ["nonsense"]}, {"label_sets": [["moderation"]]},
     {"labels": ["a"], "label_sets": ["moderation"]}],
)  # fmt: skip
def test_it_raises_for_an_event_that_is_not_of_its_form(redis_server: RedisServer, warm: Any) -> None:
    with pytest.raises(WarmUpError, match=r"warm|configured"):
        handler_with(redis_server.url)({"warm": warm}, None)


def test_an_event_that_is_neither_http_nor_a_warm_up_is_refused_with_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label_sets"):
        handler_with("")({"Records": []}, None)
