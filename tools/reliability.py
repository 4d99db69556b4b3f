"""Writes docs/reliability.md from what the reliability tests counted while they ran: `make reliability`.

Nothing is in the table that was not run: its rows are the tests' own counts, and the soak's figures those of the last
`make soak`, or none.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

COUNTS, SOAK, DOCUMENT = Path("build/reliability.json"), Path("build/soak.json"), Path("docs/reliability.md")

HEAD = """# What was tried, and what happened

When the store fails, requests are answered all the same: their labels are computed, which takes longer. Pictures and
requests that are broken, or made to hurt, are refused with a sentence that says why; [api.md](api.md#limits) has the
limits.

`make reliability` writes this page from the counts of the tests that it runs. A row is there because it was run and its
outcome was looked at. A test that fails writes no table. `make soak` makes the load at the end, for `SECONDS=` seconds,
and `make audit` asks for known vulnerabilities of what is deployed.
"""

PARTS = {
    "Lambda runtime": "AWS's own runtime client runs the handler against a local Lambda Runtime API.",
    "Store": "Real servers, failing. Every answer is compared with that of a service without a store; the waits, the "
    "one warning a change and the metric are checked with each.",
    "Cluster": "Three masters that share the slots.",
    "Pictures": "Sent over HTTP to a server of its own process. Each request took less than 1 s and less than 300 MB "
    "of memory more, and each refusal is a problem document that names the cause.",
    "Requests": "Property tests and special bodies; then examples made from the service's own OpenAPI document, whose "
    "answers are checked against it.",
    "Server": "Raw bytes to the local server in a process of its own; after each of them it still answers, and its log "
    "has a line and no traceback.",
    "Leaks": "What can be found in the log, in the store and in the answers.",
}


def document(rows: list[dict[str, Any]], soak: dict[str, Any] | None) -> str:
    """Return the whole page."""
    unknown = {row["part"] for row in rows} - set(PARTS)
    if unknown:
        raise ValueError(f"the tests count under {unknown}, of which PARTS knows nothing")
    ordered = sorted(rows, key=lambda row: list(PARTS).index(row["part"]))
    sections = [_section(part, list(of_part)) for part, of_part in groupby(ordered, key=lambda row: str(row["part"]))]
    return "\n".join([HEAD, *sections, *([_load(soak)] if soak else [])])


def _section(part: str, rows: list[dict[str, Any]]) -> str:
    lines = [f"## {part}", "", PARTS[part], "", "| tried | times | what happened |", "| --- | ---: | --- |"]
    for row in rows:
        happened: dict[str, int] = row["happened"]
        total = sum(happened.values())
        outcomes = sorted(happened.items(), key=lambda outcome: -outcome[1])
        told = ", ".join(what if len(happened) == 1 else f"{what}: {times:,}" for what, times in outcomes)
        lines.append(f"| {row['tried'].replace('|', '/')} | {total:,} | {told} |")
    return "\n".join([*lines, ""])


def _load(soak: dict[str, Any]) -> str:
    labels = soak["labels"]
    return f"""## Under load

`make soak`: {soak["clients"]} clients ask the local server for {soak["seconds"]:g} s while the store fails and returns;
all of them on the same {soak["cpus"]} CPUs.

| what | figure |
| --- | ---: |
| requests, of {soak["questions"]} different questions | {soak["requests"]:,} |
| answers that differ from the one computed alone | {soak["wrong"]:,} |
| outages of the store | {soak["outages"]:,} |
| labels from memory, from the store, computed | {labels["memory"]:,}, {labels["store"]:,}, {labels["computed"]:,} |
| requests a second | {soak["requests_per_second"]} |
| p50, p99 | {soak["p50_ms"]} ms, {soak["p99_ms"]} ms |
| the server's most memory | {soak["peak_mb"]} MB |
"""


def main() -> None:
    """Write the page."""
    soak = json.loads(SOAK.read_text()) if SOAK.exists() else None
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(json.loads(COUNTS.read_text()), soak))
    print(f"Wrote {DOCUMENT}")


if __name__ == "__main__":
    main()
