"""What jobs cost: the arithmetic of docs/jobs.md and of every summary, in dollars of us-east-1, without tax."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Dollars for each of what AWS counts, as listed in November 2026.

    https://aws.amazon.com/lambda/pricing/ https://aws.amazon.com/s3/pricing/
    https://aws.amazon.com/step-functions/pricing/ https://aws.amazon.com/sqs/pricing/
    https://aws.amazon.com/eventbridge/pricing/ https://aws.amazon.com/cloudwatch/pricing/
    """

    lambda_gb_second: float = 0.0000133334  # arm64
    lambda_request: float = 0.20e-6
    s3_get: float = 0.0004e-3
    s3_put: float = 0.005e-3  # and a listing
    express_request: float = 1.00e-6
    express_gb_second: float = 0.00001667
    sqs_request: float = 0.40e-6
    custom_event: float = 1.00e-6
    log_byte: float = 0.50e-9


# Of an Express execution, in GB: it is billed in pieces of 64 MB.
_EXPRESS_GB = 0.0625
# What Lambda logs of each call: its start, its end and its report.
_LOG_BYTES = 500


def job_dollars(prices: Prices, *, objects: int, batches: int, worker_seconds: float, memory_mb: int) -> float:
    """Return what a job costs: `objects` that are read, in `batches` that take `worker_seconds` in all."""
    parts = job_parts(prices, objects=objects, batches=batches, worker_seconds=worker_seconds, memory_mb=memory_mb)
    return sum(parts.values())


def job_parts(prices: Prices, *, objects: int, batches: int, worker_seconds: float, memory_mb: int) -> dict[str, float]:
    """Return what each part of a job costs."""
    return {
        "worker": _lambdas(prices, batches, worker_seconds, memory_mb),
        "reading": objects * prices.s3_get,
        # A batch looks for its own part, lists earlier ones once at most, and writes a part and its counts.
        "lines": batches * (3 * prices.s3_put + prices.s3_get),
        # A listing of the bucket names 1000 objects.
        "listing": objects / 1000 * prices.s3_put,
        "states": batches * prices.express_request + worker_seconds * _EXPRESS_GB * prices.express_gb_second,
        "logs": batches * _LOG_BYTES * prices.log_byte,
    }


def stream_parts(
    prices: Prices, *, objects: int, per_batch: float, worker_seconds: float, memory_mb: int
) -> dict[str, float]:
    """Return what each part of judging uploads costs, events, lines and tags included."""
    batches = objects / per_batch
    return {
        "worker": _lambdas(prices, batches, worker_seconds, memory_mb),
        "reading": objects * prices.s3_get,
        # S3's own events are free; each message is sent by itself, received and deleted with its batch.
        "queue": (objects + 2 * batches) * prices.sqs_request,
        "events": objects * prices.custom_event,
        "lines": objects * prices.s3_put,
        "tags": objects * (prices.s3_get + prices.s3_put),
        "logs": batches * _LOG_BYTES * prices.log_byte,
    }


def _lambdas(prices: Prices, calls: float, seconds: float, memory_mb: int) -> float:
    return calls * prices.lambda_request + seconds * memory_mb / 1024 * prices.lambda_gb_second
