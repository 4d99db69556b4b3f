"""Asks for known vulnerabilities of the packages that run in the Lambda: `make audit`.

Where the advisories cannot be had - no network, or an index without them - it says so and ends with a status of its
own, 3. pip-audit itself cannot be relied on for that: packages that it could not look up count as safe to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUIREMENTS = (Path("lambda_src/requirements.txt"), Path("lambda_src/requirements-videos.txt"))
NOTHING_AUDITED = 3
# PyPI's own advisories, and OSV's where PyPI does not answer.
SERVICES = ("pypi", "osv")


@dataclass(kw_only=True)
class Findings:
    """What is known of the packages asked about."""

    asked: set[str] = field(default_factory=set)
    looked_up: set[str] = field(default_factory=set)
    vulnerable: list[str] = field(default_factory=list)

    def add(self, report: dict[str, Any]) -> None:
        """Add a pip-audit report; packages already looked up elsewhere stay so."""
        for package in report["dependencies"]:
            name = package["name"]
            self.asked.add(name)
            if "skip_reason" in package or name in self.looked_up:
                continue
            self.looked_up.add(name)
            for one in package["vulns"]:
                fixed = ", ".join(one["fix_versions"]) or "no version"
                self.vulnerable.append(f"{name} {package['version']}: {one['id']}, mended in {fixed}")


def ask(service: str) -> dict[str, Any] | None:
    """Ask one service; return None where it does not answer."""
    audited = [word for path in REQUIREMENTS for word in ("-r", str(path))]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "report.json"
        # --disable-pip: the hashed lock is complete, and nothing has to be resolved or installed.
        subprocess.run(  # noqa: S603 - our own words only
            [sys.executable, "-m", "pip_audit", *audited, "--disable-pip", "--require-hashes",
             "--vulnerability-service", service, "--timeout", "10", "--progress-spinner", "off",
             "--format", "json", "--output", str(output)],
            check=False, capture_output=True,
        )  # fmt: skip
        return json.loads(output.read_text()) if output.exists() else None


def main(ask: Callable[[str], dict[str, Any] | None] = ask) -> int:
    """Print what is known.

    Returns:
        1 where a package is vulnerable, 3 where nothing could be learned about any, otherwise 0.
    """
    findings = Findings()
    for service in SERVICES:
        report = ask(service)
        if report is not None:
            findings.add(report)
        if findings.asked and findings.asked == findings.looked_up:
            break
    for line in findings.vulnerable:
        print(f"VULNERABLE  {line}")
    missing = sorted(findings.asked - findings.looked_up)
    if not findings.looked_up:
        print("NOTHING WAS AUDITED: the advisories cannot be had from here (PyPI's and OSV's were asked for).")
        return NOTHING_AUDITED
    if missing:
        print(f"NOTICE: nothing could be learned about {', '.join(missing)}.")
    if not findings.vulnerable:
        print(f"No vulnerability is known in {len(findings.looked_up)} packages.")
    return 1 if findings.vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
