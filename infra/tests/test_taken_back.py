"""A setting that is taken back is taken back in AWS too."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

import pytest

from infra.tests.conftest import CONFIGURATIONS, WITH_JOBS
from infra.tests.program import Recorded
from infra.tests.test_stack import aws_class

pytestmark = pytest.mark.slow


def is_kept(type_: str, name: str) -> bool:
    """Whether the provider takes an input that is left out for what is there already.

    It is what its schema calls optional and computed; the SDK, which is written from it, says of such a property's
    output that it is always there.
    """
    field = re.sub("([A-Z])", lambda letter: f"_{letter[1].lower()}", name)
    output = getattr(aws_class(type_), field).fget.__annotations__["return"]
    return "Optional" not in str(output)


def given_now_and_then(run: Callable[[str], Recorded]) -> set[tuple[str, str]]:
    """The inputs that one resource is given in some configurations, and not in others."""
    seen: dict[str, list[frozenset[str]]] = defaultdict(list)
    types = {}
    for configuration in (*CONFIGURATIONS, *WITH_JOBS):
        for resource in run(configuration).resources:
            types[resource.key] = resource.type
            seen[resource.key].append(frozenset(key for key, value in resource.inputs.items() if value is not None))
    return {
        (types[key], name)
        for key, inputs in seen.items()
        if types[key].startswith("aws:")
        for name in frozenset.union(*inputs) - frozenset.intersection(*inputs)
    }


def test_what_the_provider_would_keep_in_silence_is_always_said(run: Callable[[str], Recorded]) -> None:
    found = given_now_and_then(run)
    assert len(found) > 8, "it looks at something"
    assert {one for one in found if is_kept(*one)} == set()


def test_it_would_be_seen() -> None:
    """Two that are computed where they are left out, and one that is not."""
    assert is_kept("aws:lambda/function:Function", "tracingConfig")
    assert is_kept("aws:ec2/securityGroup:SecurityGroup", "vpcId")
    assert not is_kept("aws:lambda/function:Function", "kmsKeyArn")
