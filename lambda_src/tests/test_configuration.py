"""What stops the start: settings, label sets and model folders that cannot be used. Each gets a sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from moderator.clip.model import FILES, read_model
from moderator.clip.towers import TextTower
from moderator.cpus import usable_cpus
from moderator.errors import ConfigurationError
from moderator.labels.label_sets import read_label_sets
from moderator.settings import Settings, read_settings
from support.harness import LAMBDA_SRC


class TestSettings:
    def test_a_time_in_which_nothing_could_be_done_is_refused(self) -> None:
        """Half a second is kept for the answer's way, so that less would answer 503 for ever."""
        with pytest.raises(ConfigurationError, match=r"MAX_SECONDS is 0\.4: it must be 1 or more"):
            read_settings({"MAX_SECONDS": "0.4"})

    def test_an_empty_environment_gives_the_defaults(self) -> None:
        assert read_settings({}) == Settings()

    def test_every_variable_is_read(self) -> None:
        settings = read_settings(
            {
                "MODEL_DIR": "/models/x",
                "CACHE_URL": "rediss://host:6379",
                "CACHE_CLUSTER": "true",
                "CACHE_RETRY_SECONDS": "2.5",
                "MAX_PIXELS": "123",
            }
        )
        assert settings.model_dir == Path("/models/x")
        assert settings.cache_url == "rediss://host:6379"
        assert settings.cache_cluster is True
        assert settings.cache_retry_seconds == 2.5
        assert settings.max_pixels == 123

    @pytest.mark.parametrize(
        ("variable", "value", "sentence"),
        [
            ("MAX_PIXELS", "many", "MAX_PIXELS is 'many': it must be a whole number"),
            ("MAX_PIXELS", "-1", "MAX_PIXELS is '-1'"),
            ("MAX_LABELS", "0", "MAX_LABELS is 0: it must be 1 or more"),
            ("CACHE_RETRY_SECONDS", "nan", "CACHE_RETRY_SECONDS is 'nan'"),
            ("CACHE_RETRY_SECONDS", "soon", "above 0"),
            ("CACHE_CLUSTER", "perhaps", "CACHE_CLUSTER is 'perhaps': it must be true or false"),
            ("CACHE_URL", "http://host", "CACHE_URL must start with redis://"),
            ("MODEL_DIR", " ", "MODEL_DIR is empty"),
            ("CACHE_IAM_USER", "me", "CACHE_IAM_USER and CACHE_IAM_NAME go together"),
        ],
    )
    def test_a_wrong_value_names_the_variable_and_what_would_be_right(
        self, variable: str, value: str, sentence: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            read_settings({variable: value})
        assert sentence in str(caught.value)

    def test_iam_without_tls_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="rediss://"):
            read_settings({"CACHE_IAM_USER": "me", "CACHE_IAM_NAME": "it", "CACHE_URL": "redis://host"})

    def test_a_password_in_the_url_is_not_repeated(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            read_settings({"CACHE_URL": "http://:secret@host"})
        assert "secret" not in str(caught.value)


class TestLabelSets:
    def read(self, folder: Path, content: Any) -> Any:
        (folder / "mine.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return read_label_sets(folder, max_labels=5)

    def test_labels_with_and_without_categories_are_read(self, tmp_path: Path) -> None:
        plain = self.read(tmp_path, {"description": "Two.", "labels": ["a", "b"]})["mine"]
        assert (plain.labels, plain.categories) == (("a", "b"), None)
        sorted_ = self.read(tmp_path, {"description": "Two.", "labels": {"a": "x", "b": "y"}})["mine"]
        assert (sorted_.labels, sorted_.categories) == (("a", "b"), ("x", "y"))

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("{", ["not JSON"]),
            ([], ["must hold an object"]),
            ({"labels": ["a"]}, ["description"]),
            ({"description": " ", "labels": ["a"]}, ["description"]),
            ({"description": "x"}, ["labels must be a list"]),
            ({"description": "x", "labels": "cat"}, ["labels must be a list"]),
            ({"description": "x", "labels": []}, ["1 to 5", "0"]),
            ({"description": "x", "labels": list("abcdef")}, ["1 to 5", "6"]),
            ({"description": "x", "labels": ["a", 1]}, ["labels[1]"]),
            ({"description": "x", "labels": ["a", " "]}, ["labels[1]"]),
            ({"description": "x", "labels": ["a", "a"]}, ["'a' twice"]),
            ({"description": "x", "labels": {"a": 1}}, ["labels['a']"]),
            ('{"description": "x", "labels": {"a": "x", "a": "y"}}', ["'a' is given twice"]),
            ({"description": "x", "labels": ["a"], "label": 1}, ["'label'"]),
            ('{"description": "x", "labels": ["a", "\\ud83d"]}', ["labels[1]", "surrogate"]),
            ('{"description": "x", "labels": {"a": "\\ud83d"}}', ["labels['a']", "surrogate"]),
            ({"description": "x", "labels": ["a" * 2001]}, ["labels[0]", "2,001 characters"]),
        ],
    )
    def test_a_file_that_is_not_valid_names_the_file_and_the_field(
        self, tmp_path: Path, content: Any, words: list[str]
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            self.read(tmp_path, content)
        for word in ["mine.json", *words]:
            assert word in str(caught.value)

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="LABEL_SETS_DIR"):
            read_label_sets(tmp_path / "nowhere", max_labels=5)

    def test_the_shipped_sets_fit_the_models_context(self) -> None:
        tower = TextTower(read_model(Settings().model_dir), threads=1)
        for label_set in read_label_sets(Settings().label_sets_dir, max_labels=1000).values():
            assert tower.embed(label_set.labels).shape[0] == len(label_set.labels)

    def test_moderation_has_the_twelve_categories_with_several_prompts_each(self) -> None:
        moderation = read_label_sets(Settings().label_sets_dir, max_labels=1000)["moderation"]
        assert moderation.categories is not None
        counts = {category: moderation.categories.count(category) for category in moderation.categories}
        assert set(counts) == {
            "neutral", "gaming", "sport", "music", "suggestive", "explicit",
            "violence", "weapons", "self-harm", "hate symbols", "drugs", "gore",
        }  # fmt: skip
        assert min(counts.values()) >= 3


# The weights of each tower lie beside its graph.
EXPORTED = (*FILES, "image.data", "text.data")


class TestModelFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        copy = tmp_path / "model"
        copy.mkdir()
        for name in (*EXPORTED, "manifest.json"):
            shutil.copy(Settings().model_dir / name, copy)
        return copy

    def change(self, folder: Path, **fields: Any) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    def test_a_whole_folder_is_read(self, folder: Path) -> None:
        assert read_model(folder).embedding_size > 0

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="nowhere does not exist"):
            read_model(tmp_path / "nowhere")

    def test_a_folder_without_manifest_did_not_finish(self, folder: Path) -> None:
        (folder / "manifest.json").unlink()
        with pytest.raises(ConfigurationError, match="did not finish"):
            read_model(folder)

    @pytest.mark.parametrize("name", EXPORTED)
    def test_a_missing_or_half_written_file_is_named(self, folder: Path, name: str) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ConfigurationError, match=f"{name} has .* half-written"):
            read_model(folder)
        path.unlink()
        with pytest.raises(ConfigurationError, match=f"{name} is missing"):
            read_model(folder)

    def test_another_version_is_refused(self, folder: Path) -> None:
        self.change(folder, format=99)
        with pytest.raises(ConfigurationError, match="format 99"):
            read_model(folder)

    def test_a_manifest_that_is_not_json_is_refused(self, folder: Path) -> None:
        (folder / "manifest.json").write_text("{")
        with pytest.raises(ConfigurationError, match="not JSON"):
            read_model(folder)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""), ("fingerprint", None), ("embedding_size", 0), ("embedding_size", True), ("logit_scale", "x"),
            ("causal_text", 1), ("image_size", [224]), ("resize_mode", "longest"), ("label_template", "no braces"),
            ("files", []), ("interpolation", "nearest"),
        ],
    )  # fmt: skip
    def test_a_field_that_is_not_valid_is_named(self, folder: Path, field: str, value: Any) -> None:
        self.change(folder, **{field: value})
        with pytest.raises(ConfigurationError, match=field):
            read_model(folder)


def test_a_start_that_fails_says_so_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "moderator.web.server", "--port", "0"],
        env=os.environ | {"PYTHONPATH": str(LAMBDA_SRC), "MODEL_DIR": str(tmp_path / "nowhere")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "The service cannot start." in done.stderr
    assert "nowhere does not exist" in done.stderr
    assert "Traceback" not in done.stderr


class TestCpus:
    def test_lambda_memory_buys_the_vcpus(self, tmp_path: Path) -> None:
        none = tmp_path / "none"
        assert usable_cpus({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769"}, none) == 1
        assert usable_cpus({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"}, none) == 1

    def test_a_cgroups_quota_counts(self, tmp_path: Path) -> None:
        quota = tmp_path / "cpu.max"
        quota.write_text("100000 100000\n")
        assert usable_cpus({}, quota) == 1
        quota.write_text("max 100000\n")
        assert usable_cpus({}, quota) == len(os.sched_getaffinity(0))
