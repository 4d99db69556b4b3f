"""What one running instance is: its processor, its memory, and since when it runs; `GET /health?details` shows it.

Two answers with one `id` came from one process. Nothing here tells who calls or what was asked.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from moderator.errors import InvalidField

_began = time.monotonic()
_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")


def begin_again() -> None:
    """Count the seconds from now on: what ran before was the snapshot's making, not this instance."""
    global _began  # a process is one instance
    _began = time.monotonic()


def wants_details(query: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a request's query asks for details; names other than `details` are not looked at.

    Raises:
        InvalidField: it is given twice, or is neither empty, true nor false.
    """
    values = query.get("details", ["false"])
    if len(values) != 1 or values[0] not in ("", "true", "false"):
        raise InvalidField("details takes true, false or nothing at all, once: ?details.")
    return values[0] != "false"


def details(cpuinfo: Path = _CPUINFO) -> dict[str, Any]:
    """Describe this instance; what its system does not tell is null or empty."""
    memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    return {
        "instance": {
            "id": _name(),
            "seconds": round(time.monotonic() - _began, 3),
            "memory_mb": int(memory) if memory.isdigit() else None,
            "peak_mb": _peak_mb(),
        },
        "processor": _processor(cpuinfo),
    }


@cache
def _name() -> str:
    # Made when it is first asked for: instances restored from one snapshot have each their own.
    return secrets.token_hex(4)


def _peak_mb() -> float | None:
    """The most memory that was ever resident, in MiB. Not getrusage's: that begins with what the parent held."""
    try:
        (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    except (OSError, ValueError):
        return None
    return round(int(line.split()[1]) / 1024, 1)


def _processor(cpuinfo: Path) -> dict[str, Any]:
    """Read /proc/cpuinfo: x86 has `model name` and `flags`, Arm `CPU part` and `Features`."""
    try:
        lines = cpuinfo.read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    part = f"{fields.get('cpu implementer', '')} {fields.get('cpu part', '')}".strip()
    return {
        "architecture": platform.machine(),
        "name": fields.get("model name") or part or None,
        "cpus": os.cpu_count(),
        "features": (fields.get("features") or fields.get("flags") or "").split(),
    }
