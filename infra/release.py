"""The release: a published version is asked for its health and warmed up, and only then does traffic reach it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.events import HEALTH_EVENT, warm_event
from infra.function import Function
from infra.role import allow, trust


@dataclass(frozen=True, kw_only=True)
class ReleaseArgs:
    """What is released: `label_sets` are warmed up one by one, none when there is no store to keep them.

    `prefix` begins the names of the checks, which are what a failed deployment shows.
    """

    function: Function
    prefix: str = ""
    label_sets: Sequence[str]
    provisioned_concurrency: int
    rewarm_schedule: str


class Release(pulumi.ComponentResource):
    """Offers `alias`, which callers invoke, and `warmed`, what each label set's warm-up answered."""

    def __init__(self, name: str, args: ReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Release", name, None, opts)
        self._function, self._prefix = args.function, args.prefix

        # 1. A version that cannot start fails the deployment here, and the old one stays live.
        health = self._invoke("health", HEALTH_EVENT, after=[])
        # 2. After it, so that the warm-ups find an instance that has started.
        warm_ups = {
            label_set: self._invoke(f"warm-{label_set}", warm_event([label_set]), after=[health])
            for label_set in args.label_sets
        }
        self.warmed = {label_set: warm_up.result.apply(json.loads) for label_set, warm_up in warm_ups.items()}

        # 3. Now the version may have the traffic.
        self.alias = aws.lambda_.Alias(
            name,
            name="live",
            function_name=args.function.name,
            function_version=pulumi.Output.all(args.function.version, health.result).apply(
                lambda answers: _healthy_version(answers[0], answers[1])
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[health, *warm_ups.values()]),
        )
        if args.provisioned_concurrency:
            aws.lambda_.ProvisionedConcurrencyConfig(
                name,
                function_name=args.function.name,
                qualifier=self.alias.name,
                provisioned_concurrent_executions=args.provisioned_concurrency,
                opts=pulumi.ResourceOptions(parent=self),
            )
        if args.rewarm_schedule:
            self._rewarm(name, args.rewarm_schedule, warm_event(args.label_sets) if args.label_sets else HEALTH_EVENT)
        self.register_outputs({})

    def _invoke(self, name: str, event: object, *, after: Sequence[pulumi.Resource]) -> aws.lambda_.Invocation:
        return aws.lambda_.Invocation(
            f"{self._prefix}{name}",
            function_name=self._function.name,
            qualifier=self._function.version,
            input=json.dumps(event),
            # A new version is a new call.
            triggers={"version": self._function.version},
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _rewarm(self, name: str, schedule: str, event: object) -> None:
        """Call the live version now and then: Lambda puts away what was idle for weeks, and embeddings expire."""
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(f"{name}-rewarm", assume_role_policy=trust("scheduler.amazonaws.com"), opts=child)
        statement = {"Action": "lambda:InvokeFunction", "Resource": self.alias.arn}
        policy = allow(role, f"{name}-rewarm", statement, child)
        aws.scheduler.Schedule(
            f"{name}-rewarm",
            schedule_expression=schedule,
            flexible_time_window={"mode": "FLEXIBLE", "maximum_window_in_minutes": 15},
            target={"arn": self.alias.arn, "role_arn": role.arn, "input": json.dumps(event)},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )


def _healthy_version(version: str, answer: str) -> str:
    status = json.loads(answer).get("statusCode")
    if status != 200:
        raise pulumi.RunError(f"Version {version} answered GET /health with status {status}, so it does not go live.")
    return version
