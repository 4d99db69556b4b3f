"""The direction of imports: the core does not know who asks, and a picture knows nothing of labels."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.harness import LAMBDA_SRC

MODERATOR = LAMBDA_SRC / "moderator"

# What each part may know, beside itself and what all may know. `handler.py` builds everything, and knows everything.
EVERYBODY = {"errors", "strict_json", "label_text", "json_file", "aws_request"}
MAY_KNOW: dict[str, set[str]] = {name: set() for name in EVERYBODY} | {
    "pictures": set(),
    "clip": {"pictures"},
    "labels": {"clip", "pictures", "settings"},
    "policy": set(),
    "question": {"clip", "pictures", "policy"},
    "classifier": {"clip", "pictures", "labels", "question"},
    "moderation": {"clip", "pictures", "policy", "question", "classifier"},
    "telemetry": {"classifier", "moderation", "policy", "question"},
    "jobs": {
        "cpus",
        "labels",
        "clip",
        "pictures",
        "policy",
        "question",
        "classifier",
        "moderation",
        "telemetry",
        "settings",
        "web",  # a verdict line is what /moderate answers
    },
    "web": {"labels", "clip", "pictures", "policy", "question", "classifier", "moderation", "telemetry", "settings"},
    "settings": set(),
    "cpus": set(),
}


def part(name: str) -> str:
    """`pictures` of `moderator.pictures.decode`, `question` of `moderator.question`."""
    return name.split(".")[1]


def known_to(source: str) -> set[str]:
    """The parts of the service that a source imports, anywhere in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "moderator":
            names |= {f"moderator.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {part(name) for name in names if name.startswith("moderator.")}


SOURCES = sorted(path for path in MODERATOR.rglob("*.py") if path.name not in ("__init__.py", "handler.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(MODERATOR)))
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(MODERATOR).with_suffix("").parts[0]
    found = known_to(path.read_text("utf-8")) - {own} - EVERYBODY
    # The local server serves the handler, as Lambda does.
    allowed = MAY_KNOW[own] | ({"handler"} if path.name == "server.py" else set())
    assert found <= allowed, f"{own} may know {sorted(allowed)}"


def test_imports_are_seen_in_every_form() -> None:
    source = (
        "import moderator.web.app\nfrom moderator import settings\ndef f():\n    from moderator.clip.model import M\n"
    )
    assert known_to(source) == {"web", "settings", "clip"}


def test_there_are_sources() -> None:
    assert {path.relative_to(MODERATOR).parts[0].removesuffix(".py") for path in SOURCES} == MAY_KNOW.keys()
