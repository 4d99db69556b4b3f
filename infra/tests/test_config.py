"""A wrong setting stops the preview with one sentence: the key, its value, and what would be right."""

from __future__ import annotations

import importlib.util

import pulumi
import pytest

from infra.config import CONTEXT
from infra.rules import SUPPORTED_MODELS
from infra.tests.program import run_program

JWT = {"auth": "jwt", "jwtIssuer": "https://issuer.example.org", "jwtAudience": ["clip"]}

WRONG: list[tuple[dict[str, object], str]] = [
    ({"auth": "key"}, "auth is 'key': it must be one of iam, jwt, none."),
    ({**JWT, "jwtIssuer": ""}, "jwtIssuer is '': with auth jwt it must be the https:// URL of the issuer."),
    ({**JWT, "jwtIssuer": "http://x"}, "jwtIssuer is 'http://x': with auth jwt it must be the https:// URL"),
    ({**JWT, "jwtAudience": []}, "jwtAudience is []: with auth jwt it must name at least one audience."),
    ({**JWT, "auth": "iam"}, "auth is 'iam': it must be jwt when jwtIssuer or jwtAudience is set"),
    ({"memory": 10241}, "memory is 10241: it must be between 512 and 10,240 (Lambda's own limits, in MB)."),
    ({"memory": 128}, "memory is 128: it must be between 512 and 10,240"),
    ({"memory": "much"}, "memory is 'much': it must be a whole number."),
    ({"memory": 1769.5}, "memory is '1769.5': it must be a whole number."),
    ({"memory": True}, "memory is 'true': it must be a whole number."),
    ({"timeout": 30}, "timeout is 30: it must be between 1 and 29 (API Gateway gives up after 30 seconds)."),
    ({"snapStart": "perhaps"}, "snapStart is 'perhaps': it must be true or false."),
    (
        {"snapStart": True, "provisionedConcurrency": 2},
        "snapStart is true and provisionedConcurrency is 2: Lambda allows one or the other, so one must be off.",
    ),
    (
        {"provisionedConcurrency": 9, "reservedConcurrency": 5},
        "provisionedConcurrency is 9: it must be at most reservedConcurrency, which is 5.",
    ),
    ({"labelSets": ["moderation", "weather"]}, "labelSets has 'weather': it must be the name of a file in "),
    ({"labelSets": "moderation"}, "labelSets is 'moderation': it must be a list of texts."),
    ({"labelSets": [1]}, "labelSets is '[1]': it must be a list of texts."),
    ({"model": "ViT-H-14"}, "model is 'ViT-H-14': it must be one of demo, ViT-B-32-quickgelu,"),
    ({"precision": "fp8"}, "precision is 'fp8': it must be one of auto, fp32, int8."),
    ({"cache": "redis"}, "cache is 'redis': it must be one of serverless, none."),
    ({"cacheTtlDays": 0}, "cacheTtlDays is 0: it must be between 1 and 3,650"),
    ({"cacheRetrySeconds": "soon"}, "cacheRetrySeconds is 'soon': it must be a number."),
    ({"zoneIds": ["euc1-az1"]}, "zoneIds is ['euc1-az1']: it must be two or three different zones, or empty."),
    ({"zoneIds": ["a", "a"]}, "zoneIds is ['a', 'a']: it must be two or three different zones"),
    ({"rewarmSchedule": "weekly"}, "rewarmSchedule is 'weekly': it must be like rate(7 days) or cron("),
    ({"corsOrigins": ["example.org"]}, "corsOrigins has 'example.org': it must be an origin like https://example.org"),
    ({"corsOrigins": ["https://e.org/a"]}, "corsOrigins has 'https://e.org/a': it must be an origin"),
    ({"throttleRate": 0}, "throttleRate is 0: it must be between 1 and 10,000"),
    ({"throttleBurst": 0}, "throttleBurst is 0: it must be between 1 and 5,000"),
    ({"domainName": "a.org"}, "domainName is 'a.org' and certificateArn is '': they go together"),
    ({"certificateArn": "mine"}, "certificateArn is 'mine': it must be the ARN of an ACM certificate."),
    ({"alarmEmail": "me"}, "alarmEmail is 'me': it must be an e-mail address."),
    ({"alarmTopicArn": "ours"}, "alarmTopicArn is 'ours': it must be the ARN of an SNS topic."),
    ({"logRetentionDays": 31}, "logRetentionDays is 31: it must be one of 1, 3, 5, 7, 14, 30,"),
    ({"logLevel": "LOUD"}, "logLevel is 'LOUD': it must be one of DEBUG,"),
]


@pytest.mark.parametrize(("settings", "sentence"), WRONG, ids=[sentence[:50] for _, sentence in WRONG])
def test_a_wrong_setting_is_named_with_what_would_be_right(settings: dict[str, object], sentence: str) -> None:
    """`RunError` is what Pulumi shows without a stack trace."""
    with pytest.raises(pulumi.RunError) as error:
        run_program(settings)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("stack", ["a-stack-with-a-name-that-is-far-too-long", "under_score", "double--hyphen"])
def test_a_stacks_name_that_elasticache_refuses_is_refused_here(stack: str) -> None:
    with pytest.raises(pulumi.RunError, match="ElastiCache allows no other name"):
        run_program({}, stack=stack)


@pytest.mark.parametrize("model", SUPPORTED_MODELS)
def test_every_supported_model_can_be_chosen(model: str) -> None:
    recorded = run_program({"model": model})
    assert recorded.inputs("docker-build:index:Image")["buildArgs"]["MODEL"] == model


def test_the_program_and_the_export_support_the_same_models() -> None:
    source = CONTEXT / "model_build" / "source.py"
    if not source.exists():
        pytest.skip("the export is not in this checkout")
    specification = importlib.util.spec_from_file_location("model_build_source", source)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert {"demo", *module.SUPPORTED_MODELS} == set(SUPPORTED_MODELS)
