"""Pulumi.yaml is one that Pulumi reads: it validates the file before anything else, and stops every command otherwise.

The rules are those of Pulumi's own schema of project files, as far as ours uses them.
https://www.pulumi.com/docs/iac/concepts/projects/project-file/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from infra.config import ROOT

PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))

TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


def faults(project: dict[str, Any]) -> Iterator[str]:
    """Say what Pulumi would refuse."""
    known = {
        "name",
        "description",
        "runtime",
        "main",
        "config",
        "stackConfigDir",
        "backend",
        "options",
        "plugins",
        "author",
    }
    yield from (f"{key} is not a key of a project" for key in project.keys() - known)
    for key in ("name", "runtime"):
        if key not in project:
            yield f"{key} is missing"
    for key, setting in project.get("config", {}).items():
        if ":" in key and not key.startswith(f"{project['name']}:"):
            # Another package's setting, such as aws:region: it has no declaration, only a value.
            if not isinstance(setting, dict) or set(setting) != {"value"}:
                yield f"{key} belongs to another package and must have a value alone"
            continue
        yield from _of_declaration(key, setting)


def _of_declaration(key: str, setting: dict[str, Any]) -> Iterator[str]:
    yield from (f"{key} has {name}" for name in setting.keys() - {"type", "items", "description", "secret", "default"})
    if "secret" in setting and not isinstance(setting["secret"], bool):
        yield f"{key}: secret must be true or false"
    if setting.get("secret") is True and "default" in setting:
        # Every stack that does not set it: "must be encrypted as it's secret".
        yield f"{key}: a secret has no default, which would be in the clear"
    yield from _of_type(key, setting)
    if "default" in setting and setting.get("type") in TYPES and not _is_of(setting, setting["default"]):
        yield f"{key}: the default is not of its type"


def _of_type(key: str, declared: dict[str, Any]) -> Iterator[str]:
    if declared.get("type") not in TYPES:
        yield f"{key}: type is {declared.get('type')!r}"
    if (declared.get("type") == "array") != ("items" in declared):
        yield f"{key}: items go with arrays, and arrays with items"
    if "items" in declared:
        yield from (f"{key}: items have {name}" for name in declared["items"].keys() - {"type", "items"})
        yield from _of_type(f"{key}.items", declared["items"])


def _is_of(declared: dict[str, Any], value: object) -> bool:
    if isinstance(value, bool):
        return bool(declared["type"] == "boolean")
    if isinstance(value, list):
        return bool(declared["type"] == "array") and all(_is_of(declared["items"], item) for item in value)
    return type(value) is TYPES[declared["type"]]


def test_pulumi_reads_the_project_file() -> None:
    assert list(faults(PROJECT)) == []


@pytest.mark.parametrize(
    ("declaration", "fault"),
    [
        ({"type": "number", "default": 5}, "x: type is 'number'"),
        ({"default": 5}, "x: type is None"),
        ({"type": "integer", "default": 0.5}, "x: the default is not of its type"),
        ({"type": "integer", "default": True}, "x: the default is not of its type"),
        ({"type": "boolean", "default": 1}, "x: the default is not of its type"),
        ({"type": "array", "default": []}, "x: items go with arrays, and arrays with items"),
        ({"type": "string", "items": {"type": "string"}}, "x: items go with arrays, and arrays with items"),
        ({"type": "array", "items": {"type": "number"}}, "x.items: type is 'number'"),
        ({"type": "array", "items": {"type": "string"}, "default": [1]}, "x: the default is not of its type"),
        ({"type": "string", "minimum": 1}, "x has minimum"),
        ({"type": "string", "secret": "yes"}, "x: secret must be true or false"),
        ({"type": "string", "secret": True, "default": ""}, "x: a secret has no default, which would be in the clear"),
        ({"type": "object", "default": []}, "x: the default is not of its type"),
    ],
)
def test_a_declaration_that_pulumi_refuses_is_a_fault(declaration: dict[str, Any], fault: str) -> None:
    assert fault in list(faults({**PROJECT, "config": {"x": declaration}}))


def test_the_region_is_given_as_a_value() -> None:
    assert not list(faults({**PROJECT, "config": {"aws:region": {"value": "eu-central-1"}}}))
    assert list(faults({**PROJECT, "config": {"aws:region": {"type": "string", "default": "eu-central-1"}}}))


def test_a_project_without_a_runtime_or_with_a_stranger_is_a_fault() -> None:
    assert list(faults({"name": "x"})) == ["runtime is missing"]
    assert list(faults({**PROJECT, "resources": {}})) == ["resources is not a key of a project"]
