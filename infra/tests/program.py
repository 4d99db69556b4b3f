"""Runs the whole program against a recording mock: what each resource was asked for, as dictionaries."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pulumi
import yaml
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import Stack, run_pulumi_func

from infra.config import ROOT
from infra.tests.lambda_api import LambdaApi

PROJECT = "clip-video-moderator"
ACCOUNT = "111122223333"
REGION = "eu-central-1"
# Of nobody.
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalr/EXAMPLE+KEY", "AWS_DEFAULT_REGION": REGION}
KEYS["AWS_REGION"] = REGION
# By part of AWS: a region of it, and what the names of its hosts end in.
PARTITIONS = {
    "aws": (REGION, "amazonaws.com"),
    "aws-cn": ("cn-north-1", "amazonaws.com.cn"),
    "aws-us-gov": ("us-gov-west-1", "amazonaws.com"),
}

Inputs = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource, as the program asked for it."""

    type: str
    name: str
    inputs: Inputs
    # As `inputs`, with "[secret]" in the place of what Pulumi encrypts in its state and hides in its output.
    shown: Inputs
    # What it waits for, by the end of the URN: `aws:lambda/function:Function::clip`.
    waits_for: frozenset[str]
    delete_timeout: str
    retained_on_delete: bool
    protected: bool

    @property
    def key(self) -> str:
        return f"{self.type}::{self.name}"


@dataclass
class Recorded:
    """All that one run of the program asked for, in order, and what it exports."""

    resources: list[Resource] = field(default_factory=list)
    exports: dict[str, Any] = field(default_factory=dict)
    # The provider's functions that were called, with what they were given.
    calls: dict[str, Inputs] = field(default_factory=dict)
    # What was asked of Lambda past Pulumi, in order.
    asked: list[str] = field(default_factory=list)

    def all(self, type_: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == type_]

    def one(self, type_: str, name: str | None = None) -> Resource:
        found = [resource for resource in self.all(type_) if name in (None, resource.name)]
        if name is None and len(found) > 1:  # the service's own, beside the authorizer's
            found = [resource for resource in found if resource.name == "clip"]
        assert len(found) == 1, f"{type_} {name or ''}: {[resource.name for resource in found]}"
        return found[0]

    def inputs(self, type_: str, name: str | None = None) -> Inputs:
        return self.one(type_, name).inputs

    def statements(self, role: str | None = None) -> list[Inputs]:
        """Every statement of every role's policies, or of one role's."""
        policies = [
            json.loads(policy.inputs["policy"])
            for policy in self.all("aws:iam/rolePolicy:RolePolicy")
            if role is None or policy.inputs["role"] == f"{role}-name"
        ]
        return [statement for policy in policies for statement in policy["Statement"]]


class _Cloud(Mocks):
    """Answers as AWS would, as far as the program looks at the answer."""

    def __init__(self, health: str, calls: dict[str, Inputs], partition: str) -> None:
        self._health, self._calls, self._partition = health, calls, partition
        self._region, self._suffix = PARTITIONS[partition]

    def call(self, args: MockCallArgs) -> dict[str, Any]:  # type: ignore[override]  # MockMonitor takes it alone too
        self._calls[args.token] = dict(args.args)
        match args.token:
            case "aws:index/getRegion:getRegion":
                return {"region": self._region, "id": self._region}
            case "aws:index/getAvailabilityZones:getAvailabilityZones":
                return {"zoneIds": ["euc1-az2", "euc1-az3", "euc1-az1"], "names": ["a", "b", "c"]}
            case "aws:index/getPartition:getPartition":
                return {"partition": self._partition, "id": self._partition, "dnsSuffix": self._suffix}
            case "aws:ec2/getSubnet:getSubnet":
                return {"id": args.args["id"], "vpcId": "vpc-0123456789abcdef0"}
            case "aws:ecr/getAuthorizationToken:getAuthorizationToken":
                return {"userName": "AWS", "password": "a-short-lived-token"}
        raise AssertionError(f"unexpected call of {args.token}")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        service, kind = args.typ.split(":")[1].split("/")[0], args.typ.split(":")[-1]
        arn = self._arn(service, f"{kind}/{args.name}")
        return _id_of(kind, args.name), {"arn": arn, "name": f"{args.name}-name", **args.inputs, **self._answer(args)}

    def _arn(self, service: str, what: str) -> str:
        return f"arn:{self._partition}:{service}:{self._region}:{ACCOUNT}:{what}"

    def _answer(self, args: MockResourceArgs) -> dict[str, Any]:
        match args.typ.split(":")[-1]:
            case "Queue":
                return {"url": f"https://sqs.{self._region}.{self._suffix}/{ACCOUNT}/{args.name}"}
            case "Bucket":
                return {"bucket": f"{args.name}-1234567"}
            case "Vpc":
                return {"mainRouteTableId": "rtb-0123456789abcdef0"}
            case "Role":
                return {"arn": f"arn:{self._partition}:iam::{ACCOUNT}:role/{args.name}"}
            case "Repository":
                return {"repositoryUrl": f"{ACCOUNT}.dkr.ecr.{self._region}.{self._suffix}/clip", "registryId": ACCOUNT}
            case "Image":
                return {"digest": f"sha256:{'0' * 64}", "ref": f"clip:tag@sha256:{'0' * 64}"}
            case "Function":
                arn = self._arn("lambda", f"function:{args.inputs.get('name', args.name)}")
                return {"arn": arn, "version": "7", "invokeArn": f"invoke-arn-of-{args.name}"}
            case "StateMachine":
                return {"arn": self._arn("states", f"stateMachine:{args.inputs['name']}")}
            case "Secret":
                return {"arn": self._arn("secretsmanager", f"secret:{args.name}-AbCdEf")}
            case "VpcEndpoint":
                return {
                    "prefixListId": "pl-0123456789abcdef0",
                    "dnsEntries": [{"dnsName": "vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com"}],
                }
            case "ServerlessCache":
                return {"endpoints": [{"address": "clip.serverless.cache.amazonaws.com", "port": 6379}]}
            case "Invocation":
                is_warm_up = "warm" in json.loads(args.inputs["input"])
                return {"result": '{"labels":9,"stored":7,"computed":2,"ms":41.0}' if is_warm_up else self._health}
            case "Alias":
                return {"invokeArn": "invoke-arn-of-live"}
            case "Api":
                return {
                    "apiEndpoint": "https://api.example.amazonaws.com",
                    "executionArn": self._arn("execute-api", "api"),
                }
            case "DomainName":
                domain = {**args.inputs["domainNameConfiguration"], "targetDomainName": "target.amazonaws.com"}
                domain["hostedZoneId"] = "ZAMAZON"
                return {"domainNameConfiguration": domain}
        return {}


def _told(value: Any, *, secret: object = None) -> Any:
    """Take secrets out of their wrapping, or put `secret` into their place; an archive becomes what it is made of."""
    if pulumi.runtime.rpc.is_rpc_secret(value):
        return secret or _told(pulumi.runtime.rpc.unwrap_rpc_secret(value), secret=secret)
    match value:
        case dict():
            return {key: _told(item, secret=secret) for key, item in value.items()}
        case list():
            return [_told(item, secret=secret) for item in value]
        case pulumi.AssetArchive():
            return {name: getattr(asset, "path", "") for name, asset in value.assets.items()}
    return value


def _id_of(kind: str, name: str) -> str:
    prefix = {"Subnet": "subnet", "SecurityGroup": "sg", "DefaultSecurityGroup": "sg"}.get(kind)
    return f"{prefix}-{name.replace('-', '')}" if prefix else f"{name}-id"


class _Monitor(MockMonitor):
    """Records what the mocks are not told: what a resource waits for and how it is deleted."""

    def __init__(self, mocks: Mocks, recorded: Recorded) -> None:
        super().__init__(mocks)
        self._recorded = recorded

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  # the engine's own name
        with _loop_of_this_thread():
            answer = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        inputs = pulumi.runtime.rpc.deserialize_properties(request.object)
        if ":" in request.type and not request.type.startswith(("pulumi:", "clip:")):
            self._recorded.resources.append(
                Resource(
                    type=request.type,
                    name=request.name,
                    inputs=_told(inputs),
                    shown=_told(inputs, secret="[secret]"),
                    waits_for=frozenset(
                        "::".join((urn.split("::")[2].split("$")[-1], urn.split("::")[3]))
                        for urn in request.dependencies
                    ),
                    delete_timeout=request.customTimeouts.delete,
                    retained_on_delete=request.retainOnDelete,
                    protected=request.protect,
                )
            )
        return answer

    def Invoke(self, request: Any) -> Any:  # noqa: N802  # the engine's own name
        with _loop_of_this_thread():
            return super().Invoke(request)  # type: ignore[no-untyped-call]


@contextmanager
def _loop_of_this_thread() -> Iterator[None]:
    """Give the worker thread an event loop and close it; the mock monitor would leave its own open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Let nothing of a program that failed half-way reach into the next one."""
    loop.set_exception_handler(lambda *_: None)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    loop.close()


def defaults() -> dict[str, object]:
    """Every setting's default, from Pulumi.yaml."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    return {key: setting["default"] for key, setting in project["config"].items()}


# What Pulumi hands on as a secret, as it was set with --secret.
SECRETS = ("authTokens", "cachePassword")


def run_program(
    settings: Mapping[str, object] | None = None,
    *,
    stack: str = "dev",
    health: str = '{"statusCode": 200}',
    api: LambdaApi | None = None,
    made: list[str] | None = None,
    secrets: Sequence[str] = SECRETS,
    partition: str = "aws",
) -> Recorded:
    """Run `__main__.py` as the engine would, with Pulumi.yaml's defaults and `settings` over them.

    `made` is given the resources' keys also when the program fails.
    """
    return run(
        _main,
        {**defaults(), **(settings or {})},
        stack=stack,
        health=health,
        api=api,
        made=made,
        secrets=secrets,
        partition=partition,
    )


def _main() -> None:
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")


def run(
    program: Callable[[], None],
    settings: Mapping[str, object] | None = None,
    *,
    stack: str = "dev",
    health: str = '{"statusCode": 200}',
    api: LambdaApi | None = None,
    made: list[str] | None = None,
    secrets: Sequence[str] = SECRETS,
    partition: str = "aws",
) -> Recorded:
    """Run a program as the engine would, with these settings and no other."""
    api = api or LambdaApi()
    recorded = Recorded(asked=api.asked)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    SETTINGS.outputs.clear()
    set_root_resource(None)  # type: ignore[arg-type]  # each run has a stack of its own
    mocks = _Cloud(health, recorded.calls, partition)
    set_mocks(mocks, project=PROJECT, stack=stack, preview=False, monitor=_Monitor(mocks, recorded))
    pulumi.runtime.set_all_config(
        {
            f"{PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in (settings or {}).items()
        },
        [f"{PROJECT}:{key}" for key in secrets],
    )

    async def whole() -> None:
        await run_pulumi_func(program)
        root = pulumi.runtime.get_root_resource()
        assert isinstance(root, Stack)
        for name, value in root.outputs.items():
            recorded.exports[name] = await pulumi.Output.from_input(value).future()

    try:
        with (
            api.serving(),
            patch.dict(
                os.environ,
                {f"AWS_ENDPOINT_URL_{service}": api.url for service in ("LAMBDA", "CLOUDWATCH")} | KEYS,
            ),
        ):
            loop.run_until_complete(whole())
    finally:
        _end(loop)
        if made is not None:
            made += [resource.key for resource in recorded.resources]
    return recorded
