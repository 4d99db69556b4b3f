"""What ministack's SQS lacks: moving messages from a dead-letter queue back to where they came from.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from __future__ import annotations

import time
from typing import Any

from ministack.services import sqs  # type: ignore[import-not-found]  # of the other environment

_tasks: list[dict[str, Any]] = []


def start(data: dict[str, Any], _: str) -> dict[str, Any]:
    """Move each message to the queue that it came from, as StartMessageMoveTask does without a destination."""
    arn = data["SourceArn"]
    queue = sqs._queue_by_arn(arn)
    if queue is None:
        raise sqs._Err("ResourceNotFoundException", "The resource that you specified for SourceArn doesn't exist.")
    if not any(arn in other["attributes"].get("RedrivePolicy", "") for other in sqs._queues.values()):
        raise sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    moved = 0
    for message in list(queue["messages"]):
        source = sqs._queue_by_arn(message["sys"].pop("DeadLetterQueueSourceArn", ""))
        if source is not None and message["visible_at"] <= time.time():
            queue["messages"].remove(message)
            source["messages"].append(message | {"receive_count": 0, "receipt_handle": None})
            moved += 1
    sqs.esm_wake.set()
    task = {
        "TaskHandle": f"task-{len(_tasks)}",
        "SourceArn": arn,
        "Status": "COMPLETED",
        "ApproximateNumberOfMessagesMoved": moved,
        "StartedTimestamp": int(1000 * time.time()),
    }
    _tasks.append(task)
    return {"TaskHandle": task["TaskHandle"]}


def tasks(data: dict[str, Any], _: str) -> dict[str, Any]:
    """List the newest tasks of a queue, the newest first."""
    found = [task for task in reversed(_tasks) if task["SourceArn"] == data["SourceArn"]]
    return {"Results": found[: int(data.get("MaxResults", 1))]}


def add() -> None:
    """Let ministack know both."""
    sqs._HANDLERS |= {"StartMessageMoveTask": start, "ListMessageMoveTasks": tasks}
