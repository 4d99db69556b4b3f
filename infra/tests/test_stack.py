"""What holds for the stack as a whole: its settings, its tags, its names."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from typing import Any

import pulumi_aws
import pytest
import yaml

from infra.api import ROUTES, curl
from infra.config import ROOT
from infra.dashboard import API_PER_REQUEST, LAMBDA_PER_GB_SECOND, LAMBDA_PER_REQUEST
from infra.settings import StackSettings, key_of
from infra.tests.conftest import CONFIGURATIONS
from infra.tests.program import Recorded, defaults, run_program

pytestmark = pytest.mark.slow

TAGS = {"Project": "clip-video-moderator", "Stack": "dev", "ManagedBy": "pulumi"}


def aws_class(type_: str) -> Any:
    """Find the provider's class of a resource type such as `aws:ec2/vpc:Vpc`."""
    _, module, name = type_.split(":")
    module = module.split("/")[0]
    package = import_module(f"{pulumi_aws.__name__}.{'lambda_' if module == 'lambda' else module}")
    return getattr(package, name)


def test_everything_that_aws_can_tag_is_tagged(every: Recorded) -> None:
    taggable = [
        resource
        for resource in every.resources
        if resource.type.startswith("aws:")
        and "tags" in inspect.signature(aws_class(resource.type)._internal_init).parameters
    ]
    assert len(taggable) >= 5
    untagged = [resource.key for resource in taggable if resource.inputs.get("tags") != TAGS]
    assert untagged == []


def test_the_rest_of_the_resources_cannot_be_tagged(every: Recorded) -> None:
    """So that the test above cannot pass because it looks at too few."""
    rest = {resource.type.split(":")[-1] for resource in every.resources if "tags" not in resource.inputs}
    assert rest <= {
        "Alias",
        "ApiMapping",
        "Authorizer",
        "Dashboard",
        "Image",
        "Integration",
        "Invocation",
        "LifecyclePolicy",
        "Permission",
        "ProvisionedConcurrencyConfig",
        "RolePolicy",
        "Route",
        "Record",
        "Schedule",
        "SecretVersion",
        "TopicSubscription",
    }


def test_nothing_is_protected_because_nothing_here_is_a_users_data(
    every: Recorded, run: Callable[[str], Recorded]
) -> None:
    assert not [resource.key for resource in every.resources if resource.protected]
    kept = [resource.key for resource in every.resources if resource.retained_on_delete]
    built = [] if every is run("image by digest") else ["docker-build:index:Image::clip"]
    assert kept == built, "its repository takes the images along"
    assert not [group.key for group in every.all("aws:cloudwatch/logGroup:LogGroup") if group.inputs.get("skipDestroy")]


# Paid by use, or not at all.
FREE_WHILE_NOBODY_CALLS = {
    "Alias",
    "Api",
    "DefaultSecurityGroup",
    "Function",
    "Image",
    "Integration",
    "Invocation",
    "LifecyclePolicy",
    "LogGroup",
    "Permission",
    "Role",
    "RolePolicy",
    "Route",
    "SecurityGroup",
    "SecurityGroupEgressRule",
    "SecurityGroupIngressRule",
    "Stage",
    "Subnet",
    "User",
    "UserGroup",
    "Vpc",
}


@pytest.mark.parametrize(("configuration", "store"), [("defaults", {"ServerlessCache"}), ("no cache", set())])
def test_what_costs_money_idle_is_the_store_and_the_cents_that_the_readme_prices(
    run: Callable[[str], Recorded], configuration: str, store: set[str]
) -> None:
    paid = {resource.type.split(":")[-1] for resource in run(configuration).resources} - FREE_WHILE_NOBODY_CALLS
    assert paid == {"Dashboard", "MetricAlarm", "Repository"} | store


def test_two_stacks_of_one_account_share_no_name(run: Callable[[str], Recorded]) -> None:
    def names(recorded: Recorded) -> set[tuple[str, str]]:
        # What AWS wants to be unique in an account; `live` and `$default` lie inside something that is.
        keys = ("name", "userId", "userGroupId", "dashboardName")
        inside = ("Alias", "Stage")
        return {
            (resource.type, resource.inputs[key])
            for resource in recorded.resources
            for key in keys
            if key in resource.inputs and not resource.type.endswith(inside)
        }

    assert not names(run("defaults")) & names(run_program({}, stack="prod"))


def test_a_plain_up_needs_no_setting() -> None:
    """Each setting has a type, a default and a description, and a list says what it is a list of."""
    config = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    for key, setting in config.items():
        assert isinstance(setting["default"], kinds[setting["type"]]), key
        assert setting["description"].endswith("."), key
        assert (setting.get("items") == {"type": "string"}) == (setting["type"] == "array"), key


def test_every_setting_of_the_project_is_read_and_every_one_read_is_described() -> None:
    assert set(defaults()) == {key_of(field.name) for field in fields(StackSettings) if field.name != "name"}


@pytest.fixture(scope="module")
def later() -> dict[str, dict[str, Any]]:
    """What every configuration asks for later, in another process that does nothing in between."""
    program = (
        "import json, sys, time\n"
        "from infra.tests.conftest import CONFIGURATIONS, run_configuration\n"
        "now = time.time\n"
        "time.time = lambda: now() + 1e8\n"
        "found = {name: run_configuration(name).resources for name in reversed(CONFIGURATIONS)}\n"
        "asked = {name: {one.key: one.inputs for one in resources} for name, resources in found.items()}\n"
        "json.dump(asked, sys.stdout)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'lambda_src'}", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("configuration", list(CONFIGURATIONS))
def test_deploying_twice_asks_for_the_same(
    run: Callable[[str], Recorded], later: dict[str, dict[str, Any]], configuration: str
) -> None:
    """No input depends on the time, on chance, or on what ran before."""
    first = {resource.key: resource.inputs for resource in run(configuration).resources}
    assert later[configuration] == json.loads(json.dumps(first))


@pytest.mark.parametrize("stack", ["dev", "prod", "team-a-2"])
def test_the_whole_program_runs_in_every_stack(stack: str) -> None:
    recorded = run_program({}, stack=stack)
    assert recorded.exports["functionName"] == f"clip-video-moderator-{stack}"
    assert recorded.exports.keys() == {
        "url",
        "curl",
        "domainTarget",
        "functionName",
        "functionVersion",
        "imageDigest",
        "cacheEndpoint",
        "warmedUp",
        "dashboardUrl",
    }


def test_the_docs_name_the_programs_routes_settings_and_command() -> None:
    routes, deploy = _page("api.md"), _page("deploy.md")
    assert all(f"`{route}`" in routes for route in ROUTES)
    set_there = set(re.findall(r"pulumi config set (?:--path ')?(\w+)(?!\w*:)", deploy))
    assert "model" in set_there
    assert set_there <= set(defaults()), "a setting that does not exist"
    one_line = re.sub(r"\s*\\\n\s*", " ", deploy)
    command = curl(auth="iam", url="URL", region="eu-central-1")
    assert command.replace("'URL/classify?label_set=moderation'", "") in one_line


def test_the_docs_name_every_file_of_the_program() -> None:
    text = _page("architecture.md")
    files = [path.name for path in (ROOT / "infra").iterdir() if path.suffix in {".py", ".json"}]
    assert [name for name in files if f"`infra/{name}`" not in text and name != "__init__.py"] == []


def test_the_docs_price_1000_pictures_as_the_dashboard_does() -> None:
    """The sums are right too."""
    table = _page("costs.md").split("For each 1000 pictures")[1].split("CloudWatch asks")[0]
    prices = [float(price) for price in re.findall(r"\| \**(\d[\d.]*)\** \|$", table, re.MULTILINE)]
    *parts, together = prices
    assert parts[:3] == [
        pytest.approx(1000 * 0.060 * 1769 / 1024 * LAMBDA_PER_GB_SECOND, rel=0.01),
        pytest.approx(1000 * LAMBDA_PER_REQUEST),
        pytest.approx(1000 * API_PER_REQUEST),
    ]
    assert together == pytest.approx(sum(parts), abs=0.00005)


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")
