"""What calibrates stays at the desk: nothing of it is installed or imported where the service runs."""

from __future__ import annotations

import re
from pathlib import Path

from tools.code import SERVICE
from tools.tests.desk import ROOT

DESK = {"scikit-learn", "scipy", "rich"}


def required(path: Path) -> set[str]:
    """Return the names of the packages that a file of requirements pins."""
    return set(re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^]]*])?\s*[=<>~]=", path.read_text(), re.MULTILINE))


def test_scikit_learn_is_for_the_desk_alone() -> None:
    assert "scikit-learn" in required(ROOT / "tools/requirements.txt")
    for path in (ROOT / "lambda_src").glob("requirements*.txt"):
        assert {"numpy", "pillow"} & required(path) or "videos" in path.name, path
        assert not required(path) & DESK, path


def test_the_service_imports_nothing_of_the_tools() -> None:
    imports = re.compile(r"^\s*(?:from|import) (tools|sklearn|scipy|rich)\b", re.MULTILINE)
    modules = list(SERVICE.rglob("*.py"))
    assert len(modules) > 50
    assert [path.name for path in modules if imports.search(path.read_text())] == []
