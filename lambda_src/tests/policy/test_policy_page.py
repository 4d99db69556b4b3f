"""What `docs/policies.md` shows is what the service takes."""

from __future__ import annotations

import json
import re

import pytest

from moderator.policy.form import PolicyObject
from support.harness import LAMBDA_SRC
from support.policies import content, policy

PAGE = (LAMBDA_SRC.parent / "docs" / "policies.md").read_text("utf-8")
EXAMPLE, CALIBRATION = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


def test_its_examples_are_valid() -> None:
    weapons = policy(EXAMPLE | {"calibration": CALIBRATION}).categories[0]
    assert (weapons.name, weapons.scale, weapons.offset) == ("weapons", 1.3, -0.4)


@pytest.mark.parametrize("field", PolicyObject.model_fields)
def test_every_field_is_explained(field: str) -> None:
    assert re.search(rf"^\| `{field}[.`]", PAGE, re.MULTILINE)


def test_its_defaults_are_the_services() -> None:
    defaults = policy(content())
    for field, default in (
        ("view", f"`{defaults.view}`"),
        ("frames.most", defaults.frames.most),
        ("frames.at_least", defaults.frames.at_least),
        ("frames.every", f"{defaults.frames.every:g}"),
        ("on_error", f"`{defaults.on_error}`"),
        ("sample", f"{defaults.sample:g}"),
    ):
        assert f"| `{field}` | {default} |" in PAGE
