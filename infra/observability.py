"""Watching the stack: alarms that say when somebody must look, and the dashboard of `dashboard.py` to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra.block_share import FEWEST_PICTURES, queries
from infra.dashboard import Watched, dashboard_body
from infra.environment import METRICS_NAMESPACE

_PERIOD_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class ObservabilityArgs:
    """What is watched, and whom an alarm tells: nobody, an e-mail address, a topic, or both."""

    name: str
    api_id: pulumi.Input[str]
    function_name: pulumi.Input[str]
    region: pulumi.Input[str]
    memory: int
    has_store: bool
    p99_ms: int
    email: str
    topic_arn: str
    # By policy, least and most, in percent.
    block_share: Mapping[str, Sequence[float]] = field(default_factory=dict)
    worker_name: pulumi.Input[str] | None = None
    worker_seconds: int = 0  # that a call of it may take
    queue_names: Sequence[pulumi.Input[str]] = ()  # of the stream: its own, then its dead-letter queues
    late_seconds: int = 0  # more than an upload waits that comes again once


class Observability(pulumi.ComponentResource):
    """Offers `dashboard_url`."""

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Observability", name, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._name = name
        self._topics = self._make_topics(args)

        body = pulumi.Output.all(
            api=args.api_id,
            function=args.function_name,
            region=args.region,
            worker=args.worker_name,
            queues=list(args.queue_names),
        ).apply(
            lambda known: dashboard_body(
                Watched(
                    name=args.name,
                    api_id=known["api"],
                    function_name=known["function"],
                    region=known["region"],
                    memory=args.memory,
                    has_store=args.has_store,
                    worker_name=known["worker"],
                    queue_names=tuple(known["queues"]),
                )
            )
        )
        dashboard = aws.cloudwatch.Dashboard(name, dashboard_name=args.name, dashboard_body=body, opts=self._child)
        self.dashboard_url = pulumi.Output.format(
            "https://{0}.console.aws.amazon.com/cloudwatch/home?region={0}#dashboards/dashboard/{1}",
            args.region,
            dashboard.dashboard_name,
        )
        for alarm in _alarms(args):
            self._raise(alarm, args.name)
        for policy, band in args.block_share.items():
            self._watch_share(policy, band, args.name)
        self.register_outputs({})

    def _make_topics(self, args: ObservabilityArgs) -> list[pulumi.Input[str]]:
        topics: list[pulumi.Input[str]] = [args.topic_arn] if args.topic_arn else []
        if args.email:
            # Not encrypted with AWS' own key for SNS: CloudWatch may not use that one, and its alarms would be lost.
            topic = aws.sns.Topic(self._name, opts=self._child)
            aws.sns.TopicSubscription(
                self._name, topic=topic.arn, protocol="email", endpoint=args.email, opts=self._child
            )
            topics.append(topic.arn)
        return topics

    def _raise(self, alarm: _Alarm, prefix: str) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{alarm.kind}",
            # Alarms stand in one list with those of the account's other stacks.
            name=f"{prefix}-{alarm.kind}",
            alarm_description=alarm.meaning,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions=alarm.dimensions,
            statistic=None if alarm.statistic.startswith("p") else alarm.statistic,
            extended_statistic=alarm.statistic if alarm.statistic.startswith("p") else None,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            period=_PERIOD_SECONDS,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.datapoints,
            # Nobody calling is not a fault.
            treat_missing_data="notBreaching",
            alarm_actions=self._topics,
            ok_actions=self._topics,
            opts=self._child,
        )

    def _watch_share(self, policy: str, band: Sequence[float], prefix: str) -> None:
        least, most = band
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-block-share-{policy}",
            name=f"{prefix}-block-share-{policy}",
            alarm_description=(
                f"{policy} blocked less than {least:g} % or more than {most:g} % of an hour's pictures, "
                f"{FEWEST_PICTURES} at least: the pictures, the policy or the model have changed"
            ),
            metric_queries=queries(prefix, policy, band),
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            evaluation_periods=1,
            treat_missing_data="notBreaching",
            alarm_actions=self._topics,
            ok_actions=self._topics,
            opts=self._child,
        )


@dataclass(frozen=True, kw_only=True)
class _Alarm:
    kind: str
    meaning: str
    namespace: str
    metric: str
    dimensions: dict[str, pulumi.Input[str]]
    statistic: str = "Sum"
    comparison: str = "GreaterThanThreshold"
    threshold: float = 0
    periods: int = 1
    datapoints: int | None = None  # that must be over the threshold; without it, all periods'


def _alarms(args: ObservabilityArgs) -> Iterator[_Alarm]:
    of_function: dict[str, pulumi.Input[str]] = {"FunctionName": args.function_name}
    yield _Alarm(
        kind="errors",
        meaning="Requests that ended in a bug or a timeout",
        namespace="AWS/Lambda",
        metric="Errors",
        dimensions=of_function,
    )
    yield _Alarm(
        kind="failed",
        meaning="Bugs that were answered in other services' forms, which Lambda does not count as errors",
        namespace=METRICS_NAMESPACE,
        metric="Failed",
        dimensions={"service": args.name},
    )
    yield _Alarm(
        kind="throttles",
        meaning="Calls that Lambda turned away: the account, or the reservation, has too few instances",
        namespace="AWS/Lambda",
        metric="Throttles",
        dimensions=of_function,
    )
    yield _Alarm(
        kind="api-5xx",
        meaning="Requests that the API could not pass on or the function did not answer: see its access log",
        namespace="AWS/ApiGateway",
        metric="5xx",
        dimensions={"ApiId": args.api_id},
    )
    yield _Alarm(
        kind="p99",
        meaning=f"One request in a hundred took over {args.p99_ms} ms, for 15 minutes",
        namespace="AWS/ApiGateway",
        metric="Latency",
        dimensions={"ApiId": args.api_id},
        statistic="p99",
        threshold=args.p99_ms,
        periods=3,
    )
    if args.has_store:
        # Requests are answered without it, only slower: so half of the asks must fail, for 15 minutes.
        yield _Alarm(
            kind="store-down",
            meaning="The label store does not answer: labels are computed anew",
            namespace=METRICS_NAMESPACE,
            metric="StoreAvailable",
            dimensions={"service": args.name},
            statistic="Average",
            comparison="LessThanThreshold",
            threshold=0.5,
            periods=3,
        )
    yield from _alarms_of_jobs(args)


def _alarms_of_jobs(args: ObservabilityArgs) -> Iterator[_Alarm]:
    if args.worker_name is not None:
        yield _Alarm(
            kind="worker-errors",
            meaning="Batches of jobs or uploads that ended in a bug or a timeout; they are tried again",
            namespace="AWS/Lambda",
            metric="Errors",
            dimensions={"FunctionName": args.worker_name},
            # An error is counted when a call ends, at the time when it began: periods that are over must be looked at,
            # besides the one that has just begun and one for the minutes until the metric is there.
            # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#invocation-metrics
            periods=2 + -(-args.worker_seconds // _PERIOD_SECONDS),
            datapoints=1,
        )
    if not args.queue_names:
        return
    queue, *dead = args.queue_names
    yield _Alarm(
        kind="uploads-late",
        meaning=f"An upload has waited for over {args.late_seconds} s to be judged",
        namespace="AWS/SQS",
        metric="ApproximateAgeOfOldestMessage",
        dimensions={"QueueName": queue},
        statistic="Maximum",
        threshold=args.late_seconds,
    )
    for name, kind, meaning in zip(
        dead,
        ("uploads-dead", "uploads-undelivered"),
        ("could not be judged in five tries", "could not be put into the queue"),
        strict=True,
    ):
        yield _Alarm(
            kind=kind,
            meaning=f"Uploads that {meaning}: mend the cause, then `make redrive`",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": name},
            statistic="Maximum",
        )
