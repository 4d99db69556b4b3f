"""The precomputed tier: a cold instance answers what is configured without its text tower; no stale file is used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from moderator.clip.model import read_model
from moderator.errors import ConfigurationError
from moderator.handler import build_handler
from moderator.jobs.precompute import precompute
from moderator.labels.precomputed import FILE, read_precomputed, write_precomputed
from moderator.settings import Settings
from support.aws_events import http_api
from support.harness import RedisServer
from support.pictures import as_base64, drawn, encoded
from support.towers import Loader

PICTURE = as_base64(encoded(drawn("red", "circle")))


def copy_of_the_demo_model(folder: Path) -> Settings:
    shutil.copytree(Settings().model_dir, folder, ignore=shutil.ignore_patterns(FILE))
    return Settings(model_dir=folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The demo model without the tier."""
    return copy_of_the_demo_model(tmp_path_factory.mktemp("plain") / "model")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The demo model with everything that is shipped precomputed."""
    made = copy_of_the_demo_model(tmp_path_factory.mktemp("precomputed") / "model")
    assert "labels are precomputed" in precompute(made)
    yield made


def ask(settings: Settings, path: str, load: Loader | None = None, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"image_data": PICTURE} | fields).encode()
    handler = build_handler(settings, load=load or Loader())
    response = handler(http_api("POST", path, body=body, encode=True), None)
    assert response["statusCode"] == 200, response
    return response


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/moderate", {"policy": "moderation"}),
        ("/classify", {"label_set": "moderation"}),
        ("/moderate", {"policy": "demo"}),
    ],
)
def test_a_cold_instance_without_a_store_never_loads_the_text_tower(
    settings: Settings, path: str, fields: dict[str, Any]
) -> None:
    load = Loader()
    response = ask(settings, path, load, **fields)
    assert response["headers"]["X-Label-Cache"].endswith("memory=0, store=0, computed=0")
    assert not load.text.loaded


def test_the_same_answer_from_whichever_tier(plain: Settings, settings: Settings, redis_server: RedisServer) -> None:
    with_store = replace(plain, cache_url=redis_server.url)
    asked: dict[str, Any] = {"policy": "moderation", "return_embedding": True}
    computed = ask(plain, "/moderate", **asked)
    first = ask(with_store, "/moderate", **asked)
    stored = ask(with_store, "/moderate", **asked)
    precomputed = ask(settings, "/moderate", **asked)
    sources = [one["headers"]["X-Label-Cache"].replace("=0", "") for one in (computed, stored, precomputed)]
    assert [source.count("=") for source in sources] == [1, 1, 1]
    assert computed["body"] == first["body"] == stored["body"] == precomputed["body"]


def test_what_is_not_configured_is_computed_beside_it(settings: Settings) -> None:
    labels = ["a red circle", "something that nobody configured"]
    response = ask(settings, "/classify", labels=labels)
    assert response["headers"]["X-Label-Cache"] == "precomputed=1, memory=0, store=0, computed=1"


def test_a_repeated_question_still_tells_what_was_precomputed(settings: Settings) -> None:
    handler = build_handler(settings)
    body = json.dumps({"image_data": PICTURE, "labels": ["a red circle", "nobody configured this"]}).encode()
    event = http_api("POST", "/classify", body=body, encode=True)
    handler(event, None)
    assert handler(event, None)["headers"]["X-Label-Cache"] == "precomputed=1, memory=1, store=0, computed=0"


def test_it_is_made_again_only_where_something_changed(tmp_path: Path) -> None:
    sets = tmp_path / "label_sets"
    sets.mkdir()
    (sets / "mine.json").write_text('{"description": "Two.", "labels": ["a", "b"]}')
    settings = replace(copy_of_the_demo_model(tmp_path / "model"), label_sets_dir=sets)
    assert "labels are precomputed:" in precompute(settings)
    assert "already" in precompute(settings)
    (sets / "mine.json").write_text('{"description": "Two.", "labels": ["a", "c"]}')
    assert "labels are precomputed:" in precompute(settings)
    assert "c" in read_precomputed(read_model(settings.model_dir), Log())  # type: ignore[arg-type]  # ten lines of it


def test_a_configured_label_that_cannot_be_embedded_stops_the_build(tmp_path: Path) -> None:
    sets = tmp_path / "label_sets"
    sets.mkdir()
    (sets / "mine.json").write_text(json.dumps({"description": "Long.", "labels": ["word " * 100]}))
    settings = replace(copy_of_the_demo_model(tmp_path / "model"), label_sets_dir=sets)
    with pytest.raises(ConfigurationError, match="75 tokens"):
        precompute(settings)
    assert not (settings.model_dir / FILE).exists()


class Log:
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, message: str, **_: Any) -> None:
        self.warnings.append(message)


def test_another_models_file_is_never_used(tmp_path: Path) -> None:
    settings = copy_of_the_demo_model(tmp_path / "model")
    model = read_model(settings.model_dir)
    write_precomputed(replace(model, fingerprint="0123456789abcdef"), ["a red circle"], np.eye(1, 64, dtype=np.float32))
    log = Log()
    assert read_precomputed(model, log) == {}  # type: ignore[arg-type]  # ten lines of a logger
    assert log.warnings
    response = ask(settings, "/classify", labels=["a red circle", "a star"])
    assert response["headers"]["X-Label-Cache"] == "precomputed=0, memory=0, store=0, computed=2"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda matrix: matrix[:, :-1], "shape"),
        (lambda matrix: matrix[:-1], "shape"),
        (lambda matrix: matrix.astype(np.float64), "float64"),
        (lambda matrix: matrix * 1.01, "unit length"),
        (lambda matrix: matrix * np.nan, "unit length"),
    ],
)
def test_a_file_that_cannot_be_right_stops_the_start(tmp_path: Path, change: Any, words: str) -> None:
    settings = copy_of_the_demo_model(tmp_path / "model")
    precompute(settings)
    path = settings.model_dir / FILE
    model = read_model(settings.model_dir)
    labels = list(read_precomputed(model, Log()))  # type: ignore[arg-type]  # ten lines of a logger
    matrix = change(load_file(path)["embeddings"])
    metadata = {"fingerprint": model.fingerprint, "labels": json.dumps(labels)}
    save_file({"embeddings": np.ascontiguousarray(matrix)}, path, metadata=metadata)
    with pytest.raises(ConfigurationError, match=words):
        build_handler(settings)


def test_a_damaged_file_stops_the_start(tmp_path: Path) -> None:
    settings = copy_of_the_demo_model(tmp_path / "model")
    precompute(settings)
    path = settings.model_dir / FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        build_handler(settings)
