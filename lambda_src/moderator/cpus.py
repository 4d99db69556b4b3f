"""How many threads the towers should use: what this process may really have, not what the host shows."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: one vCPU for every 1769 MB.
_MEGABYTES_PER_VCPU = 1769

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")


def usable_cpus(environment: Mapping[str, str] = os.environ, cgroup: Path = _CGROUP_V2) -> int:
    """Return the least of the CPUs it may run on, its cgroup's quota, and the vCPUs that its Lambda memory buys."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [float(allowed)]
    memory = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    if memory.isdigit():
        limits.append(int(memory) / _MEGABYTES_PER_VCPU)
    quota = _cgroup_quota(cgroup)
    if quota is not None:
        limits.append(quota)
    # Rounded up: a thread on part of a CPU still helps, and Lambda shows a second CPU from 1770 MB on.
    return max(1, math.ceil(min(limits)))


def _cgroup_quota(cgroup: Path) -> float | None:
    try:
        quota, period = cgroup.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None
