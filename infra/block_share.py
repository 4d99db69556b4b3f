"""The share of blocked pictures, and when it is out of its usual band: a policy, a model or the pictures have changed.

Counted by the hour, and only in hours with enough pictures: the share of a few says nothing.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_aws as aws

from infra.environment import METRICS_NAMESPACE

PERIOD_SECONDS = 3600
FEWEST_PICTURES = 100

VERDICTS = {"allowed": "VerdictAllow", "reviewed": "VerdictReview", "blocked": "VerdictBlock"}


def outside(band: Sequence[float]) -> str:
    """Return the metric math that is 1 where the share of `blocked` is outside of `band`, in percent, else 0."""
    least, most = band
    pictures = "(allowed + reviewed + blocked)"
    beyond = f"100 * blocked < {least:g} * {pictures} OR 100 * blocked > {most:g} * {pictures}"
    return f"IF({pictures} < {FEWEST_PICTURES}, 0, IF({beyond}, 1, 0))"


def queries(service: str, policy: str, band: Sequence[float]) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
    """Return the alarm's metrics: three counts of one policy's verdicts, and what is made of them."""
    counts = [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=id_,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=METRICS_NAMESPACE,
                metric_name=metric,
                dimensions={"service": service, "policy": policy},
                period=PERIOD_SECONDS,
                stat="Sum",
            ),
            return_data=False,
        )
        for id_, metric in VERDICTS.items()
    ]
    made = aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id="outside",
        expression=outside(band),
        label="The share of block is outside of its band",
        return_data=True,
    )
    return [*counts, made]
