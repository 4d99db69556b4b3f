"""Jobs on S3: the worker, the bucket of its results, and the state machine that hands it a back catalogue.

The worker is outside the private network: it needs S3 and EventBridge, and no store, for it has the labels precomputed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.function import Function, FunctionArgs
from infra.job_states import MAP_LABELS, job_states
from infra.read_buckets import allow_decrypting, arn_of, decrypting
from infra.results_bucket import ResultsBucket
from infra.role import FunctionRole, allow, trust

HANDLER = "moderator.jobs.worker.handler"


@dataclass(frozen=True, kw_only=True)
class JobsArgs:
    """What jobs are made from; `buckets` are those that jobs and the stream may read, by name.

    Memory in MB; `timeout` in seconds; `tolerated` in percent of batches; `keep_days` of results, 0 for ever.
    """

    name: str
    image_uri: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]]
    buckets: Sequence[str]
    stream_buckets: Sequence[str]
    # The keys of what is read, and the one that results are to be encrypted with, empty for S3's own.
    bucket_key_arns: Sequence[str]
    kms_key_arn: str
    region: pulumi.Input[str]
    policy: str
    tag: bool
    write_lines: bool
    videos: bool
    memory: int
    batch: int
    concurrency: int
    tolerated: int
    keep_days: int
    log_retention_days: int


class Jobs(pulumi.ComponentResource):
    """Offers `function`, `role`, `bus`, `results_bucket` (its name) and `state_machine_arn`."""

    def __init__(self, name: str, args: JobsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Jobs", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        results = ResultsBucket(name, keep_days=args.keep_days, key_arn=args.kms_key_arn, opts=self._child)
        self.results_bucket = results.bucket
        self.bus = aws.cloudwatch.EventBus(name, name=args.name, opts=self._child)

        # 1. The worker, and what it may do.
        self.role = FunctionRole(name, opts=self._child)
        rights = [
            self.role.allow("write-results", results.use(), parent=self),
            self.role.allow("list-results", results.list(), parent=self),
            *(self.role.allow("use-results-key", right, parent=self) for right in results.use_key(args.region)),
            *allow_decrypting(self.role, args.bucket_key_arns, args.region, parent=self),
            self.role.allow("say-verdicts", {"Action": ["events:PutEvents"], "Resource": self.bus.arn}, parent=self),
        ]
        readable = list(dict.fromkeys([*args.buckets, *args.stream_buckets]))
        if readable:
            rights += [self.role.allow(what, right, parent=self) for what, right in _reading(readable).items()]
        if args.tag and args.stream_buckets:
            rights.append(self.role.allow("tag-objects", _tagging(args.stream_buckets), parent=self))
        self.function = Function(
            name,
            FunctionArgs(
                name=args.name,
                role=self.role,
                image_uri=args.image_uri,
                command=HANDLER,
                environment={
                    **args.environment,
                    "JOBS_RESULTS_BUCKET": self.results_bucket,
                    "JOBS_POLICY": args.policy,
                    "JOBS_BUS": self.bus.name,
                    "JOBS_TAG": str(args.tag).lower(),
                    "JOBS_WRITE_LINES": str(args.write_lines).lower(),
                },
                network=None,
                rights=rights,
                memory=args.memory,
                timeout=timeout_of(videos=args.videos),
                reserved_concurrency=0,
                snap_start=False,
                publish=False,  # it runs as it is, and nobody would ever delete its versions
                log_retention_days=args.log_retention_days,
            ),
            opts=self._child,
        )

        # 2. The state machine, and what it may do.
        self.state_machine_arn = self._state_machine(args, results)
        self.register_outputs({})

    def _state_machine(self, args: JobsArgs, results: ResultsBucket) -> pulumi.Output[str]:
        role = aws.iam.Role(f"{self._name}-states", assume_role_policy=trust("states.amazonaws.com"), opts=self._child)
        log_group = aws.cloudwatch.LogGroup(
            f"{self._name}-states",
            name=f"/aws/vendedlogs/states/{args.name}",
            retention_in_days=args.log_retention_days,
            opts=self._child,
        )
        rights: dict[str, Mapping[str, object]] = {
            "call-worker": {"Action": ["lambda:InvokeFunction"], "Resource": self.function.arn},
            "write-results": results.write_map(),
            "read-unjudged": results.read_unjudged(),
            # What Step Functions asks for; none of these knows a narrower resource.
            # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
            "write-logs": {"Action": _LOG_DELIVERY, "Resource": "*"},
        }
        if args.buckets:
            rights |= _reading(args.buckets, versions=False)
        if args.buckets and args.bucket_key_arns:
            rights["decrypt-lists"] = decrypting(args.bucket_key_arns, args.region)
        for right in results.use_key(args.region, in_parts=True):
            rights["use-results-key"] = right
        given = [allow(role, f"{self._name}-states-{what}", right, self._child) for what, right in rights.items()]
        partition = aws.get_partition_output().partition
        definition = pulumi.Output.all(self.function.arn, self.results_bucket, partition).apply(
            lambda known: json.dumps(
                job_states(
                    function_arn=known[0],
                    results_bucket=known[1],
                    partition=known[2],
                    batch=args.batch,
                    concurrency=args.concurrency,
                    tolerated=args.tolerated,
                    standard=args.videos,
                )
            )
        )
        machine = aws.sfn.StateMachine(
            self._name,
            name=args.name,
            role_arn=role.arn,
            definition=definition,
            logging_configuration={
                "level": "ERROR",
                "include_execution_data": False,  # keys of objects are not for logs
                "log_destination": pulumi.Output.format("{0}:*", log_group.arn),
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=given),
        )
        # A map runs its batches as executions, of which those that failed are redriven under its label.
        # https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
        executions = machine.arn.apply(lambda arn: arn.replace(":stateMachine:", ":execution:"))
        children: dict[str, Mapping[str, object]] = {
            "run-children": {"Action": ["states:StartExecution"], "Resource": machine.arn},
            "see-children": {
                "Action": ["states:DescribeExecution", "states:StopExecution"],
                "Resource": pulumi.Output.format("{0}:*", executions),
            },
            "redrive-children": {
                "Action": ["states:RedriveExecution"],
                "Resource": [pulumi.Output.format("{0}/{1}:*", executions, label) for label in MAP_LABELS],
            },
        }
        for what, statement in children.items():
            allow(role, f"{self._name}-states-{what}", statement, self._child)
        return machine.arn


def timeout_of(*, videos: bool) -> int:
    """Return the seconds that a batch may take: twice that must be less than the five minutes of an Express child."""
    return 900 if videos else 120


_LOG_DELIVERY = [
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
]


def _reading(buckets: Sequence[str], *, versions: bool = True) -> dict[str, dict[str, object]]:
    actions = ["s3:GetObject", "s3:GetObjectVersion"] if versions else ["s3:GetObject"]
    return {
        "read-objects": {"Action": actions, "Resource": [arn_of(f"{bucket}/*") for bucket in buckets]},
        # Without it an object that is gone is answered like one that is forbidden.
        "list-objects": {"Action": ["s3:ListBucket"], "Resource": [arn_of(bucket) for bucket in buckets]},
    }


def _tagging(buckets: Sequence[str]) -> dict[str, object]:
    return {
        "Action": [f"s3:{verb}Object{what}Tagging" for verb in ("Get", "Put") for what in ("", "Version")],
        "Resource": [arn_of(f"{bucket}/*") for bucket in buckets],
    }
