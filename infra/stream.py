"""The stream of uploads: S3's events by EventBridge into a queue, from which the worker takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.jobs import Jobs

_TRIES = 5
_DAY = 24 * 3600
# SQS counts from when a message was first sent, also after it was given up: what waited for as long as it may has ten
# days left as a dead letter, which is as long as SQS keeps anything.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
_WAITING_SECONDS, _DEAD_SECONDS = 4 * _DAY, 14 * _DAY


def again_after(timeout: int) -> int:
    """Return the seconds after which a message that a worker with this timeout did not finish comes again.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    return 6 * timeout


@dataclass(frozen=True, kw_only=True)
class StreamArgs:
    """What the stream is made from; `timeout` of the worker in seconds, `manage_notifications` of the buckets."""

    name: str
    jobs: Jobs
    buckets: Sequence[str]
    manage_notifications: bool
    batch: int
    concurrency: int
    timeout: int


class Stream(pulumi.ComponentResource):
    """Offers `queue_name`, and `dead_letter_names`: of the queue, and of the rule."""

    def __init__(self, name: str, args: StreamArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Stream", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        # 1. The queue, and where messages go that fail again and again, or that the rule cannot deliver.
        dead, undelivered = (
            aws.sqs.Queue(
                f"{name}-{what}",
                name=f"{args.name}-{what}",
                message_retention_seconds=_DEAD_SECONDS,
                sqs_managed_sse_enabled=True,
                opts=child,
            )
            for what in ("dead", "undelivered")
        )
        queue = aws.sqs.Queue(
            name,
            name=args.name,
            message_retention_seconds=_WAITING_SECONDS,
            visibility_timeout_seconds=again_after(args.timeout),
            redrive_policy=pulumi.Output.json_dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": _TRIES}),
            sqs_managed_sse_enabled=True,
            opts=child,
        )

        # 2. The rule: uploads to these buckets, and to no other.
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": list(args.buckets)}},
        }
        rule = aws.cloudwatch.EventRule(name, name=args.name, event_pattern=json.dumps(pattern), opts=child)
        allowed = [
            aws.sqs.QueuePolicy(
                f"{name}-{what}",
                queue_url=target.url,
                policy=pulumi.Output.json_dumps(_from_rule(target.arn, rule.arn)),
                opts=child,
            )
            for what, target in (("queue", queue), ("undelivered", undelivered))
        ]
        aws.cloudwatch.EventTarget(
            name,
            rule=rule.name,
            arn=queue.arn,
            dead_letter_config={"arn": undelivered.arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )

        # 3. The worker takes messages, so many at a time; a reserved concurrency would send sound ones to `dead`.
        take = args.jobs.role.allow(
            "take-uploads",
            {
                "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                "Resource": queue.arn,
            },
            parent=self,
        )
        aws.lambda_.EventSourceMapping(
            name,
            event_source_arn=queue.arn,
            function_name=args.jobs.function.arn,
            batch_size=args.batch,
            maximum_batching_window_in_seconds=1,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximum_concurrency": args.concurrency},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[take]),
        )
        if args.manage_notifications:
            # This owns a bucket's whole notification configuration: only where that was asked for.
            for bucket in args.buckets:
                aws.s3.BucketNotification(f"{name}-{bucket}", bucket=bucket, eventbridge=True, opts=child)

        self.queue_name = queue.name
        self.dead_letter_names = (dead.name, undelivered.name)
        self.queue_url = queue.url
        self.dead_letter_urls = (dead.url, undelivered.url)
        self.register_outputs({})


def _from_rule(queue_arn: pulumi.Output[str], rule_arn: pulumi.Output[str]) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
            }
        ],
    }
