"""The two queues where uploads end that nobody could judge or deliver, and the ways back into the stream's queue.

What the worker failed at is in the queue's own dead-letter queue, from which SQS moves it back by itself. What
EventBridge could not deliver is in the rule's, which SQS does not move: only dead-letter queues of queues.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tools.jobs.trouble import Trouble, code_of

# SQS hands over ten at a time. Those that are only looked at are given back at once.
_AT_ONCE = 10
_LOOKED_AT = 100
_HELD_SECONDS = 60
_MISSING = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


@dataclass(frozen=True, kw_only=True)
class Queues:
    """The stream's queue and its two dead-letter queues, by URL; `undelivered` is empty where there is none."""

    sqs: Any
    queue: str
    dead: str
    undelivered: str

    def waiting(self, url: str) -> int:
        """Return about how many messages a queue has, those included that somebody holds."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def arn(self, url: str) -> str:
        """Return a queue's ARN."""
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return str(found["Attributes"]["QueueArn"])


def find_queues(sqs: Any, queue: str) -> Queues:
    """Return the queues of a stream by the URL or the name of the first; infra/stream.py names the third.

    Raises:
        Trouble: there is no such queue, or it has no dead-letter queue.
    """
    url = queue if "://" in queue else _url(sqs, queue)
    if not url:
        raise Trouble(f"There is no queue {queue}: `pulumi stack output uploadsQueue` names it.")
    try:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"]).get("Attributes", {})
    except ClientError as error:
        if code_of(error) in _MISSING:
            raise Trouble(f"There is no queue {queue}: `pulumi stack output uploadsQueue` names it.") from error
        raise
    if "RedrivePolicy" not in found:
        raise Trouble(f"The queue {queue} has no dead-letter queue: it must be the stream's own, not another one.")
    dead = json.loads(found["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
    name = url.rstrip("/").rpartition("/")[2]
    return Queues(sqs=sqs, queue=url, dead=_url(sqs, dead), undelivered=_url(sqs, f"{name}-undelivered"))


def look(queues: Queues, url: str) -> list[str]:
    """Say of up to a hundred messages what they are about and why they are there; they stay where they are."""
    found = list(_received(queues.sqs, url, most=_LOOKED_AT))
    for at in range(0, len(found), _AT_ONCE):
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            for number, message in enumerate(found[at : at + _AT_ONCE])
        ]
        queues.sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
    return [_in_words(message) for message in found]


def move_dead(queues: Queues, tell: Callable[[int], None], *, every: float = 1.0) -> int:
    """Let SQS move what the worker failed at back into the queue; return how many it moved.

    Raises:
        Trouble: SQS stopped before it was done.
    """
    arn = queues.arn(queues.dead)
    queues.sqs.start_message_move_task(SourceArn=arn)
    while True:
        task = queues.sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"][0]
        moved = int(task.get("ApproximateNumberOfMessagesMoved", 0))
        tell(moved)
        if task["Status"] == "COMPLETED":
            return moved
        if task["Status"] in ("FAILED", "CANCELLED"):
            raise Trouble(f"SQS stopped moving after {moved}: {task.get('FailureReason', task['Status'].lower())}.")
        time.sleep(every)


def move_undelivered(queues: Queues, tell: Callable[[int], None]) -> int:
    """Send what EventBridge could not deliver to the queue, and then delete it; return how many.

    A command that is ended in between leaves some in both: an upload that comes twice changes nothing.
    """
    moved = 0
    most = queues.waiting(queues.undelivered)  # not those that come meanwhile, or this might never end
    while moved < most and (held := list(_received(queues.sqs, queues.undelivered, most=_AT_ONCE))):
        sent = queues.sqs.send_message_batch(
            QueueUrl=queues.queue,
            Entries=[{"Id": str(number), "MessageBody": one["Body"]} for number, one in enumerate(held)],
        )
        gone = [{"Id": one["Id"], "ReceiptHandle": held[int(one["Id"])]["ReceiptHandle"]} for one in sent["Successful"]]
        if gone:
            queues.sqs.delete_message_batch(QueueUrl=queues.undelivered, Entries=gone)
        moved += len(gone)
        tell(moved)
        if sent.get("Failed"):
            raise Trouble(f"The queue did not take {len(sent['Failed'])} messages: {sent['Failed'][0].get('Message')}")
    return moved


def grouped(said: Sequence[str]) -> Iterator[str]:
    """Yield each sentence once, with how often it was said."""
    for sentence, number in Counter(said).most_common():
        yield sentence if number == 1 else f"{number} x {sentence}"


def _received(sqs: Any, url: str, *, most: int) -> Iterator[Mapping[str, Any]]:
    got = 0
    while got < most:
        found = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(_AT_ONCE, most - got),
            VisibilityTimeout=_HELD_SECONDS,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if not found:
            return
        got += len(found)
        yield from found


def _in_words(message: Mapping[str, Any]) -> str:
    """Say what a message is about, and what is known of why: the rule's have the reason, the queue's only a number."""
    try:
        detail = json.loads(message["Body"])["detail"]
        about = f"s3://{detail['bucket']['name']}/{detail['object']['key']}"
    except (ValueError, KeyError, TypeError):
        about = f"no event of S3: {message['Body'][:60]!r}"
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    said = {name: one.get("StringValue", "") for name, one in message.get("MessageAttributes", {}).items()}
    if "ERROR_CODE" in said:
        return f"{about}: {said['ERROR_CODE']}, {said.get('ERROR_MESSAGE', '')}"
    return f"{about}: tried {message.get('Attributes', {}).get('ApproximateReceiveCount', '?')} times"


def _url(sqs: Any, name: str) -> str:
    try:
        return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
    except ClientError as error:
        if code_of(error) in _MISSING:
            return ""
        raise
