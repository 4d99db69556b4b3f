"""Neither the log nor the store nor an error gives away what a client sent or what the machine looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.harness import LAMBDA_SRC, RedisServer, Reply, Service
from support.pictures import as_base64, drawn, encoded
from support.server_process import server_process
from support.tally import Tally

pytestmark = pytest.mark.slow

PICTURE = encoded(drawn("red", "circle"))
# Words that occur nowhere else.
SECRETS = ["zyxwordone", "zyxwordtwo grün", "zyxcategory", "zyxmodel"]
LABELS = {SECRETS[0]: SECRETS[2], SECRETS[1]: SECRETS[2]}
CONTEXT = 80
# Differs from its candidate in the category that is in its client's words.
POLICY = {
    "neutral": ["a green star"],
    "categories": {SECRETS[2]: {"labels": ["a red circle", SECRETS[0]], "against": [SECRETS[1]], "block": 0}},
    "candidate": "small",
}
SMALL = {"categories": {"weapons": {"labels": ["a gun"], "against": ["a camera"], "block": 1}}}
OTHER_LABELS = ["a green star", "a red circle", "a gun", "a camera"]


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Settings under which the candidate has few labels, so that it is judged on a busy machine too."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "small.json").write_text(json.dumps(SMALL))
    return {"POLICIES_DIR": str(folder), "DEFAULT_POLICY": "small"}


def moderate(service: Service, **fields: Any) -> Reply:
    return service.request("POST", "/moderate", json.dumps(fields), {"Content-Type": "application/json"})


def requests(service: Service) -> list[Reply]:
    """Answered and refused ones, with a label or a picture in each."""
    query = "&".join(f"label={word}" for word in ("zyxwordone", "zyxwordtwo%20gr%C3%BCn"))
    picture = as_base64(PICTURE)
    return [
        service.classify(image_data=picture, labels=LABELS),
        service.classify(images=[picture, picture], labels=list(LABELS)),
        service.post_picture(PICTURE, query),
        service.post_picture(PICTURE[:-40], query),
        service.post_picture(b"zyxwordone", query),
        service.classify(image_data=picture, labels=[SECRETS[0], SECRETS[0]]),
        service.classify(image_data=picture, labels=[f"{SECRETS[0]} " * CONTEXT]),
        service.classify(image_data=picture, labels=[f"{SECRETS[0]} <end_of_text>"]),
        service.classify(image_data=picture, labels={SECRETS[0]: 1}),
        service.classify(image_data=picture, label_set=SECRETS[0]),
        service.classify(image_data=f"{picture[:-9]}!{SECRETS[3]}", labels=[SECRETS[0]]),
        service.classify(zyxwordone=1),
        service.post_json(f'{{"{SECRETS[0]}": 1, "{SECRETS[0]}": 2}}'),
        service.post_json(f"{SECRETS[0]}"),
        moderate(service, policy=POLICY, image_data=picture),
        moderate(service, policy=POLICY, image_data=as_base64(PICTURE[:-40])),
        moderate(service, policy=POLICY | {"view": SECRETS[0]}, image_data=picture),
        moderate(service, policy=SECRETS[0], image_data=picture),
        service.get(f"/{SECRETS[0]}"),
        service.get("/health"),
    ]


@pytest.mark.parametrize("log_labels", ["false", "true"])
@pytest.mark.parametrize("store", ["up", "down"])
def test_the_log_holds_labels_only_where_they_are_asked_for_and_pictures_never(
    log_labels: str,
    store: str,
    redis_server: RedisServer,
    environment: Mapping[str, str],
    tmp_path: Path,
    tally: Tally,
) -> None:
    environment = {**environment, "CACHE_URL": redis_server.url, "LOG_LABELS": log_labels, "MEMORY_LABELS": "1"}
    environment["POWERTOOLS_LOG_LEVEL"] = "INFO"  # as in the Lambda
    if store == "down":
        redis_server.stop()
    with server_process(tmp_path, environment) as server:
        replies = requests(server.service)
        log = server.log
    assert {reply.status for reply in replies} == {200, 400, 404, 415, 422}
    assert log.count('"message":"classified"') == 3
    assert log.count('"message":"moderated"') == log.count('"message":"candidate differs"') == 1
    assert log.count('"message":"refused"') == len(replies) - 5
    assert ("The store fails" in log) == (store == "down")
    text = "\n".join(json.dumps(json.loads(line), ensure_ascii=False) for line in log.splitlines() if line[:1] == "{")
    assert any(secret in text for secret in SECRETS) == (log_labels == "true")
    for start in range(0, len(PICTURE) - 24, 24):
        assert as_base64(PICTURE[start : start + 24]) not in log
    happened = "labels in the log, no picture" if log_labels == "true" else "neither in the log"
    tally.add("Leaks", f"Answers and errors, LOG_LABELS={log_labels}, the store {store}", happened, len(replies))


def test_the_store_holds_hashes_and_numbers_only(
    redis_server: RedisServer, environment: Mapping[str, str], tmp_path: Path, tally: Tally
) -> None:
    with server_process(tmp_path, {**environment, "CACHE_URL": redis_server.url}) as server:
        requests(server.service)
    client = redis_server.client
    keys = [key.decode() for key in client.scan_iter()]
    assert len(keys) == len(LABELS) + len(OTHER_LABELS)
    for key in keys:
        assert re.fullmatch(r"clip:\{[0-9a-f]{16}\}:[0-9a-f]{64}", key)
        assert len(client.get(key)) % 4 == 0
        assert b"zyx" not in client.get(key)
        tally.add("Leaks", "Keys in the store", "a hash")


def test_no_answer_shows_a_path_of_the_machine(service: Service, tally: Tally) -> None:
    paths = [str(LAMBDA_SRC), str(Path.home()), "site-packages", ".py", "/tmp", "/var", "/usr", "File \\"]  # noqa: S108
    for reply in (*requests(service), service.get("/label-sets"), service.get("/openapi.json")):
        for path in paths:
            assert path.encode() not in reply.body, reply.body
        tally.add("Leaks", "Answers and errors", "show no path of the machine")
