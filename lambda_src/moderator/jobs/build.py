"""Builds the worker, and gives each event to whom it concerns: a job's batches, uploads, and a job's end."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from moderator.cpus import usable_cpus
from moderator.jobs.batch import is_batch, judge_batch
from moderator.jobs.clients import Clients
from moderator.jobs.desk import Desk
from moderator.jobs.judge import read_configured
from moderator.jobs.judge_process import JudgeProcess
from moderator.jobs.objects import Objects
from moderator.jobs.results import Results
from moderator.jobs.stream import Announcer, is_stream, judge_messages
from moderator.jobs.summary import is_end, summarise
from moderator.jobs.worker_settings import WorkerSettings
from moderator.settings import Settings

# Of what Lambda gives, kept for writing the lines.
_WRITING_SECONDS = 10.0

Handler = Callable[[Mapping[str, Any], Any], dict[str, Any]]


def build_worker(
    settings: Settings, worker: WorkerSettings, clients: Clients, judge: JudgeProcess | None = None
) -> Handler:
    """Build the worker; `judge` is one that runs already.

    Raises:
        ConfigurationError: a setting, a policy or the model folder cannot be used.
    """
    if judge is None:
        judge = JudgeProcess(seconds=worker.object_seconds, video_seconds=worker.video_seconds)
        judge.start()  # while the first objects are read
    configured = read_configured(settings)
    configured.named(worker.policy)
    desk = Desk(
        objects=Objects(clients.s3, max_bytes=worker.max_object_bytes),
        judge=judge,
        results=Results(clients.s3, worker.results_bucket),
        configured=configured,
        readers=worker.readers,
        requests=clients.requests,
    )
    announcer = Announcer(settings=worker, s3=clients.s3, events=clients.events if worker.bus else None)
    memory_mb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0") or 0) or 1769 * usable_cpus()

    def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        if is_batch(event):
            return judge_batch(event, desk, until=_until(context))
        if is_stream(event):
            return judge_messages(event, desk, announcer, until=_until(context))
        if is_end(event):
            return summarise(event, desk, memory_mb=memory_mb, until=_until(context))
        raise ValueError("The event is neither a batch of a job, nor messages of the stream's queue, nor a job's end.")

    return handle


def _until(context: Any) -> float:
    """Return when to stop judging, by the monotonic clock; without Lambda there is no end."""
    if context is None:
        return math.inf
    left: int = context.get_remaining_time_in_millis()
    return time.monotonic() + left / 1000 - _WRITING_SECONDS
