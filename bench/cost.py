"""Dollars per 1000 pictures, from Lambda's and API Gateway's list prices and measured ratios."""

from __future__ import annotations

from dataclasses import dataclass

# https://aws.amazon.com/lambda/pricing/ (arm64) and https://aws.amazon.com/api-gateway/pricing/ (HTTP API)
PER_GB_SECOND = 0.0000133334
PER_REQUEST = 0.20 / 1e6
PER_API_CALL = 1.00 / 1e6

# The predecessor's own published figures.
PREDECESSOR_SECONDS = 1.5
PREDECESSOR_GB = 4.0

# One vCPU, https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
ONE_VCPU_GB = 1769 / 1024


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What 1000 pictures cost, and the arithmetic behind it."""

    compute: float
    total: float
    arithmetic: str


def of(seconds: float, gigabytes: float, why: str) -> Cost:
    """Return what 1000 requests of one picture cost if each takes `seconds` on a function of `gigabytes`."""
    compute = 1000 * seconds * gigabytes * PER_GB_SECOND
    fees = 1000 * (PER_REQUEST + PER_API_CALL)
    return Cost(
        compute=compute,
        total=compute + fees,
        arithmetic=f"1000 x {seconds:.4f} s x {gigabytes:.3f} GB x ${PER_GB_SECOND} = ${compute:.5f} of compute"
        f" ({why}); + 1000 x (${PER_REQUEST:.8f} Lambda + ${PER_API_CALL:.7f} HTTP API) = ${compute + fees:.5f}",
    )


def predecessor() -> Cost:
    """Return the predecessor's cost, from its published time and memory."""
    return of(PREDECESSOR_SECONDS, PREDECESSOR_GB, "published time and memory")


def ours(warm_1_ms: float, predecessor_2_ms: float) -> Cost:
    """Return the service's cost on one vCPU: the predecessor's published time, scaled by the ratio measured in one run.

    The predecessor's 4 GB are 2.3 vCPUs, so it is measured with 2 threads, and the service with 1.
    """
    seconds = PREDECESSOR_SECONDS * warm_1_ms / predecessor_2_ms
    return of(seconds, ONE_VCPU_GB, f"{PREDECESSOR_SECONDS} s x {warm_1_ms:.1f} ms / {predecessor_2_ms:.1f} ms")
