"""A version is waited for, and goes when nobody needs it any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pulumi
import pytest

from infra.sign_in import lambda_client
from infra.tests.lambda_api import LambdaApi
from infra.tests.program import ACCOUNT, KEYS, Recorded, run, run_program
from infra.versions import Versions, before

pytestmark = pytest.mark.slow

FUNCTION = f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:f"
HERE = {"VpcConfig": {"SubnetIds": ["a", "b"], "SecurityGroupIds": ["g"]}}
ELSEWHERE = {"VpcConfig": {"SubnetIds": ["a", "c"], "SecurityGroupIds": ["g"]}}
NOWHERE: dict[str, Any] = {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}}


def deploy(api: LambdaApi, version: str = "7") -> LambdaApi:
    """What a release does with its function's versions; the alias moves in between."""
    versions = Versions(lambda_client, pause_seconds=0.001)

    async def steps(_: int) -> None:
        assert await versions.ready(FUNCTION, version) == version
        api.aliases["live"] = version
        await versions.prune(FUNCTION, version)

    in_program(steps, api)
    return api


def in_program(steps: Callable[[int], Awaitable[None]], api: LambdaApi) -> None:
    def program() -> None:
        _: pulumi.Output[None] = pulumi.Output.from_input(0).apply(steps)

    run(program, api=api)


def test_a_program_waits_for_its_version_and_prunes_after_the_alias_has_moved(every: Recorded) -> None:
    has_canary = any(one.name == "clip-canary" for one in every.all("aws:cloudwatch/metricAlarm:MetricAlarm"))
    canarys = ["GET aliases live"] if has_canary else []
    assert every.asked == ["GET aliases", "GET configuration 7", *canarys, "GET versions", "GET aliases"]


def test_the_live_version_and_the_one_before_stay() -> None:
    api = deploy(LambdaApi(versions={str(number): HERE for number in range(1, 8)}, aliases={"live": "5"}))
    assert set(api.versions) == {"5", "7"}, "6 never went live, and 5 did"


def test_an_up_that_changes_nothing_deletes_nothing() -> None:
    api = LambdaApi(versions=dict.fromkeys(("5", "7"), HERE), aliases={"live": "7"})
    assert set(deploy(api).versions) == {"5", "7"}


def test_a_version_that_another_alias_names_stays() -> None:
    api = LambdaApi(versions=dict.fromkeys(("2", "6", "7"), HERE), aliases={"live": "6"})
    api.aliases["mine"] = "2"
    versions = Versions(lambda_client)
    in_program(lambda _: versions.prune(FUNCTION, "7"), api)
    assert "2" in api.versions


def test_an_alias_of_ones_own_takes_nothing_from_the_version_to_go_back_to() -> None:
    """Neither in an `up` that changes nothing, nor in one that publishes another version."""
    for live in ("7", "6"):
        api = LambdaApi(versions=dict.fromkeys(("2", "4", "6", "7"), HERE), aliases={"live": live, "mine": "2"})
        deploy(api)
        assert set(api.versions) == {"2", "6", "7"}


@pytest.mark.parametrize(("live", "old"), [(HERE, ELSEWHERE), (NOWHERE, HERE), (ELSEWHERE, HERE)])
def test_the_one_before_goes_too_when_it_stands_where_the_live_one_does_not(live: Any, old: Any) -> None:
    """Its interfaces would keep the subnets and groups from being deleted."""
    api = deploy(LambdaApi(versions={"6": old, "7": live}, aliases={"live": "6"}))
    assert set(api.versions) == {"7"}


def test_the_one_before_stays_when_the_live_one_only_joined_a_network() -> None:
    api = deploy(LambdaApi(versions={"6": NOWHERE, "7": HERE}, aliases={"live": "6"}))
    assert set(api.versions) == {"6", "7"}


def test_versions_are_compared_as_numbers() -> None:
    there = [{"Version": number} for number in ("$LATEST", "9", "10", "11")]
    assert before(there, live="11", live_before=["11"]) == {"10"}


def test_a_pending_version_is_waited_for_and_one_that_sleeps_is_not() -> None:
    api = deploy(LambdaApi(states=["Pending", "Pending", "Active"]))
    assert api.asked.count("GET configuration 7") == 3
    assert deploy(LambdaApi(states=["Inactive"])).asked.count("GET configuration 7") == 1


@pytest.mark.parametrize(
    ("state", "sentence"), [("Failed", "7 could not be made: why"), ("Pending", "7 is still pending after ten minutes")]
)
def test_a_version_that_does_not_come_stops_the_deployment(state: str, sentence: str) -> None:
    with pytest.raises(pulumi.RunError, match=sentence):
        deploy(LambdaApi(states=[state]))


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", told.append)
    return told


def test_whoever_may_not_ask_lambda_is_told_once_and_deploys(warnings: list[str]) -> None:
    api = deploy(LambdaApi(refuses=True))
    assert api.asked == ["GET aliases"]
    (warning,) = warnings
    assert "AccessDeniedException" in warning
    assert "old versions of the function stay" in warning


def test_one_version_that_cannot_be_deleted_keeps_no_other(warnings: list[str]) -> None:
    there = dict.fromkeys(("1", "2", "3", "6", "7"), HERE)
    api = deploy(LambdaApi(versions=there, aliases={"live": "6"}, held=frozenset({"1"})))
    assert set(api.versions) == {"1", "6", "7"}
    (warning,) = warnings
    assert "could not be deleted and stay until the next up: 1 (" in warning
    assert "in use" in warning


def test_a_preview_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    assert deploy(LambdaApi()).asked == []


def test_the_program_signs_in_as_the_stack_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the provider's own settings before anything in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    settings = {"aws:region": "eu-west-1", "aws:accessKey": "AKIDSTACK", "aws:secretKey": "a", "aws:token": "t"}
    pulumi.runtime.set_all_config(settings)
    client = lambda_client()
    credentials = client._request_signer._credentials
    assert (client.meta.region_name, credentials.access_key, credentials.token) == ("eu-west-1", "AKIDSTACK", "t")
    pulumi.runtime.set_all_config({})
    credentials = lambda_client()._request_signer._credentials
    assert credentials.access_key == KEYS["AWS_ACCESS_KEY_ID"]
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert lambda_client().meta.region_name == "eu-north-1", "as the provider; botocore reads the longer name alone"


def test_nothing_is_deleted_in_another_account(warnings: list[str]) -> None:
    """There may be a stack of the same name: with `aws:assumeRoles` the provider deploys elsewhere than these keys."""
    there = LambdaApi(versions={str(number): {} for number in range(1, 8)}, account="999988887777")
    run_program(api=there)
    assert set(there.versions) == {str(number) for number in range(1, 8)}
    (warning,) = warnings
    assert "Lambda could not be asked from here" in warning
    here = LambdaApi(versions={str(number): {} for number in range(1, 8)})
    run_program(api=here)
    assert set(here.versions) == {"6", "7"}
