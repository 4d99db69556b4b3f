"""Components can be made twice: the stack can hold a second function, with its own role, in or out of the network."""

from __future__ import annotations

import pytest

from infra.environment import METRICS_NAMESPACE
from infra.function import Function, FunctionArgs
from infra.network import Network, NetworkArgs, allow_joining
from infra.release import Release, ReleaseArgs
from infra.role import FunctionRole
from infra.sign_in import lambda_client
from infra.tests.program import Recorded, run
from infra.versions import Versions


def two_functions() -> None:
    """A service in the network, and a worker outside of it."""
    roles = {name: FunctionRole(name) for name in ("service", "worker")}
    joining = [allow_joining(roles["service"])]
    networks = {"service": Network("service", NetworkArgs(zone_ids=["euc1-az1", "euc1-az2"], joining=joining))}
    for name, role in roles.items():
        function = Function(
            name,
            FunctionArgs(
                name=f"clip-{name}",
                role=role,
                image_uri="image",
                environment={"POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE},
                network=networks.get(name),
                rights=joining if name in networks else [],
                memory=512,
                timeout=29,
                reserved_concurrency=0,
                snap_start=False,
                log_retention_days=30,
            ),
        )
        Release(
            name,
            ReleaseArgs(
                function=function,
                versions=Versions(lambda_client),
                prefix=f"{name}-",
                snap_start=False,
                label_sets=["moderation"],
                provisioned_concurrency=1,
                rewarm_schedule="rate(7 days)",
            ),
        )


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return run(two_functions)


def test_no_two_resources_have_one_name(recorded: Recorded) -> None:
    keys = [resource.key for resource in recorded.resources]
    assert len(keys) > 20
    assert sorted(keys) == sorted(set(keys)), "the engine refuses a second resource of one type and name"


def test_a_function_outside_the_network_has_no_right_to_be_in_it(recorded: Recorded) -> None:
    joins = {policy.inputs["role"] for policy in recorded.all("aws:iam/rolePolicy:RolePolicy") if "join" in policy.name}
    assert joins == {"service-name"}
    assert "vpcConfig" not in recorded.inputs("aws:lambda/function:Function", "worker")


def test_each_function_has_a_role_of_its_own(recorded: Recorded) -> None:
    roles = [function.inputs["role"] for function in recorded.all("aws:lambda/function:Function")]
    assert len(set(roles)) == len(roles) == 2
