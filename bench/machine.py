"""What the machine is, and which of the instructions it has that 8-bit products run on."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

# By what /proc/cpuinfo calls them. https://www.kernel.org/doc/html/latest/arch/arm64/elf_hwcaps.html has Arm's.
_X86 = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX int8",
}
_ARM = {"asimd": "NEON", "asimddp": "dot product", "i8mm": "i8mm", "sve": "SVE", "bf16": "BF16"}
INSTRUCTIONS: Mapping[str, Mapping[str, str]] = {"x86_64": _X86, "aarch64": _ARM}


def machine() -> dict[str, Any]:
    """Describe this machine."""
    architecture = platform.machine()
    facts = _facts()
    found, lacking = instructions((facts.get("flags") or facts.get("Features") or "").split(), architecture)
    return {
        "cpu": facts.get("model name") or platform.processor() or architecture,
        "architecture": architecture,
        "cpus": os.cpu_count(),
        "instructions": found,
        "lacking": lacking,
        "python": platform.python_version(),
        # Programs that want to run, this one aside: on a busy machine a second thread is worth less than it seems.
        "load": max(0.0, os.getloadavg()[0] - 1),
    }


def instructions(flags: Collection[str], architecture: str) -> tuple[list[str], list[str]]:
    """Return which of the instruction sets that matter here are among `flags`, and which are not."""
    known = INSTRUCTIONS.get(architecture, {})
    return [known[flag] for flag in known if flag in flags], [known[flag] for flag in known if flag not in flags]


def _facts() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
