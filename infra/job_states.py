"""The state machine of jobs, as Amazon's language has it: a distributed map over what is listed, then a summary.

Started with {"source": "prefix", "bucket": B, "prefix": P, "policy": NAME}; or, instead of a prefix, with source
"inventory", "csv" or "jsonl" and "listBucket" and "listKey", where the list is, and perhaps "bucket", for the objects
of which a list says none.
https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from __future__ import annotations

from typing import Any

_LIST = {"Bucket.$": "$.listBucket", "Key.$": "$.listKey"}
# ARN stands for the beginning of every one, which another part of AWS has otherwise.
_OF_S3 = "ARN:states:::s3:getObject"

# By source: the state, and what it reads.
READERS: dict[str, tuple[str, dict[str, Any]]] = {
    "prefix": (
        "EachOfPrefix",
        {
            "Resource": "ARN:states:::s3:listObjectsV2",
            "Parameters": {"Bucket.$": "$.bucket", "Prefix.$": "$.prefix"},
        },
    ),
    "inventory": (
        "EachOfInventory",
        {"Resource": _OF_S3, "ReaderConfig": {"InputType": "MANIFEST"}, "Parameters": _LIST},
    ),
    "csv": (
        "EachOfCsv",
        {
            "Resource": _OF_S3,
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Parameters": _LIST,
        },
    ),
    "jsonl": ("EachOfJsonl", {"Resource": _OF_S3, "ReaderConfig": {"InputType": "JSONL"}, "Parameters": _LIST}),
}

# A map's state and its label, which stands in the ARNs of its executions, are of one name.
MAP_LABELS = tuple(sorted(state for state, _ in READERS.values()))

# Lambda's own troubles are waited out; whatever else fails is tried once more.
# https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
_RETRY = [
    {
        "ErrorEquals": [
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "Lambda.TooManyRequestsException",
        ],
        "IntervalSeconds": 1,
        "MaxAttempts": 6,
        "BackoffRate": 2,
        "JitterStrategy": "FULL",
    },
    {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1},
]


def job_states(
    *,
    function_arn: str,
    results_bucket: str,
    batch: int,
    concurrency: int,
    tolerated: int,
    standard: bool,
    partition: str = "aws",
) -> dict[str, Any]:
    """Return the definition; `tolerated` is a percentage, and `standard` children may take over five minutes."""

    def invoke(payload: dict[str, Any], **then: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": f"arn:{partition}:states:::lambda:invoke",
            "Parameters": {"FunctionName": function_arn, "Payload": payload},
            "Retry": _RETRY,
            **then,
        }

    # A try has lines for what it came to, and the next one goes on from there: a hundred long videos take several. That
    # is an answer and no error, for errors of the worker raise an alarm; to come no farther than the last is one.
    batch_states = {
        "Judge": invoke(
            {"BatchInput.$": "$.BatchInput", "Items.$": "$.Items"},
            ResultSelector={"counts.$": "$.Payload"},
            ResultPath="$.BatchInput.before",  # for the next try
            Next="IsItDone",
        ),
        "IsItDone": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.BatchInput.before.counts.unfinished", "BooleanEquals": True, "Next": "Judge"}],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed", "OutputPath": "$.BatchInput.before.counts"},
    }

    def each(source: str, label: str, reader: dict[str, Any]) -> dict[str, Any]:
        input_of_batches = {
            "job.$": "$$.Execution.Name",
            "policy.$": "$.policy",
            # The keys of an inventory are URL-encoded, and only those.
            "encoded": source == "inventory",
        }
        if source != "inventory":
            input_of_batches["bucket.$"] = "$.bucket"
        # No Catch: Step Functions redrives only a state that was not left, and what is caught leaves it.
        # https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html#redrive-behavior-states
        return {
            "Type": "Map",
            "Label": label,
            "ItemReader": {**reader, "Resource": reader["Resource"].replace("ARN", f"arn:{partition}")},
            "ItemBatcher": {
                "MaxItemsPerBatch": batch,
                # Of the items. What the task is called with has their batch's input and the function's name too, and
                # may have 262,144 bytes: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
                "MaxInputBytesPerBatch": 200_000,
                "BatchInput": input_of_batches,
            },
            # Unset, Step Functions would start up to 10,000.
            "MaxConcurrency": concurrency,
            "ToleratedFailurePercentage": tolerated,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" if standard else "EXPRESS"},
                "StartAt": "Judge",
                "States": batch_states,
            },
            "ResultWriter": {
                "Resource": f"arn:{partition}:states:::s3:putObject",
                "Parameters": {"Bucket": results_bucket, "Prefix": "jobs/maps"},
            },
            "ResultPath": "$.map",
            "Next": "Summary",
        }

    choices = [
        {"Variable": "$.source", "StringEquals": source, "Next": state} for source, (state, _) in READERS.items()
    ]
    end = {
        "end": {
            "job.$": "$$.Execution.Name",
            "started.$": "$$.Execution.StartTime",
            "policy.$": "$.policy",
            "asked.$": "$",
            "map.$": "$.map",  # where the failed batches are named
            "standard": standard,  # executions of another kind have other prices
        }
    }
    return {
        "Comment": "Judges what is listed, a batch at a time, and writes a line for each object",
        "StartAt": "Defaults",
        "States": {
            # A path that leads nowhere ends an execution: what may be left out is put in.
            "Defaults": {"Type": "Pass", "Result": {"bucket": ""}, "ResultPath": "$.defaults", "Next": "Asked"},
            "Asked": {
                "Type": "Pass",
                "Parameters": {"asked.$": "States.JsonMerge($.defaults, $$.Execution.Input, false)"},
                "OutputPath": "$.asked",
                "Next": "WhatIsListed",
            },
            "WhatIsListed": {"Type": "Choice", "Choices": choices, "Default": "UnknownSource"},
            "UnknownSource": {
                "Type": "Fail",
                "Error": "UnknownSource",
                "Cause": f"`source` must be one of {', '.join(READERS)}.",
            },
            **{state: each(source, state, reader) for source, (state, reader) in READERS.items()},
            "Summary": invoke(end, OutputPath="$.Payload", End=True),
        },
    }
