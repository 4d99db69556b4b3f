"""A wrong setting stops the preview with one sentence: the key, its value, and what would be right."""

from __future__ import annotations

import pulumi
import pytest

from infra.models import SUPPORTED_MODELS, needed_memory
from infra.tests.exportable import described, exportable
from infra.tests.program import defaults, run_program

JWT = {"auth": "jwt", "jwtIssuer": "https://issuer.example.org", "jwtAudience": ["clip"]}

WRONG: list[tuple[dict[str, object], str]] = [
    ({"auth": "key"}, "auth is 'key': it must be one of iam, token, jwt, none."),
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
    ({"model": "ViT-L-14", "memory": 3008}, "; ViT-L-14-quickgelu has them."),
    (
        {"pretrained": "models/mine.pt"},
        "pretrained is 'models/mine.pt': with ViT-B-32-quickgelu it must be one of none,",
    ),
    (
        {"model": "ViT-H-14", "pretrained": "laion2b_s32b_b79k", "memory": 10240},
        "model is 'ViT-H-14': its image tower has 2.5 GB, and it must be one of at most 2.1 GB",
    ),
    (
        {"model": "ViT-L-14-quickgelu", "memory": 512},
        "memory is 512: with ViT-L-14-quickgelu it must be at least 2569, in MB.",
    ),
    ({"baseImage": ""}, "baseImage is '': it must be an image like public.ecr.aws/lambda/python:3.13."),
    ({"baseImage": "python 3.13"}, "baseImage is 'python 3.13': it must be an image like"),
    ({"precision": "fp8"}, "precision is 'fp8': it must be one of auto, fp32, int8."),
    ({"cache": "redis"}, "cache is 'redis': it must be one of serverless, url, none."),
    ({"cacheRetrySeconds": 0}, "cacheRetrySeconds is 0: it must be between 1 and 3,600"),
    ({"cacheTtlDays": 0}, "cacheTtlDays is 0: it must be between 1 and 3,650"),
    ({"zoneIds": ["euc1-az1"]}, "zoneIds is ['euc1-az1']: it must be two or three different zones, or empty."),
    ({"zoneIds": ["a", "a"]}, "zoneIds is ['a', 'a']: it must be two or three different zones"),
    ({"rewarmSchedule": "weekly"}, "rewarmSchedule is 'weekly': it must be like rate(7 days) or cron("),
    ({"rewarmSchedule": "rate(7)"}, "rewarmSchedule is 'rate(7)': it must be like rate(7 days) or cron("),
    ({"rewarmSchedule": "rate(0 days)"}, "rewarmSchedule is 'rate(0 days)': it must be like rate(7 days) or cron("),
    ({"rewarmSchedule": "cron(0 6)"}, "rewarmSchedule is 'cron(0 6)': it must be like rate(7 days) or cron("),
    (
        {"zoneIds": ["eu-central-1a", "eu-central-1b"]},
        "zoneIds has 'eu-central-1a': it must be a zone's id like euc1-az1, not its name.",
    ),
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


@pytest.mark.parametrize("stack", ["a-stack-with-a-name-that-is-far-too-long", "under_score", "double--hyphen"])
def test_without_a_store_elasticaches_limits_do_not_hold(stack: str) -> None:
    assert run_program({"cache": "none"}, stack=stack).exports["functionName"] == f"clip-video-moderator-{stack}"


@pytest.mark.parametrize("stack", ["with.a.dot", "a" * 44])
def test_a_stacks_name_that_lambda_refuses_is_refused_without_a_store(stack: str) -> None:
    with pytest.raises(pulumi.RunError, match="Lambda allows no other name"):
        run_program({"cache": "none"}, stack=stack)


@pytest.mark.parametrize("value", [{"memory": "much"}, {"snapStart": "perhaps"}])
def test_a_value_of_another_type_is_refused_even_where_pulumi_did_not_look(value: dict[str, object]) -> None:
    with pytest.raises(pulumi.RunError, match="is not a valid"):
        run_program(value)


@pytest.mark.parametrize(("model", "pretrained"), [("demo", "openai"), ("RN50", "none"), ("ViT-L-14", "dfn2b_s39b")])
def test_a_supported_model_can_be_chosen(model: str, pretrained: str) -> None:
    settings = {"model": model, "pretrained": pretrained, "memory": 3008}
    arguments = run_program(settings).inputs("docker-build:index:Image")["buildArgs"]
    assert (arguments["MODEL"], arguments["PRETRAINED"]) == (model, pretrained)


def test_the_program_takes_exactly_the_models_and_weights_that_the_export_takes() -> None:
    supported = {name: model.weights for name, model in SUPPORTED_MODELS.items()}
    assert exportable() == supported, "make supported-models writes infra/models.json again"


@pytest.mark.parametrize("name", ["ViT-B-32-quickgelu", "RN50", "ViT-bigG-14"])
def test_a_models_size_is_that_of_its_parameters(name: str) -> None:
    assert described(name, SUPPORTED_MODELS[name].weights) == SUPPORTED_MODELS[name]


def test_the_models_whose_towers_are_too_large_for_a_file_are_refused_by_name() -> None:
    too_large = [name for name, model in SUPPORTED_MODELS.items() if max(model.image_mb, model.text_mb) > 2147]
    assert len(too_large) == 16
    for name in too_large:
        with pytest.raises(pulumi.RunError, match=f"model is '{name}': its (image|text) tower has"):
            run_program({"model": name, "pretrained": "none", "memory": 10240})


def test_every_other_model_fits_the_largest_lambda_and_the_default_one_the_default() -> None:
    fitting = [model for model in SUPPORTED_MODELS.values() if max(model.image_mb, model.text_mb) <= 2147]
    assert max(needed_memory(model, precision="auto") for model in fitting) <= 10240
    default = SUPPORTED_MODELS[str(defaults()["model"])]
    assert needed_memory(default, precision="auto") <= int(str(defaults()["memory"]))
    assert needed_memory(default, precision="int8") < needed_memory(default, precision="auto")


def test_the_default_model_is_one_that_the_export_takes() -> None:
    assert str(defaults()["pretrained"]) in SUPPORTED_MODELS[str(defaults()["model"])].weights
