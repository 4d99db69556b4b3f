"""A new version gets its share first, and all the rest only when its alarm has stayed quiet."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
import pytest

from infra.canary import Canary, Share
from infra.sign_in import cloudwatch_client, lambda_client
from infra.tests.lambda_api import LambdaApi
from infra.tests.program import ACCOUNT, Recorded, run, run_program

pytestmark = pytest.mark.slow

FUNCTION = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:f"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
SHARE = {"7": 0.1}


def canary(minutes: float = 0.001) -> Canary:
    return Canary(
        Share(percent=10, minutes=minutes),
        connect_lambda=lambda_client,
        connect_cloudwatch=cloudwatch_client,
        pause_seconds=0.01,
        settle_seconds=0.05,
    )


def tried(api: LambdaApi, version: str = "7", minutes: float = 0.001) -> list[str]:
    """What the alias is given, as a release does it."""
    passed: list[str] = []

    async def steps(_: int) -> None:
        passed.append(await canary(minutes).pass_(FUNCTION, "live", version, "the-alarm"))

    def program() -> None:
        _: pulumi.Output[None] = pulumi.Output.from_input(0).apply(steps)

    run(program, api=api)
    return passed


def test_a_version_that_answers_its_share_well_goes_live() -> None:
    api = LambdaApi(aliases={"live": "6"})
    assert tried(api) == ["7"]
    assert api.shared == [SHARE, {}], "the alias is left as Pulumi knows it"
    assert api.asked.count("DescribeAlarms") > 1


def test_one_whose_alarm_goes_off_does_not_and_the_old_one_has_everything_again() -> None:
    api = LambdaApi(aliases={"live": "6"}, alarm_states=["INSUFFICIENT_DATA", "OK", "ALARM"])
    with pytest.raises(
        pulumi.RunError, match=r"Version 7 failed .*10 % .*the-alarm.*version 6 answers all of them again"
    ):
        tried(api, minutes=1)
    assert (api.shared, api.aliases) == ([SHARE, {}], {"live": "6"})


def test_the_share_is_taken_back_also_when_cloudwatch_cannot_be_asked() -> None:
    api = LambdaApi(aliases={"live": "6"}, alarm_states=["OK", "REFUSED"])
    with pytest.raises(pulumi.RunError, match="With canaryMinutes 0 it goes live without"):
        tried(api)
    assert api.shared == [SHARE, {}]


def test_a_share_that_credentials_end_upon_is_said_to_be_left() -> None:
    """They are of 15 minutes to an hour, and a canary may take half an hour."""
    api = LambdaApi(aliases={"live": "6"}, alarm_states=["OK", "OK", "ENDED"])
    with pytest.raises(pulumi.RunError, match=r"7 still answers 10 % .*next up does it, or: aws lambda update-alias"):
        tried(api, minutes=1)
    assert api.weights == {"live": SHARE}


def test_errors_of_the_last_minutes_are_waited_for_with_the_share_taken_back() -> None:
    """CloudWatch hears of them late."""
    api = LambdaApi(aliases={"live": "6"}, alarm_states=["OK", "OK", "OK", "ALARM"])
    with pytest.raises(pulumi.RunError, match=r"Version 7 failed .*version 6 answers all of them again"):
        tried(api, minutes=0)
    assert api.shared == [SHARE, {}]
    assert api.asked[-1] == "DescribeAlarms", "after the share is taken back"


def test_an_alarm_that_is_on_from_the_deployment_before_is_waited_out() -> None:
    api = LambdaApi(aliases={"live": "6"}, alarm_states=["ALARM", "ALARM", "OK"])
    assert (tried(api), api.shared) == (["7"], [SHARE, {}])


def test_one_that_stays_on_gets_no_share_and_is_told() -> None:
    api = LambdaApi(aliases={"live": "6"}, alarm_states=["ALARM"])
    with pytest.raises(pulumi.RunError, match="its alarm the-alarm is still on from the deployment before"):
        tried(api)
    assert api.shared == []


def test_whoever_may_not_ask_lambda_is_told_and_nothing_goes_live() -> None:
    """A canary that is left out in silence would be none."""
    with pytest.raises(pulumi.RunError, match=r"cannot be given a share.*not allowed"):
        tried(LambdaApi(aliases={"live": "6"}, refuses=True))


def test_the_first_version_has_nobody_to_share_with() -> None:
    api = LambdaApi()
    assert (tried(api), api.shared) == (["7"], [])


def test_an_up_that_changes_nothing_shares_nothing_and_waits_for_nothing() -> None:
    api = LambdaApi(aliases={"live": "7"})
    assert tried(api, minutes=60) == ["7"]
    assert api.shared == [{}]
    assert "DescribeAlarms" not in api.asked


def test_what_a_killed_up_left_is_taken_away_by_the_next() -> None:
    api = LambdaApi(aliases={"live": "7"}, weights={"live": {"8": 0.1}})
    tried(api)
    assert api.weights == {"live": {}}


def test_a_preview_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    api = LambdaApi(aliases={"live": "6"})
    assert (tried(api), api.asked) == (["7"], [])


def test_the_alarm_watches_the_new_version_alone_behind_the_alias(run: Callable[[str], Recorded]) -> None:
    alarm = run("canary").one(ALARM, "clip-canary").inputs
    assert (alarm["namespace"], alarm["metricName"], alarm["threshold"]) == ("AWS/Lambda", "Errors", 0)
    assert alarm["dimensions"] == {
        "FunctionName": "clip-video-moderator-dev",
        "Resource": "clip-video-moderator-dev:live",
        "ExecutedVersion": "7",
    }
    assert alarm["treatMissingData"] == "notBreaching"


def test_the_alias_waits_for_the_canary_which_waits_for_the_checks(run: Callable[[str], Recorded]) -> None:
    stack = run("canary")
    checks = {one.key for one in stack.all("aws:lambda/invocation:Invocation")}
    assert checks <= stack.one(ALARM, "clip-canary").waits_for
    assert f"{ALARM}::clip-canary" in stack.one("aws:lambda/alias:Alias").waits_for


def test_a_whole_program_goes_back_and_moves_nothing() -> None:
    api, made = LambdaApi(versions={"6": {}, "7": {}}, aliases={"live": "6"}, alarm_states=["OK", "ALARM"]), []  # type: ignore[var-annotated]
    with pytest.raises(pulumi.RunError, match="version 6 answers all of them again"):
        run_program({"canaryMinutes": 30, "canaryPercent": 25}, api=api, made=made)
    assert api.shared == [{"7": 0.25}, {}]
    assert not [key for key in made if "Alias" in key or "Route" in key]
    assert set(api.versions) == {"6", "7"}, "nothing is deleted"
