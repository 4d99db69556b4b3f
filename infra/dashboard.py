"""The dashboard: requests, latency, errors, cold starts, labels, verdicts, the store, and what pictures cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.environment import METRICS_NAMESPACE

# Dollars, arm64, in most regions. https://aws.amazon.com/lambda/pricing/ https://aws.amazon.com/api-gateway/pricing/
LAMBDA_PER_GB_SECOND = 0.0000133334
LAMBDA_PER_REQUEST = 0.20e-6
API_PER_REQUEST = 1.00e-6

# What the runtime counts, in METRICS_NAMESPACE under the dimension `service`.
RUNTIME_METRICS = (
    "Requests",
    "Pictures",
    "ColdStart",
    "LabelsPrecomputed",
    "LabelsFromMemory",
    "LabelsFromStore",
    "LabelsComputed",
    "StoreAvailable",
    "RequestTime",
    "ImageTime",
    "LabelTime",
    "DecodeTime",
)

# And what it counts under more dimensions: of each policy, and of each pair of a policy and its candidate.
POLICY_METRICS = ("VerdictAllow", "VerdictReview", "VerdictBlock")
CANDIDATE_METRICS = ("CandidateCompared", "CandidateDiffers")

_PERIOD = 300
Series = list[object]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What the dashboard shows; memory in MB."""

    name: str
    api_id: str
    function_name: str
    region: str
    memory: int
    has_store: bool
    worker_name: str | None = None
    queue_names: tuple[str, ...] = ()  # of the stream: its own, then its dead-letter queues

    def api(self, metric: str, **options: object) -> Series:
        """Give a series of the HTTP API."""
        return ["AWS/ApiGateway", metric, "ApiId", self.api_id, options]

    def function(self, metric: str, **options: object) -> Series:
        """Give a series of the Lambda, all its versions together."""
        return ["AWS/Lambda", metric, "FunctionName", self.function_name, options]

    def runtime(self, metric: str, **options: object) -> Series:
        """Give a series that the runtime counts."""
        if metric not in RUNTIME_METRICS:
            raise ValueError(f"{metric} is not among the runtime's metrics: {', '.join(RUNTIME_METRICS)}.")
        return [METRICS_NAMESPACE, metric, "service", self.name, options]

    def over_all(self, metric: str) -> str:
        """Give the sum of a metric over all policies, as an expression; 0 where there is none."""
        dimensions = "candidate,policy" if metric in CANDIDATE_METRICS else "policy"
        terms = f'{{{METRICS_NAMESPACE},{dimensions},service}} MetricName="{metric}" service="{self.name}"'
        return f"SUM(SEARCH('{terms}', 'Sum', {_PERIOD}))"


def dashboard_body(of: Watched) -> str:
    """Give the dashboard's JSON: two widgets a row, twelve columns each."""
    labels = ["LabelsPrecomputed", "LabelsFromMemory", "LabelsFromStore", "LabelsComputed"] if of.has_store else [
        "LabelsPrecomputed", "LabelsFromMemory", "LabelsComputed",
    ]  # fmt: skip
    allow, review, block = (of.over_all(metric) for metric in POLICY_METRICS)
    compared, differs = (of.over_all(metric) for metric in CANDIDATE_METRICS)
    widgets = [
        _graph("Requests and pictures", of, [of.api("Count"), of.runtime("Pictures")], stat="Sum"),
        _graph(
            "Latency, ms",
            of,
            [of.api("Latency", stat=stat, label=stat) for stat in ("p50", "p95", "p99")],
        ),
        _graph(
            "Errors and throttles",
            of,
            [of.api("4xx"), of.api("5xx"), of.function("Errors"), of.function("Throttles")],
            stat="Sum",
        ),
        _graph("Cold starts", of, [of.runtime("ColdStart")], stat="Sum"),
        _graph("Where labels came from", of, [of.runtime(metric) for metric in labels], stat="Sum", stacked=True),
        _graph(
            "Where the time goes, ms",
            of,
            [of.runtime(metric) for metric in ("DecodeTime", "ImageTime", "LabelTime", "RequestTime")],
            stat="p50",
        ),
        _graph("Verdicts", of, [_made("allow", allow), _made("review", review), _made("block", block)], stacked=True),
        _graph(
            "Share of review and block, %",
            of,
            [
                _made("review", f"100 * {review} / ({allow} + {review} + {block})"),
                _made("block", f"100 * {block} / ({allow} + {review} + {block})"),
            ],
        ),
        _graph("Where a candidate would decide otherwise, %", of, [_made("differs", f"100 * {differs} / {compared}")]),
        _table("Dollars per 1000 pictures as billed, without what the store costs idle", of, cost_query(of.memory)),
    ]
    if of.has_store:
        widgets.append(_graph("Store answers, share of the requests that asked", of, [of.runtime("StoreAvailable")]))
    widgets += _of_jobs(of)
    for number, widget in enumerate(widgets):
        widget |= {"x": 12 * (number % 2), "y": 6 * (number // 2), "width": 12, "height": 6}
    return json.dumps({"widgets": widgets})


def _made(label: str, expression: str) -> Series:
    return [{"label": label, "expression": expression}]


def _of_jobs(of: Watched) -> list[dict[str, object]]:
    if of.worker_name is None:
        return []
    metrics = ("Invocations", "Errors", "Throttles")
    calls: list[Series] = [["AWS/Lambda", metric, "FunctionName", of.worker_name, {}] for metric in metrics]
    widgets = [_graph("Jobs: batches, errors and throttles", of, calls, stat="Sum")]
    if of.queue_names:
        age = "ApproximateAgeOfOldestMessage"
        waiting: list[Series] = [["AWS/SQS", age, "QueueName", of.queue_names[0], {}]]
        waiting += [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, {}] for name in of.queue_names]
        widgets.append(
            _graph("Uploads: seconds that the oldest waits, and queues' lengths", of, waiting, stat="Maximum")
        )
    return widgets


def cost_query(memory: int) -> str:
    """Return the question to the function's log: what Lambda bills, starts included, is said by its REPORT lines alone.

    Each request is billed by Lambda and by API Gateway; the pictures are counted by the runtime's own lines.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
    """
    dollars = (
        f"(billed / 1000 * {memory / 1024:.6f} * {LAMBDA_PER_GB_SECOND:.10f}"
        f" + calls * {LAMBDA_PER_REQUEST + API_PER_REQUEST:.8f})"
    )
    return (
        'filter @type = "REPORT" or ispresent(Pictures)'
        " | stats sum(@billedDuration) as billed, count(@billedDuration) as calls, sum(Pictures) as pictures,"
        f" 1000 * {dollars} / pictures as dollars by bin(1d)"
    )


def _table(title: str, of: Watched, query: str) -> dict[str, object]:
    source = f"SOURCE '/aws/lambda/{of.function_name}' | {query}"
    return {"type": "log", "properties": {"title": title, "region": of.region, "query": source, "view": "table"}}


def _graph(
    title: str, of: Watched, series: Sequence[Series], *, stat: str = "Average", stacked: bool = False
) -> dict[str, object]:
    properties: Mapping[str, object] = {
        "title": title,
        "region": of.region,
        "metrics": list(series),
        "stat": stat,
        "period": _PERIOD,
        "view": "timeSeries",
        "stacked": stacked,
        "yAxis": {"left": {"min": 0}},
    }
    return {"type": "metric", "properties": properties}
