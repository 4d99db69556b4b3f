"""What the program takes for granted about the service: it answers the release's events and counts what is watched."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from infra.config import CONTEXT
from infra.dashboard import CANDIDATE_METRICS, POLICY_METRICS, RUNTIME_METRICS
from infra.environment import METRICS_NAMESPACE
from infra.events import HEALTH_EVENT
from infra.tests.program import Recorded

pytestmark = pytest.mark.slow

# Answers go to stderr: stdout is the log, which metrics are part of.
PROGRAM = """
import json, sys, types
from moderator.handler import handler
context = types.SimpleNamespace(
    function_name="f", memory_limit_in_mb=1769, invoked_function_arn="arn", aws_request_id="id",
    get_remaining_time_in_millis=lambda: 29000,
)
sys.stderr.write("\\n" + json.dumps([handler(event, context) for event in json.load(sys.stdin)]))
"""


def answer(variables: dict[str, str], *events: object) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Start the handler with these variables, as Lambda would; its answers, and the metrics in its log."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CONTEXT),
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "MODEL_DIR": str(CONTEXT / "demo_model"),
            "LABEL_SETS_DIR": str(CONTEXT / "label_sets"),
            **variables,
        },
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    return json.loads(ended.stderr.splitlines()[-1]), [line for line in lines if "_aws" in line]


def variables_without_cloud(recorded: Recorded) -> dict[str, str]:
    """The program's own variables, with a store that refuses connections in the place of ElastiCache."""
    variables: dict[str, str] = dict(recorded.inputs("aws:lambda/function:Function")["environment"]["variables"])
    for name in ("CACHE_IAM_USER", "CACHE_IAM_NAME", "CACHE_CLUSTER"):
        del variables[name]
    return {**variables, "CACHE_URL": "redis://127.0.0.1:1"}


def picture_event() -> dict[str, Any]:
    picture = base64.b64encode((CONTEXT / "demo_model" / "example.png").read_bytes()).decode()
    text = json.dumps(HEALTH_EVENT).replace("GET", "POST").replace("/health", "/classify")
    body = json.dumps({"image_data": picture, "labels": ["a", "b"]})
    return {**json.loads(text), "headers": {"content-type": "application/json"}, "body": body}


def test_the_releases_check_is_answered_200(defaults: Recorded) -> None:
    """Also while the store does not answer: it only saves time."""
    (health,), _ = answer(variables_without_cloud(defaults), HEALTH_EVENT)
    assert health["statusCode"] == 200


def test_what_the_dashboard_and_the_alarms_watch_is_counted_under_the_stacks_own_name(defaults: Recorded) -> None:
    (classified,), metrics = answer(variables_without_cloud(defaults), picture_event())
    assert classified["statusCode"] == 200, classified
    counted: set[str] = set()
    for line in metrics:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == METRICS_NAMESPACE
        assert directive["Dimensions"] == [["service"]]
        assert line["service"] == "clip-video-moderator-dev", "two stacks of one account must not mix their metrics"
        counted |= {metric["Name"] for metric in directive["Metrics"]}
    assert counted == set(RUNTIME_METRICS)


def test_what_the_dashboard_shows_of_policies_is_counted_under_these_very_dimensions(defaults: Recorded) -> None:
    """An expression that looks for another set of dimensions finds nothing, and says nothing of it."""
    policy = {"neutral": ["x"], "categories": {"a": {"labels": ["y"], "block": 0.5}}, "candidate": "demo"}
    event = picture_event()
    picture = json.loads(event["body"])["image_data"]
    text = json.dumps({**event, "body": json.dumps({"image_data": picture, "policy": policy})})
    # Several times: a candidate has a second for its labels, and a busy machine may need more of them for the first.
    events = [json.loads(text.replace("/classify", "/moderate"))] * 5
    judged, metrics = answer(variables_without_cloud(defaults), *events)
    assert {one["statusCode"] for one in judged} == {200}, judged
    counted = {
        metric["Name"]: set(directive["Dimensions"][0])
        for line in metrics
        for directive in line["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }
    for names, dimensions in (
        (POLICY_METRICS, {"service", "policy"}),
        (CANDIDATE_METRICS, {"service", "policy", "candidate"}),
    ):
        assert [counted.get(name) for name in names] == [dimensions] * len(names)
