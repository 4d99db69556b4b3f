"""What jobs cost: the arithmetic of docs/jobs.md and of every summary, in dollars of us-east-1, without tax."""

from __future__ import annotations

from dataclasses import dataclass

from moderator.jobs.requests import Answered


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
    state_transition: float = 0.025e-3
    sqs_request: float = 0.40e-6
    custom_event: float = 1.00e-6
    log_byte: float = 0.50e-9


# Of an Express execution, in GB: it is billed in pieces of 64 MB.
_EXPRESS_GB = 0.0625
# What Lambda logs of each call: its start, its end and its report.
_LOG_BYTES = 500


def job_parts(
    prices: Prices,
    *,
    objects: int,
    reads: int,
    writes: int,
    batches: int,
    worker_seconds: float,
    memory_mb: int,
    retries: int = 0,
    standard: bool = False,
) -> dict[str, float]:
    """Return what each part of a job costs.

    Args:
        prices: of what AWS counts.
        objects: that are listed.
        reads: requests of the workers to S3, of objects, of ranges of videos, and of lines that were there.
        writes: likewise, for lines and counts, and to list what lines there are.
        batches: each an execution that the distributed map starts.
        worker_seconds: of all calls together.
        memory_mb: of the worker.
        retries: calls for a batch that an earlier one did not come to the end of.
        standard: whether the executions are Standard ones, as they are with videos, instead of Express.
    """
    calls = batches + retries
    return {
        "worker": _lambdas(prices, calls, worker_seconds, memory_mb),
        "reading": reads * prices.s3_get,
        "lines": writes * prices.s3_put,
        # A listing of the bucket names 1000 objects.
        "listing": objects / 1000 * prices.s3_put,
        "states": _states(prices, batches, calls, worker_seconds, standard=standard),
        "logs": calls * _LOG_BYTES * prices.log_byte,
    }


def requests_of_batches(batches: int) -> Answered:
    """Return what is asked of S3 for batches whose objects have no lines yet, beside the objects themselves.

    A batch looks for its own part, lists earlier ones once at most, and writes a part and its counts.
    """
    return Answered(reads=batches, writes=3 * batches)


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
        # The tags are read and written; in a bucket without versions the ETag is looked at before and after.
        "tags": objects * (3 * prices.s3_get + prices.s3_put),
        "logs": batches * _LOG_BYTES * prices.log_byte,
    }


def _lambdas(prices: Prices, calls: float, seconds: float, memory_mb: int) -> float:
    return calls * prices.lambda_request + seconds * memory_mb / 1024 * prices.lambda_gb_second


def _states(prices: Prices, batches: int, calls: int, seconds: float, *, standard: bool) -> float:
    # Of whichever kind: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-transitions.html
    starts = batches * prices.state_transition
    if standard:  # each try has a look at whether it came to the end, and the child has an end
        return starts + (2 * calls + batches) * prices.state_transition
    return starts + batches * prices.express_request + seconds * _EXPRESS_GB * prices.express_gb_second
