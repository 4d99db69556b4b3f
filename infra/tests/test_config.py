"""A wrong setting stops the preview with one sentence: the key, its value, and what would be right."""

from __future__ import annotations

import pulumi
import pytest

from infra.rules import SUPPORTED_MODELS
from infra.tests.exportable import exportable
from infra.tests.program import defaults, run_program

JWT = {"auth": "jwt", "jwtIssuer": "https://issuer.example.org", "jwtAudience": ["clip"]}

WRONG: list[tuple[dict[str, object], str]] = [
    ({"auth": "key"}, "auth is 'key': it must be one of iam, jwt, none."),
    ({**JWT, "jwtIssuer": ""}, "jwtIssuer is '': with auth jwt it must be the https:// URL of the issuer."),
    ({**JWT, "jwtIssuer": "http://x"}, "jwtIssuer is 'http://x': with auth jwt it must be the https:// URL"),
    ({**JWT, "jwtAudience": []}, "jwtAudience is []: with auth jwt it must name at least one audience."),
    ({**JWT, "auth": "iam"}, "auth is 'iam': it must be jwt when jwtIssuer or jwtAudience is set"),
    ({"memory": 10241}, "memory is 10241: it must be between 512 and 10,240 (Lambda's own limits, in MB)."),
    ({"memory": 128}, "memory is 128: it must be between 512 and 10,240"),
    ({"timeout": 30}, "timeout is 30: it must be between 1 and 29 (API Gateway gives up after 30 seconds)."),
    (
        {"snapStart": True, "provisionedConcurrency": 2},
        "snapStart is true and provisionedConcurrency is 2: Lambda allows one or the other, so one must be off.",
    ),
    (
        {"provisionedConcurrency": 9, "reservedConcurrency": 5},
        "provisionedConcurrency is 9: it must be at most reservedConcurrency, which is 5.",
    ),
    ({"labelSets": ["moderation", "weather"]}, "labelSets has 'weather': it must be the name of a file in "),
    (
        {"labelSets": ["moderation", "moderation"]},
        "labelSets is ['moderation', 'moderation']: it must name each label set once.",
    ),
    (
        {"model": "ViT-B-32-SigLIP2-256"},
        "model is 'ViT-B-32-SigLIP2-256': it must be demo or a name in infra/models.json; ViT-B-32-256 is near.",
    ),
    ({"model": "resnet"}, "model is 'resnet': it must be demo or a name in infra/models.json."),
    (
        {"model": "ViT-L-14"},
        "pretrained is 'openai': with ViT-L-14 it must be one of none, laion400m_e31, ",
    ),
    ({"model": "ViT-L-14"}, "; ViT-L-14-quickgelu has them."),
    (
        {"pretrained": "models/mine.pt"},
        "pretrained is 'models/mine.pt': with ViT-B-32-quickgelu it must be one of none,",
    ),
    ({"precision": "fp8"}, "precision is 'fp8': it must be one of auto, fp32, int8."),
    ({"cache": "redis"}, "cache is 'redis': it must be one of serverless, none."),
    ({"cacheTtlDays": 0}, "cacheTtlDays is 0: it must be between 1 and 3,650"),
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


@pytest.mark.parametrize(("model", "pretrained"), [("demo", "openai"), ("RN50", "none"), ("ViT-L-14", "dfn2b_s39b")])
def test_a_supported_model_can_be_chosen(model: str, pretrained: str) -> None:
    arguments = run_program({"model": model, "pretrained": pretrained}).inputs("docker-build:index:Image")["buildArgs"]
    assert (arguments["MODEL"], arguments["PRETRAINED"]) == (model, pretrained)


def test_the_program_takes_exactly_the_models_and_weights_that_the_export_takes() -> None:
    assert exportable() == SUPPORTED_MODELS, "make supported-models writes infra/models.json again"


def test_the_default_model_is_one_that_the_export_takes() -> None:
    assert str(defaults()["pretrained"]) in SUPPORTED_MODELS[str(defaults()["model"])]
