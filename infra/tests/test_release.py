"""A version goes live only after it has shown that it works."""

from __future__ import annotations

import json
from collections.abc import Callable

import pulumi
import pytest

from infra.tests.lambda_api import LambdaApi
from infra.tests.program import Recorded, run_program

pytestmark = pytest.mark.slow

ALIAS = "aws:lambda/alias:Alias"
INVOCATION = "aws:lambda/invocation:Invocation"


def test_the_live_alias_waits_for_every_check(every: Recorded) -> None:
    checks = {invocation.key for invocation in every.all(INVOCATION)}
    assert checks
    assert checks <= every.one(ALIAS).waits_for


def test_the_store_is_warmed_up_with_each_label_set_by_the_published_version(defaults: Recorded) -> None:
    warm_up = defaults.inputs(INVOCATION, "warm-moderation")
    assert json.loads(warm_up["input"]) == {"warm": {"label_sets": ["moderation"]}}
    assert warm_up["qualifier"] == "7"
    assert warm_up["triggers"] == {"version": "7"}, "a new version is a new call"


def test_the_warm_ups_find_an_instance_that_has_started(defaults: Recorded) -> None:
    assert f"{INVOCATION}::health" in defaults.one(INVOCATION, "warm-moderation").waits_for


def test_the_alias_moves_to_the_version_that_was_checked(every: Recorded) -> None:
    assert every.inputs(ALIAS)["functionVersion"] == "7"
    assert {invocation.inputs["qualifier"] for invocation in every.all(INVOCATION)} == {"7"}


def test_what_the_warm_ups_did_is_exported(defaults: Recorded) -> None:
    assert defaults.exports["warmedUp"] == {"moderation": {"labels": 9, "stored": 7, "computed": 2, "ms": 41.0}}
    assert (defaults.exports["functionName"], defaults.exports["functionVersion"]) == ("clip-video-moderator-dev", "7")


def test_versions_with_snapshots_have_an_alias_of_their_own(every: Recorded, run: Callable[[str], Recorded]) -> None:
    """Lambda does not move one that has instances kept warm to them."""
    alias = every.one(ALIAS)
    if every is run("SnapStart"):
        assert (alias.name, alias.inputs["name"]) == ("clip-snapshots", "live-snapshots")
    else:
        assert (alias.name, alias.inputs["name"]) == ("clip", "live")


def test_without_a_store_health_is_asked_and_nothing_is_warmed_up(run: Callable[[str], Recorded]) -> None:
    (check,) = run("no cache").all(INVOCATION)
    event = json.loads(check.inputs["input"])
    assert event["version"] == "2.0"
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/health"
    assert run("no cache").exports["warmedUp"] == {}


@pytest.mark.parametrize("answer", ['{"statusCode": 500}', '{"body": "?"}'])
def test_a_version_that_answers_badly_does_not_go_live(answer: str) -> None:
    """Asked by Pulumi, and then once more."""
    api = LambdaApi(answer=answer)
    with pytest.raises(pulumi.RunError, match="does not go live"):
        run_program(health=answer, api=api)
    assert api.asked == ["GET aliases", "GET configuration 7", "POST invocations 7"]


def test_nothing_is_warmed_up_or_moved_after_a_bad_answer() -> None:
    made: list[str] = []
    with pytest.raises(pulumi.RunError):
        run_program(health='{"statusCode": 500}', made=made)
    assert f"{INVOCATION}::health" in made
    assert not [key for key in made if key.startswith((ALIAS, f"{INVOCATION}::warm"))]


def test_a_bad_answer_that_pulumi_keeps_is_not_held_against_a_version_that_is_healthy_now() -> None:
    """Its cause was outside of the image: without this, every later `up` would fail."""
    recorded = run_program(health='{"statusCode": 503}', api=LambdaApi(answer='{"statusCode": 200}'))
    assert recorded.inputs(ALIAS)["functionVersion"] == "7"


def test_traffic_reaches_the_alias_and_never_the_newest_version(every: Recorded) -> None:
    assert every.inputs("aws:apigatewayv2/integration:Integration")["integrationUri"] == "invoke-arn-of-live"
    assert every.inputs("aws:lambda/permission:Permission")["qualifier"] == every.inputs(ALIAS)["name"]


def test_instances_are_kept_warm_only_when_asked_for_behind_the_alias(
    every: Recorded, run: Callable[[str], Recorded]
) -> None:
    kept = every.all("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")
    if every is not run("everything"):
        assert not kept
        return
    assert (kept[0].inputs["qualifier"], kept[0].inputs["provisionedConcurrentExecutions"]) == ("live", 2)
    assert f"{ALIAS}::clip" in kept[0].waits_for


def test_a_schedule_warms_the_live_version_up_again_only_when_asked_for(
    every: Recorded, run: Callable[[str], Recorded]
) -> None:
    schedules = every.all("aws:scheduler/schedule:Schedule")
    if every not in (run("everything"), run("platform")):
        assert not schedules
        return
    (schedule,) = schedules
    assert schedule.inputs["scheduleExpression"] == "rate(7 days)"
    assert schedule.inputs["target"]["arn"].endswith("Alias/clip")
    assert json.loads(schedule.inputs["target"]["input"]) == {"warm": {"label_sets": ["moderation"]}}
    (right,) = [one for one in every.statements() if one["Action"] == "lambda:InvokeFunction"]
    assert right["Resource"] == schedule.inputs["target"]["arn"], "the schedule may call the live version and no other"


def test_without_a_store_the_schedule_keeps_the_function_awake() -> None:
    stack = run_program({"cache": "none", "rewarmSchedule": "rate(7 days)"})
    event = json.loads(stack.inputs("aws:scheduler/schedule:Schedule")["target"]["input"])
    assert event["rawPath"] == "/health"
