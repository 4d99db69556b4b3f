"""The audit fails for known vulnerabilities and for nothing else, and never passes off silence as good news."""

from __future__ import annotations

from typing import Any

import pytest

from support.harness import LAMBDA_SRC
from tools.audit import main

SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
SKIPPED = {"name": "pillow", "skip_reason": "not found"}
HURT = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages)}


@pytest.mark.parametrize(
    ("pypi", "osv", "status", "words"),
    [
        (report(SOUND), None, 0, "No vulnerability is known in 1 packages"),
        (report(SOUND, HURT), None, 1, "pillow 1.0: PYSEC-1, mended in 1.1"),
        (None, None, 3, "NOTHING WAS AUDITED"),
        (report(SKIPPED), None, 3, "NOTHING WAS AUDITED"),
        (report(SKIPPED, SOUND), None, 0, "nothing could be learned about pillow"),
        (report(SKIPPED, SOUND), report(HURT, SOUND), 1, "PYSEC-1"),
        (None, report(SOUND), 0, "No vulnerability is known in 1 packages"),
    ],
)
def test_what_the_advisories_say_decides(
    pypi: Any, osv: Any, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main({"pypi": pypi, "osv": osv}.get) == status
    printed = capsys.readouterr().out
    assert words in printed
    assert ("No vulnerability is known" in printed) == (status == 0)


@pytest.mark.parametrize(("file", "least"), [("requirements.txt", 10), ("requirements-videos.txt", 1)])
def test_every_package_of_the_lambda_is_pinned_with_hashes(file: str, least: int) -> None:
    lines = (LAMBDA_SRC / file).read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert len(packages) >= least
    for line in packages:
        assert "==" in line, line
        assert line.endswith("\\"), line
        assert lines[lines.index(line) + 1].strip().startswith("--hash=sha256:"), line
