"""Which calls of AWS' the resources of jobs are made with: the rest of the table in `aws_calls.py`."""

from __future__ import annotations

import json

from infra.tests.aws_call import Call
from infra.tests.program import Inputs

_QUEUE = {
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
}


def _queue(inputs: Inputs) -> Inputs:
    attributes = {theirs: _text(inputs[ours]) for ours, theirs in _QUEUE.items() if ours in inputs}
    return {"queueName": inputs["name"], "attributes": attributes, "tags": inputs["tags"]}


def _text(value: object) -> str:
    return (
        str(int(value)) if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _target(inputs: Inputs) -> Inputs:
    target = {"id": "1", "arn": inputs["arn"], "deadLetterConfig": inputs["deadLetterConfig"]}
    return {"rule": inputs["rule"], "targets": [target]}


def _lifecycle(inputs: Inputs) -> Inputs:
    rules = [{"ID" if key == "id" else key: value for key, value in rule.items()} for rule in inputs["rules"]]
    return {"bucket": inputs["bucket"], "lifecycleConfiguration": {"rules": rules}}


def _encryption(inputs: Inputs) -> Inputs:
    names = {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}
    rules = [
        {
            **rule,
            "applyServerSideEncryptionByDefault": {
                names[key]: value for key, value in rule["applyServerSideEncryptionByDefault"].items()
            },
        }
        for rule in inputs["rules"]
    ]
    return {"bucket": inputs["bucket"], "serverSideEncryptionConfiguration": {"rules": rules}}


CALLS_OF_JOBS: dict[str, Call] = {
    "aws:cloudwatch/eventBus:EventBus": Call(service="events", operation="CreateEventBus", without=frozenset({"tags"})),
    "aws:cloudwatch/eventRule:EventRule": Call(service="events", operation="PutRule", without=frozenset({"tags"})),
    "aws:cloudwatch/eventTarget:EventTarget": Call(service="events", operation="PutTargets", shape=_target),
    "aws:lambda/eventSourceMapping:EventSourceMapping": Call(
        service="lambda",
        operation="CreateEventSourceMapping",
    ),
    "aws:s3/bucket:Bucket": Call(service="s3", operation="CreateBucket", named="bucket", without=frozenset({"tags"})),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Call(
        service="s3", operation="PutBucketLifecycleConfiguration", shape=_lifecycle
    ),
    "aws:s3/bucketNotification:BucketNotification": Call(
        service="s3",
        operation="PutBucketNotificationConfiguration",
        shape=lambda inputs: {
            "bucket": inputs["bucket"],
            "notificationConfiguration": {"eventBridgeConfiguration": {}} if inputs["eventbridge"] else {},
        },
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Call(service="s3", operation="PutBucketPolicy"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Call(
        service="s3",
        operation="PutPublicAccessBlock",
        shape=lambda inputs: {
            "bucket": inputs["bucket"],
            "publicAccessBlockConfiguration": {key: value for key, value in inputs.items() if key != "bucket"},
        },
    ),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": Call(
        service="s3", operation="PutBucketEncryption", shape=_encryption
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Call(service="s3", operation="PutBucketVersioning"),
    "aws:sfn/stateMachine:StateMachine": Call(
        service="stepfunctions",
        operation="CreateStateMachine",
        shape=lambda inputs: {
            **{key: value for key, value in inputs.items() if key not in ("tags", "loggingConfiguration")},
            "loggingConfiguration": {
                "level": inputs["loggingConfiguration"]["level"],
                "includeExecutionData": inputs["loggingConfiguration"]["includeExecutionData"],
                "destinations": [
                    {"cloudWatchLogsLogGroup": {"logGroupArn": inputs["loggingConfiguration"]["logDestination"]}}
                ],
            },
        },
    ),
    "aws:sqs/queue:Queue": Call(service="sqs", operation="CreateQueue", shape=_queue),
    "aws:sqs/queuePolicy:QueuePolicy": Call(
        service="sqs",
        operation="SetQueueAttributes",
        shape=lambda inputs: {"queueUrl": inputs["queueUrl"], "attributes": {"Policy": json.dumps(inputs["policy"])}},
    ),
}
