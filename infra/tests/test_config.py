"""A wrong setting stops the preview with one sentence: the key, its value, and what would be right."""

from __future__ import annotations

import pulumi
import pytest

from infra.models import LARGEST_TOWER_MB, SUPPORTED_MODELS, needed_memory
from infra.tests.conftest import KEY
from infra.tests.exportable import described, exportable
from infra.tests.program import SECRETS, defaults, run_program
from model_build.sizes import LARGEST_TOWER_MB as EXPORTED_MB

pytestmark = pytest.mark.slow

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
    ({"imageUri": "mine:latest"}, "imageUri is 'mine:latest': it must be an image in ECR by its digest"),
    (
        {"canaryMinutes": 31},
        "canaryMinutes is 31: it must be between 0 and 30 (0 means none; the up waits for so long).",
    ),
    ({"canaryPercent": 0}, "canaryPercent is 0: it must be between 1 and 50 (in percent)."),
    ({"cache": "url"}, "cacheUrl is not an address: with cache url it must be like rediss://cache.example.org:6379."),
    ({"cache": "url", "cacheUrl": "http://host"}, "cacheUrl is not an address: with cache url it must be like"),
    ({"cache": "url", "cacheUrl": "redis://host:port"}, "cacheUrl is not an address: with cache url it must be like"),
    (
        {"cache": "url", "cacheUrl": "redis://:word@host"},
        "cacheUrl has a user or a password in it: they must be in cacheUser and cachePassword.",
    ),
    ({"cacheUrl": "redis://host"}, "cache is 'serverless': it must be url when cacheUrl is set, or that is ignored."),
    ({"cache": "none", "cacheCluster": True}, "cache is 'none': it must be url when cacheCluster is set"),
    (
        {"cache": "url", "cacheUrl": "redis://host", "cacheUser": "me"},
        "cacheUser is 'me': it must go with a password, in cachePassword or cachePasswordArn.",
    ),
    (
        {"cache": "url", "cacheUrl": "redis://host", "cachePasswordArn": "mine"},
        "cachePasswordArn is 'mine': it must be the whole ARN of a secret in Secrets Manager,",
    ),
    ({"secretsEndpoint": True}, "secretsEndpoint is true: it must be false but where subnetIds are set and the store"),
    ({"networkCidr": "10.0.0.0/8"}, "networkCidr is '10.0.0.0/8': it must be a block of private addresses from /16"),
    ({"networkCidr": "10.0.0.1/16"}, "networkCidr is '10.0.0.1/16': it must be a block of private addresses"),
    ({"networkCidr": "8.8.0.0/16"}, "networkCidr is '8.8.0.0/16': it must be a block of private addresses"),
    ({"networkCidr": "mine"}, "networkCidr is 'mine': it must be a block of private addresses"),
    ({"subnetIds": ["a", "b"]}, "subnetIds has 'a': it must be an id like subnet-0123456789abcdef0."),
    (
        {"subnetIds": ["subnet-01234567", "subnet-89abcdef"]},
        "subnetIds is ['subnet-01234567', 'subnet-89abcdef'] and securityGroupIds is []: they go together",
    ),
    (
        {"subnetIds": ["subnet-01234567"], "securityGroupIds": ["sg-01234567"]},
        "subnetIds is ['subnet-01234567']: with cache serverless it must be 2 to 3 different subnets",
    ),
    (
        {
            "subnetIds": ["subnet-01234567", "subnet-89abcdef"],
            "securityGroupIds": ["sg-01234567"],
            "zoneIds": ["euc1-az1", "euc1-az2"],
        },
        "zoneIds is ['euc1-az1', 'euc1-az2']: it must be empty with subnetIds, whose zones are taken.",
    ),
    (
        {
            "subnetIds": ["subnet-01234567", "subnet-89abcdef"],
            "securityGroupIds": ["sg-01234567"],
            "networkCidr": "10.1.0.0/16",
        },
        "networkCidr is '10.1.0.0/16': it must be left out with subnetIds, as no network is made.",
    ),
    ({"auth": "token"}, "authTokens is {}: with auth token it must have one token at least, set with `pulumi config"),
    ({"jwtScopes": {"*": ["use"]}}, "auth is 'iam': it must be jwt when jwtScopes is set, or they are ignored."),
    (
        {**JWT, "jwtScopes": {"GET /nothing": ["use"]}},
        "jwtScopes has 'GET /nothing': it must be * or one of POST /classify",
    ),
    (
        {**JWT, "jwtScopes": {"*": "use"}},
        "jwtScopes has 'use' for '*': it must be a list of scopes, such as [moderate].",
    ),
    (
        {"hostedZoneId": "Z0123456789"},
        "hostedZoneId is 'Z0123456789': it must go with domainName, which it is to point at.",
    ),
    ({"hostedZoneId": "example.org"}, "hostedZoneId is 'example.org': it must be the id of a Route 53 zone"),
    ({"defaultEndpoint": False}, "defaultEndpoint is false: it must be true without domainName"),
    ({"permissionsBoundary": "mine"}, "permissionsBoundary is 'mine': it must be the ARN of an IAM policy."),
    ({"iamPath": "teams"}, "iamPath is 'teams': it must be a path that begins and ends with a slash"),
    ({"iamPath": ""}, "iamPath is '': it must be a path that begins and ends with a slash"),
    (
        {"kmsKeyArn": "arn:aws:kms:eu-central-1:111122223333:alias/mine"},
        "kmsKeyArn is 'arn:aws:kms:eu-central-1:111122223333:alias/mine': it must be the ARN of a KMS key",
    ),
    ({"alarmBlockShare": {"mine": [1, 2]}}, "alarmBlockShare has 'mine': it must be the name of a file in "),
    (
        {"alarmBlockShare": {"moderation": [10, 1]}},
        "alarmBlockShare has [10, 1] for 'moderation': it must be two percentages, as [1, 10].",
    ),
]

CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/1"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:a-AbCdEf"
IMAGE = f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/clip@sha256:{'1' * 64}"
WRONG += [
    ({"torchIndex": ""}, "torchIndex is '': it must be the URL of a package index, or none for PyPI."),
    ({"rewarmSchedule": "rate(1 days)"}, "rewarmSchedule is 'rate(1 days)': it must be like rate(7 days) or cron("),
    ({"rewarmSchedule": "rate(2 day)"}, "rewarmSchedule is 'rate(2 day)': it must be like rate(7 days) or cron("),
    (
        {"domainName": "https://clip.example.org/", "certificateArn": CERTIFICATE},
        "domainName is 'https://clip.example.org/': it must be a name like clip.example.org, in lower case.",
    ),
    (
        {"domainName": "Clip.example.org", "certificateArn": CERTIFICATE},
        "domainName is 'Clip.example.org': it must be a name like clip.example.org, in lower case.",
    ),
    ({**JWT, "jwtIssuer": "https://"}, "jwtIssuer is 'https://': with auth jwt it must be the https:// URL"),
    (
        {"cache": "url", "cacheUrl": "redis://h/3", "cacheCluster": True},
        "cacheUrl is 'redis://h/3': it must name no database, as a cluster has the one, 0.",
    ),
    (
        {"cache": "url", "cacheUrl": "redis://h", "cachePasswordArn": SECRET.removesuffix("-AbCdEf")},
        "it must be the whole ARN of a secret in Secrets Manager, with the six characters at its end.",
    ),
    (
        {
            "cache": "url",
            "cacheUrl": "redis://h",
            "cachePasswordArn": SECRET.replace("eu-central-1", "us-east-1"),
            "secretsEndpoint": True,
            "subnetIds": ["subnet-01234567"],
            "securityGroupIds": ["sg-01234567"],
        },
        "cachePasswordArn is 'arn:aws:secretsmanager:us-east-1:111122223333:secret:a-AbCdEf': it must be in "
        "eu-central-1, the stack's region, with secretsEndpoint.",
    ),
    (
        {"zoneIds": ["use1-az1", "use1-az2"]},
        "zoneIds has 'use1-az1': it must be one of eu-central-1, the stack's region, as euc1-az1 is.",
    ),
    ({"canaryMinutes": 4}, "canaryMinutes is 4: it must be 0 or from 5 to 30, as errors are counted by the minute"),
    ({"canaryPercent": 20}, "canaryPercent is 20: canaryMinutes must be set, or it is ignored."),
    (
        {"canaryMinutes": 5, "provisionedConcurrency": 1},
        "canaryMinutes is 5 and provisionedConcurrency is 1: one must be 0, as Lambda moves an alias",
    ),
    (
        {"imageUri": IMAGE, "jobs": True, "jobBuckets": ["pictures"], "videos": True},
        "videosImageUri is '': with imageUri and videos it must be the worker's image",
    ),
    ({"bucketKeyArns": [KEY]}, "readBuckets, jobBuckets or streamBuckets must name what they encrypt"),
    (
        {"readBuckets": ["pictures"], "bucketKeyArns": ["mine"]},
        "bucketKeyArns has 'mine': it must be the ARN of a KMS key, ending in key/ and its id, not an alias.",
    ),
    ({"videosImageUri": IMAGE}, "it must go with videos and imageUri, or it is ignored."),
    (
        {"imageUri": IMAGE, "videosImageUri": "mine:latest", "jobs": True, "jobBuckets": ["pictures"], "videos": True},
        "videosImageUri is 'mine:latest': it must be an image in ECR by its digest",
    ),
    (
        {
            "model": "ViT-L-14-quickgelu",
            "memory": 3008,
            "jobs": True,
            "jobBuckets": ["pictures"],
            "jobMemory": 512,
        },
        "jobMemory is 512: with ViT-L-14-quickgelu it must be at least 2569, in MB.",
    ),
    (
        {
            "subnetIds": ["subnet-01234567", "subnet-89abcdef"],
            "securityGroupIds": [f"sg-0123456{number}" for number in range(5)],
        },
        "it must be four different groups at most",
    ),
]

ELSEWHERE = {
    "certificateArn": CERTIFICATE,
    "imageUri": IMAGE,
    "kmsKeyArn": KEY,
    "alarmTopicArn": "arn:aws:sns:eu-central-1:111122223333:ours",
}
for _key, _value in ELSEWHERE.items():
    _elsewhere = _value.replace("eu-central-1", "us-east-1")
    _domain = {"domainName": "clip.example.org", "certificateArn": CERTIFICATE}
    WRONG.append(
        ({**_domain, _key: _elsewhere}, f"{_key} is {_elsewhere!r}: it must be in eu-central-1, the stack's region.")
    )

TOKEN = "0123456789abcdef" * 2
OWN = {"cache": "url", "cacheUrl": "redis://host"}

# What is not told: a secret's value.
WRONG_SECRETS: list[tuple[dict[str, object], bool, str]] = [
    (
        {"auth": "token", "authTokens": {"a": TOKEN}},
        False,
        "authTokens is not encrypted in the stack's file: each token must be set with `pulumi config set --secret",
    ),
    ({"auth": "token", "authTokens": {"a": "short"}}, True, "authTokens.a cannot be a token: it must be of 32 to 256"),
    ({"auth": "token", "authTokens": {"a": f"{TOKEN}/+"}}, True, "authTokens.a cannot be a token"),
    ({"auth": "token", "authTokens": {"a": [TOKEN]}}, True, "authTokens.a cannot be a token"),
    ({"auth": "token", "authTokens": {"a b": TOKEN}}, True, "authTokens has the name 'a b': it must be of letters"),
    (
        {"auth": "token", "authTokens": {"a": TOKEN, "b": TOKEN}},
        True,
        "authTokens has one token under two names: each name must have one of its own.",
    ),
    (
        {"auth": "token", "authTokens": {f"t{number}": f"{TOKEN}{number}" for number in range(21)}},
        True,
        "authTokens has 21 tokens: it must have 20 at most.",
    ),
    (
        {"authTokens": {"a": TOKEN}},
        True,
        "auth is 'iam': it must be token when authTokens is set, or they are ignored.",
    ),
    (
        {**OWN, "cachePassword": TOKEN},
        False,
        "cachePassword is not encrypted in the stack's file: it must be set with `pulumi config set --secret",
    ),
    (
        {
            **OWN,
            "cachePassword": TOKEN,
            "cachePasswordArn": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:a-AbCdEf",
        },
        True,
        "cachePassword and cachePasswordArn are both set: one must be left out.",
    ),
    ({"cachePassword": TOKEN}, True, "cache is 'serverless': it must be url when cachePassword is set"),
]


@pytest.mark.parametrize(("settings", "sentence"), WRONG, ids=[sentence[:50] for _, sentence in WRONG])
def test_a_wrong_setting_is_named_with_what_would_be_right(settings: dict[str, object], sentence: str) -> None:
    """`RunError` is what Pulumi shows without a stack trace."""
    with pytest.raises(pulumi.RunError) as error:
        run_program(settings)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "encrypted", "sentence"), WRONG_SECRETS, ids=[sentence[:50] for *_, sentence in WRONG_SECRETS]
)
def test_a_wrong_secret_is_named_and_not_told(settings: dict[str, object], encrypted: bool, sentence: str) -> None:
    with pytest.raises(pulumi.RunError) as error:
        run_program(settings, secrets=SECRETS if encrypted else ())
    assert sentence in str(error.value)
    assert not [word for word in (TOKEN, "short") if word in str(error.value)]


def test_an_address_with_a_password_in_it_is_not_told() -> None:
    with pytest.raises(pulumi.RunError) as error:
        run_program({"cache": "url", "cacheUrl": "redis://user:word@host:no-port"})
    assert "word" not in str(error.value).replace("password", "")


@pytest.mark.parametrize(
    "schedule", ["rate(1 day)", "rate(7 days)", "rate(12 hours)", "cron(0 6 * * ? *)", "cron(15 10 ? * 6L 2022-2023)"]
)
def test_a_schedule_as_aws_writes_it_is_taken(schedule: str) -> None:
    stack = run_program({"rewarmSchedule": schedule})
    assert stack.inputs("aws:scheduler/schedule:Schedule", "clip-rewarm")["scheduleExpression"] == schedule


def test_another_image_may_hold_any_model() -> None:
    """Which one is not known here, nor what memory it needs."""
    image = f"111122223333.dkr.ecr.eu-central-1.amazonaws.com/clip@sha256:{'1' * 64}"
    assert run_program({"imageUri": image, "model": "theirs", "memory": 512}).exports["imageDigest"] == image[-71:]


def test_an_image_with_ffmpeg_comes_from_elsewhere_too() -> None:
    """Built from this checkout, it might hold another model than the one that the API answers by."""
    of_worker = IMAGE.replace("1" * 64, "2" * 64)
    settings = {"imageUri": IMAGE, "videosImageUri": of_worker, "jobs": True, "jobBuckets": ["pictures"]}
    stack = run_program({**settings, "videos": True, "model": "theirs"})
    function = "aws:lambda/function:Function"
    assert [stack.inputs(function, name)["imageUri"] for name in ("clip", "clip-jobs")] == [IMAGE, of_worker]
    assert not [one.key for one in stack.resources if one.type.startswith(("docker-build:", "aws:ecr/"))]
    assert stack.exports["videosImageDigest"] == f"sha256:{'2' * 64}"


def test_a_stacks_name_leaves_room_for_the_workers() -> None:
    jobs = {"cache": "none", "jobs": True, "jobBuckets": ["pictures"]}
    with pytest.raises(pulumi.RunError, match="with jobs it must have 59 characters at most"):
        run_program(jobs, stack="a" * 39)
    run_program(jobs, stack="a" * 38)


def test_a_stacks_name_leaves_room_for_the_authorizers() -> None:
    tokens = {"cache": "none", "auth": "token", "authTokens": {"a": TOKEN}}
    with pytest.raises(pulumi.RunError, match="with auth token it must have 53 characters at most"):
        run_program(tokens, stack="a" * 33)
    run_program(tokens, stack="a" * 32)


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
    too_large = [
        name for name, model in SUPPORTED_MODELS.items() if max(model.image_mb, model.text_mb) > LARGEST_TOWER_MB
    ]
    assert len(too_large) == 16
    assert LARGEST_TOWER_MB == EXPORTED_MB  # the export refuses the same
    for name in too_large:
        with pytest.raises(pulumi.RunError, match=f"model is '{name}': its (image|text) tower has"):
            run_program({"model": name, "pretrained": "none", "memory": 10240})


def test_every_other_model_fits_the_largest_lambda_and_the_default_one_the_default() -> None:
    fitting = [model for model in SUPPORTED_MODELS.values() if max(model.image_mb, model.text_mb) <= LARGEST_TOWER_MB]
    assert max(needed_memory(model, precision="auto") for model in fitting) <= 10240
    default = SUPPORTED_MODELS[str(defaults()["model"])]
    assert needed_memory(default, precision="auto") <= int(str(defaults()["memory"]))
    assert needed_memory(default, precision="int8") < needed_memory(default, precision="auto")


def test_the_default_model_is_one_that_the_export_takes() -> None:
    assert str(defaults()["pretrained"]) in SUPPORTED_MODELS[str(defaults()["model"])].weights
