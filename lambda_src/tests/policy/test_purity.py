"""The policy's code knows neither HTTP nor S3 nor pictures."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from support.harness import LAMBDA_SRC

FILES = sorted((LAMBDA_SRC / "moderator" / "policy").glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_imports_nothing_but_numpy_pydantic_and_what_knows_no_request(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.module != "moderator" else [f"moderator.{a.name}" for a in node.names]
            imported |= set(names)
    ours = {name for name in imported if name.startswith("moderator")}
    others = {name.partition(".")[0] for name in imported - ours}
    assert others <= {"numpy", "pydantic", "pydantic_core"} | sys.stdlib_module_names
    assert {name for name in ours if not name.startswith("moderator.policy.")} <= {
        "moderator.errors",
        "moderator.json_file",
        "moderator.label_text",
        "moderator.strict_json",
    }


def test_there_are_files() -> None:
    assert len(FILES) >= 6
