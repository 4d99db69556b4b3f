"""The defaults for clients that name nothing; a wrong one stops the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moderator.errors import ConfigurationError
from moderator.handler import build_handler
from moderator.settings import Settings, read_settings
from support.client_pictures import ALLOWED
from support.harness import StartService

from .test_openai import client_of, image


def test_the_settings_are_read_from_the_environment() -> None:
    settings = read_settings({"DEFAULT_POLICY": "demo", "DEFAULT_LABEL_SET": "demo", "FLAG_FROM": "review"})
    assert (settings.default_policy, settings.default_label_set, settings.flag_from) == ("demo", "demo", "review")
    with pytest.raises(ConfigurationError, match="FLAG_FROM is 'allow': it must be review or block"):
        read_settings({"FLAG_FROM": "allow"})


@pytest.mark.parametrize("setting", ["default_policy", "default_label_set"])
def test_a_default_that_is_not_there_stops_the_start(setting: str) -> None:
    wrong: dict[str, Any] = {setting: "nothing"}
    with pytest.raises(ConfigurationError, match=f"{setting.upper()} is 'nothing': it must be one of demo, moderation"):
        build_handler(Settings(**wrong))


def test_a_folder_without_the_usual_default_starts_and_says_so_when_it_is_needed(
    start_service: StartService, tmp_path: Path
) -> None:
    service = start_service(policies_dir=tmp_path)
    reply = service.request("POST", "/hooks/pict-rs", ALLOWED, {"Content-Type": "image/png"})
    assert reply.status == 422
    assert "'moderation' is not configured" in reply.body.decode()


def test_what_only_the_sample_sends_to_review_is_not_flagged(start_service: StartService, tmp_path: Path) -> None:
    (tmp_path / "sampled.json").write_text(
        '{"sample": 1, "categories": {"red": {"labels": ["a red circle"], "against": ["a green star"], "review": 0.9}}}'
    )
    service = start_service(policies_dir=tmp_path, default_policy="sampled", flag_from="review")
    with client_of(service) as client:
        (result,) = client.moderations.create(input=[image(ALLOWED)]).results
    assert (result.flagged, (result.model_extra or {})["verdict"]) == (False, "review")
