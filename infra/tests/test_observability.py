"""Somebody is told when it breaks, and can see why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from infra.dashboard import CANDIDATE_METRICS, POLICY_METRICS, RUNTIME_METRICS, Watched, dashboard_body
from infra.tests.program import Inputs, Recorded

pytestmark = pytest.mark.slow

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def alarms(recorded: Recorded) -> dict[str, Inputs]:
    return {alarm.name: alarm.inputs for alarm in recorded.all(ALARM)}


def widgets(recorded: Recorded) -> dict[str, Inputs]:
    body = json.loads(recorded.inputs("aws:cloudwatch/dashboard:Dashboard")["dashboardBody"])
    return {widget["properties"]["title"]: widget["properties"] for widget in body["widgets"]}


def metrics(recorded: Recorded) -> set[tuple[str, str]]:
    """Every (namespace, metric) that the dashboard shows."""
    series = [one for widget in widgets(recorded).values() for one in widget.get("metrics", [])]
    return {(one[0], one[1]) for one in series if isinstance(one[0], str)}


def test_there_is_an_alarm_for_errors_throttles_the_api_latency_and_the_store(
    every: Recorded, run: Callable[[str], Recorded]
) -> None:
    expected = {
        "clip-errors": ("AWS/Lambda", "Errors", "GreaterThanThreshold", 0),
        "clip-failed": ("ClipVideoModerator", "Failed", "GreaterThanThreshold", 0),
        "clip-throttles": ("AWS/Lambda", "Throttles", "GreaterThanThreshold", 0),
        "clip-api-5xx": ("AWS/ApiGateway", "5xx", "GreaterThanThreshold", 0),
        "clip-p99": ("AWS/ApiGateway", "Latency", "GreaterThanThreshold", 3000),
        "clip-store-down": ("ClipVideoModerator", "StoreAvailable", "LessThanThreshold", 0.5),
    }
    if every is run("no cache"):
        del expected["clip-store-down"]
    found = {
        name: (alarm["namespace"], alarm["metricName"], alarm["comparisonOperator"], alarm["threshold"])
        for name, alarm in alarms(every).items()
        if name not in ONLY_WHEN_ASKED_FOR
    }
    assert found == expected


ONLY_WHEN_ASKED_FOR = {"clip-canary", "clip-block-share-moderation"}


def test_other_alarms_are_there_only_when_asked_for(every: Recorded, run: Callable[[str], Recorded]) -> None:
    expected = {"platform": ONLY_WHEN_ASKED_FOR, "canary": {"clip-canary"}}
    found = ONLY_WHEN_ASKED_FOR & alarms(every).keys()
    assert found == next((names for name, names in expected.items() if every is run(name)), set())


def test_each_alarm_watches_this_stack(defaults: Recorded) -> None:
    dimensions = {name: alarm["dimensions"] for name, alarm in alarms(defaults).items()}
    assert dimensions == {
        "clip-errors": {"FunctionName": "clip-video-moderator-dev"},
        "clip-failed": {"service": "clip-video-moderator-dev"},
        "clip-throttles": {"FunctionName": "clip-video-moderator-dev"},
        "clip-api-5xx": {"ApiId": "clip-id"},
        "clip-p99": {"ApiId": "clip-id"},
        "clip-store-down": {"service": "clip-video-moderator-dev"},
    }
    variables = defaults.inputs("aws:lambda/function:Function")["environment"]["variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == dimensions["clip-store-down"]["service"]
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == alarms(defaults)["clip-store-down"]["namespace"]


def test_the_latency_alarm_takes_a_percentile_and_the_others_a_statistic(defaults: Recorded) -> None:
    """CloudWatch takes exactly one of the two."""
    for name, alarm in alarms(defaults).items():
        assert ("statistic" in alarm) != ("extendedStatistic" in alarm)
        assert alarm.get("extendedStatistic") == ("p99" if name == "clip-p99" else None)


def test_a_service_that_nobody_calls_is_not_in_alarm(every: Recorded) -> None:
    assert {alarm["treatMissingData"] for alarm in alarms(every).values()} == {"notBreaching"}


def test_alarms_tell_whoever_was_named_and_nobody_by_default(
    defaults: Recorded, run: Callable[[str], Recorded]
) -> None:
    assert not defaults.all("aws:sns/topic:Topic")
    assert all(alarm["alarmActions"] == [] for alarm in alarms(defaults).values())

    everything = run("everything")
    subscription = everything.inputs("aws:sns/topicSubscription:TopicSubscription")
    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "somebody@example.org")
    topics = ["arn:aws:sns:eu-central-1:111122223333:ours", "arn:aws:sns:eu-central-1:111122223333:Topic/clip"]
    for alarm in alarms(everything).values():
        assert alarm["alarmActions"] == alarm["okActions"] == topics


def test_the_dashboard_shows_what_the_project_promises(defaults: Recorded) -> None:
    assert {
        ("AWS/ApiGateway", "Count"),
        ("AWS/ApiGateway", "Latency"),
        ("AWS/ApiGateway", "5xx"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Throttles"),
        ("ClipVideoModerator", "Pictures"),
        ("ClipVideoModerator", "ColdStart"),
        ("ClipVideoModerator", "LabelsPrecomputed"),
        ("ClipVideoModerator", "LabelsFromMemory"),
        ("ClipVideoModerator", "LabelsFromStore"),
        ("ClipVideoModerator", "LabelsComputed"),
        ("ClipVideoModerator", "StoreAvailable"),
    } <= metrics(defaults)
    assert [one[-1]["stat"] for one in widgets(defaults)["Latency, ms"]["metrics"]] == ["p50", "p95", "p99"]
    assert {widget["region"] for widget in widgets(defaults).values()} == {"eu-central-1"}


def test_the_dashboard_of_a_stack_without_a_store_does_not_show_one(run: Callable[[str], Recorded]) -> None:
    assert not {name for _, name in metrics(run("no cache"))} & {"StoreAvailable", "LabelsFromStore"}


def test_every_metric_of_the_service_is_one_that_it_counts(every: Recorded) -> None:
    shown = {name for namespace, name in metrics(every) if namespace == "ClipVideoModerator"}
    assert shown <= set(RUNTIME_METRICS)
    with pytest.raises(ValueError, match="not among the runtime's metrics"):
        watched().runtime("Picturs")


def test_widgets_lie_side_by_side_and_not_on_each_other() -> None:
    boxes = [(widget["x"], widget["y"]) for widget in json.loads(dashboard_body(watched()))["widgets"]]
    assert len(set(boxes)) == len(boxes)


def test_the_cost_of_1000_pictures_is_the_price_lists_and_what_is_billed(defaults: Recorded) -> None:
    """The query's arithmetic, worked out for a day of 20,000 requests with 40,000 pictures, 120 ms billed for each."""
    (title,) = [title for title in widgets(defaults) if "per 1000 pictures" in title]
    source, selected, stats = widgets(defaults)[title]["query"].split(" | ")
    assert source == "SOURCE '/aws/lambda/clip-video-moderator-dev'"
    assert selected == 'filter @type = "REPORT" or ispresent(Pictures)'
    sums, _, rest = stats.partition(" as pictures, ")
    assert sums == "stats sum(@billedDuration) as billed, count(@billedDuration) as calls, sum(Pictures)"
    dollars, _, per_day = rest.partition(" as dollars ")
    assert per_day == "by bin(1d)"
    numbers = {"billed": 20_000 * 120.0, "calls": 20_000, "pictures": 40_000}
    # What CloudWatch would compute: plain arithmetic over the three names.
    cost = eval(dollars, {"__builtins__": {}}, numbers)  # noqa: S307  # our own expression, read above
    gigabyte_seconds = 2_400 * 1769 / 1024
    by_hand = gigabyte_seconds * 0.0000133334 + 20_000 * (0.20 + 1.00) / 1e6
    assert cost == pytest.approx(1000 * by_hand / 40_000, rel=1e-5)


def test_the_dashboards_address_is_exported(defaults: Recorded) -> None:
    assert defaults.exports["dashboardUrl"] == (
        "https://eu-central-1.console.aws.amazon.com/cloudwatch/home?region=eu-central-1"
        "#dashboards/dashboard/clip-video-moderator-dev"
    )


def test_the_dashboard_shows_verdicts_review_and_where_a_candidate_differs(defaults: Recorded) -> None:
    def made(title: str) -> list[Inputs]:
        return [series[0] for series in widgets(defaults)[title]["metrics"]]

    assert [one["label"] for one in made("Verdicts")] == ["allow", "review", "block"]
    counts = [one["expression"] for one in made("Verdicts")]
    for metric, expression in zip(POLICY_METRICS, counts, strict=True):
        found = re.fullmatch(
            r"SUM\(SEARCH\('\{(.*)\} MetricName=\"(\w+)\" service=\"(.*)\"', 'Sum', 300\)\)", expression
        )
        assert found
        assert found.groups() == ("ClipVideoModerator,policy,service", metric, "clip-video-moderator-dev")
    allow, review, block = counts
    assert made("Share of review and block, %")[0]["expression"] == f"100 * {review} / ({allow} + {review} + {block})"
    (differs,) = made("Where a candidate would decide otherwise, %")
    assert re.findall(r'\{([\w,]+)\} MetricName="(\w+)"', differs["expression"]) == [
        ("ClipVideoModerator,candidate,policy,service", metric) for metric in reversed(CANDIDATE_METRICS)
    ]


@pytest.mark.parametrize(
    ("allowed", "reviewed", "blocked", "goes_off"),
    [
        (95, 0, 5, 0),
        (1000, 0, 0, 1),
        (880, 0, 120, 1),
        (880, 20, 100, 0),
        (980, 10, 10, 0),
        (10, 0, 50, 0),
        (0, 50, 50, 1),
    ],
)
def test_the_block_share_alarm_goes_off_outside_of_its_band_and_with_pictures_enough(
    run: Callable[[str], Recorded], allowed: int, reviewed: int, blocked: int, goes_off: int
) -> None:
    """The alarm's own expression, computed as CloudWatch would."""
    alarm = alarms(run("platform"))["clip-block-share-moderation"]
    *counts, made = alarm["metricQueries"]
    assert [one["metric"]["metricName"] for one in counts] == list(POLICY_METRICS)
    assert {json.dumps(one["metric"]["dimensions"], sort_keys=True) for one in counts} == {
        '{"policy": "moderation", "service": "clip-video-moderator-dev"}'
    }
    assert ([one["returnData"] for one in counts], made["returnData"]) == ([False] * 3, True)
    names = {one["id"]: value for one, value in zip(counts, (allowed, reviewed, blocked), strict=True)}

    def choose(condition: bool, yes: float, no: float) -> float:
        return yes if condition else no

    expression = made["expression"].replace("IF(", "choose(").replace(" OR ", " or ")
    value = eval(expression, {"__builtins__": {}}, {"choose": choose, **names})  # noqa: S307  # our own expression
    assert value == goes_off
    assert (alarm["comparisonOperator"], alarm["threshold"], "metricName" in alarm) == (
        "GreaterThanThreshold",
        0,
        False,
    )


def watched() -> Watched:
    return Watched(name="n", api_id="a", function_name="f", region="eu-central-1", memory=1769, has_store=True)
