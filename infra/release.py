"""The release: a published version is asked for its health and warmed up, and only then does traffic reach it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.canary import Canary
from infra.events import HEALTH_EVENT, warm_event
from infra.function import Function
from infra.role import allow, trust
from infra.versions import LIVE, LIVE_SNAPSHOTS, Versions


@dataclass(frozen=True, kw_only=True)
class ReleaseArgs:
    """What is released: `label_sets` are warmed up one by one, none when there is no store to keep them.

    `prefix` begins the names of the checks, which are what a failed deployment shows.
    """

    function: Function
    versions: Versions
    prefix: str = ""
    label_sets: Sequence[str]
    snap_start: bool
    provisioned_concurrency: int
    rewarm_schedule: str
    # What lets a new version answer a share of the requests first.
    canary: Canary | None = None


class Release(pulumi.ComponentResource):
    """Offers `alias`, which callers invoke, and `warmed`, what each label set's warm-up answered."""

    def __init__(self, name: str, args: ReleaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Release", name, None, opts)
        self._function, self._versions, self._prefix = args.function, args.versions, args.prefix

        # 1. A version that cannot start fails the deployment here, and the old one stays live.
        ready: pulumi.Output[str] = pulumi.Output.all(args.function.arn, args.function.version).apply(
            lambda known: args.versions.ready(known[0], known[1])
        )
        health = self._invoke("health", HEALTH_EVENT, ready)
        healthy: pulumi.Output[str] = pulumi.Output.all(args.function.arn, ready, health.result).apply(
            lambda known: self._healthy(known[0], known[1], known[2])
        )
        # 2. After the health check, so that the warm-ups find an instance that has started.
        warm_ups = {
            label_set: self._invoke(f"warm-{label_set}", warm_event([label_set]), healthy)
            for label_set in args.label_sets
        }
        self.warmed = {label_set: warm_up.result.apply(json.loads) for label_set, warm_up in warm_ups.items()}

        # 3. Now the version may have the traffic, a share of it first where that is asked for. Snapshots have an alias
        # of their own: the other may have instances that are kept warm, and as long as it has them, Lambda refuses to
        # move it to a version with a snapshot.
        alias_name = LIVE_SNAPSHOTS if args.snap_start else LIVE
        checked = [health, *warm_ups.values()]
        self.alias = aws.lambda_.Alias(
            f"{name}-snapshots" if args.snap_start else name,
            name=alias_name,
            function_name=args.function.name,
            function_version=self._tried(name, args.canary, alias_name, healthy, checked) if args.canary else healthy,
            opts=pulumi.ResourceOptions(parent=self, depends_on=checked),
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

        # 4. What nobody needs any more goes, before Pulumi deletes the subnets and groups that it may stand in.
        moved = pulumi.Output.all(args.function.arn, self.alias.function_version, self.alias.id)
        _: pulumi.Output[None] = moved.apply(lambda known: args.versions.prune(known[0], known[1]))
        self.register_outputs({})

    def _invoke(self, name: str, event: object, version: pulumi.Output[str]) -> aws.lambda_.Invocation:
        return aws.lambda_.Invocation(
            f"{self._prefix}{name}",
            function_name=self._function.name,
            qualifier=version,
            input=json.dumps(event),
            # A new version is a new call.
            triggers={"version": version},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _tried(
        self,
        name: str,
        canary: Canary,
        alias: str,
        version: pulumi.Output[str],
        checked: Sequence[aws.lambda_.Invocation],
    ) -> pulumi.Output[str]:
        """Return the version once it has answered a share of the requests and its own alarm has stayed quiet."""
        function = self._function.name
        alarm = aws.cloudwatch.MetricAlarm(
            f"{name}-canary",
            alarm_description=pulumi.Output.format(
                "{0}: a new version failed with its share of the requests", function
            ),
            namespace="AWS/Lambda",
            metric_name="Errors",
            # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
            dimensions={
                "FunctionName": function,
                "Resource": pulumi.Output.format("{0}:{1}", function, alias),
                "ExecutedVersion": version,
            },
            statistic="Sum",
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            period=60,
            evaluation_periods=1,
            treat_missing_data="notBreaching",
            # Each version has an alarm of its own: the state of the last one's says nothing about this one.
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(checked), replace_on_changes=["dimensions"]),
        )
        return pulumi.Output.all(self._function.arn, version, alarm.name).apply(
            lambda known: canary.pass_(known[0], alias, known[1], known[2])
        )

    async def _healthy(self, function: str, version: str, answer: str) -> str:
        """Return the version when it is healthy.

        Pulumi keeps the first answer. When that was a bad one, its cause may have been outside of the image and gone by
        now: so the version is asked again, but not by a preview, which judges nothing.
        """
        if pulumi.runtime.is_dry_run():
            return version
        if _status(answer) != 200:
            answer = await self._versions.ask_again(function, version, json.dumps(HEALTH_EVENT)) or answer
        if _status(answer) != 200:
            raise pulumi.RunError(
                f"Version {version} answered GET /health with status {_status(answer)}, so it does not go live."
            )
        return version

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


def _status(answer: str) -> object:
    return json.loads(answer).get("statusCode")
