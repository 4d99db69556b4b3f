"""What jobs cost: the arithmetic of docs/jobs.md and of every summary, in dollars of us-east-1, without tax."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Dollars for each of what AWS counts.

    https://aws.amazon.com/lambda/pricing/ https://aws.amazon.com/s3/pricing/
    https://aws.amazon.com/step-functions/pricing/ https://aws.amazon.com/sqs/pricing/
    https://aws.amazon.com/eventbridge/pricing/
    """

    lambda_gb_second: float = 0.0000133334  # arm64
    lambda_request: float = 0.20e-6
    s3_get: float = 0.0004e-3
    s3_put: float = 0.005e-3  # and a listing
    express_request: float = 1.00e-6
    express_gb_second: float = 0.00001667
    sqs_request: float = 0.40e-6
    custom_event: float = 1.00e-6


# Of an Express execution, in GB: it is billed in pieces of 64 MB.
_EXPRESS_GB = 0.0625


def job_dollars(prices: Prices, *, objects: int, batches: int, worker_seconds: float, memory_mb: int) -> float:
    """Return what a job costs: `objects` that are read, in `batches` that take `worker_seconds` in all."""
    lambdas = batches * prices.lambda_request + worker_seconds * memory_mb / 1024 * prices.lambda_gb_second
    # A batch lists earlier parts once, and writes a part and its counts.
    storage = objects * prices.s3_get + batches * 3 * prices.s3_put
    # A listing of the bucket names 1000 objects.
    listing = objects / 1000 * prices.s3_put
    states = batches * prices.express_request + worker_seconds * _EXPRESS_GB * prices.express_gb_second
    return lambdas + storage + listing + states


def stream_dollars(
    prices: Prices,
    *,
    objects: int,
    per_batch: float,
    worker_seconds: float,
    memory_mb: int,
    events: bool = True,
    lines: bool = True,
    tags: bool = False,
) -> float:
    """Return what `objects` uploads cost, `per_batch` of which come to the worker together."""
    batches = objects / per_batch
    lambdas = batches * prices.lambda_request + worker_seconds * memory_mb / 1024 * prices.lambda_gb_second
    # S3's own events are free; each message is sent by itself, received and deleted with its batch.
    queue = (objects + 2 * batches) * prices.sqs_request
    written = (prices.s3_put if lines else 0) + (prices.s3_get + prices.s3_put if tags else 0)
    said = prices.custom_event if events else 0
    return lambdas + queue + objects * (prices.s3_get + written + said)
