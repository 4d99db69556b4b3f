"""Jobs on S3: off by default; the worker, its results, its state machine and its stream, with rights to the letter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.config import ROOT
from infra.job_states import job_states
from infra.tests.aws_calls import CALLS, MADE_OTHERWISE
from infra.tests.aws_models import faults
from infra.tests.conftest import JOBS, KEY, READ_BUCKETS, STREAM, TOKENS, WITH_JOBS
from infra.tests.program import Recorded, run_program

pytestmark = pytest.mark.slow

QUEUE, FUNCTION = "aws:sqs/queue:Queue", "aws:lambda/function:Function"
STATES, MACHINE = "arn:aws:states:eu-central-1:111122223333", "clip-video-moderator-dev-jobs"
RESULTS = "arn:aws:s3:eu-central-1:111122223333:Bucket/clip-jobs-results"


def rights(stack: Recorded, role: str) -> list[dict[str, Any]]:
    """What a role may do: the statements of the policies whose role it is, of which there is no other kind."""
    attached = stack.all("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert not [one.name for one in attached if one.inputs["role"] == f"{role}-name"]
    policies = [
        json.loads(policy.inputs["policy"])
        for policy in stack.all("aws:iam/rolePolicy:RolePolicy")
        if policy.inputs["role"] == f"{role}-name"
    ]
    return [statement for policy in policies for statement in policy["Statement"]]


def by_actions(statements: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Each action, or several that are always together, with all that it is allowed on, whatever the circumstances."""
    found: dict[str, list[str]] = {}
    for one in statements:
        assert one.keys() - {"Sid"} == {"Effect", "Action", "Resource"}
        assert one["Effect"] == "Allow"
        on = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
        found[" ".join(one["Action"])] = sorted([*found.get(" ".join(one["Action"]), []), *on])
    return found


@pytest.mark.parametrize("name", list(WITH_JOBS))
def test_every_resource_is_one_that_aws_allows(name: str, run: Callable[[str], Recorded]) -> None:
    found = [
        f"{resource.key}: {fault}"
        for resource in run(name).resources
        if resource.type not in MADE_OTHERWISE
        for call in [CALLS[resource.type]]
        for fault in faults(call.service, call.operation, call.made_of(resource.name, resource.inputs))
    ]
    assert found == []


@pytest.mark.parametrize("name", list(WITH_JOBS))
def test_deploying_twice_asks_for_the_same(name: str, run: Callable[[str], Recorded]) -> None:
    again = run_program(WITH_JOBS[name])
    assert {one.key: one.inputs for one in again.resources} == {one.key: one.inputs for one in run(name).resources}


def test_nothing_of_it_is_there_by_default(defaults: Recorded) -> None:
    kinds = {resource.type.split("/")[0] for resource in defaults.resources}
    assert not kinds & {"aws:sfn", "aws:sqs", "aws:s3"}


def test_the_worker_is_outside_the_network_with_the_services_image(run: Callable[[str], Recorded]) -> None:
    stack = run("jobs")
    worker, service = stack.inputs(FUNCTION, "clip-jobs"), stack.inputs(FUNCTION, "clip")
    assert worker["imageUri"] == service["imageUri"]
    assert worker["imageConfig"] == {"commands": ["moderator.jobs.worker.handler"]}
    assert "vpcConfig" in service
    assert "vpcConfig" not in worker
    assert worker["architectures"] == ["arm64"]
    variables = worker["environment"]["variables"]
    assert not [name for name in variables if name.startswith("CACHE_URL")]
    assert variables["JOBS_POLICY"] == "moderation"


def test_the_worker_leaves_no_versions_that_nobody_deletes(run: Callable[[str], Recorded]) -> None:
    published = {one.name: one.inputs["publish"] for one in run("jobs").all(FUNCTION)}
    assert published == {"clip": True, "clip-jobs": False}


def test_no_part_of_aws_is_written_out() -> None:
    """Elsewhere, as in China, every ARN begins otherwise."""
    states = job_states(
        function_arn="f", results_bucket="b", batch=1, concurrency=1, tolerated=0, standard=True, partition="aws-cn"
    )
    found = set(re.findall(r'"Resource": "(arn:[^:]*|[^"]*)', json.dumps(states)))
    assert found == {"arn:aws-cn"}
    for path in (ROOT / "infra").glob("*.py"):
        assert not re.search(r'"arn:aws:', path.read_text(encoding="utf-8")), path.name


def test_with_videos_the_worker_alone_has_ffmpeg(run: Callable[[str], Recorded]) -> None:
    stack = run("jobs and a stream")
    targets = {image.name: image.inputs.get("target") for image in stack.all("docker-build:index:Image")}
    assert targets == {"clip": None, "clip-jobs": "worker-videos"}


def test_the_workers_rights_are_these(run: Callable[[str], Recorded]) -> None:
    assert by_actions(rights(run("jobs and a stream"), "clip-jobs")) == {
        "s3:GetObject s3:PutObject s3:DeleteObject": [f"{RESULTS}/jobs/*", f"{RESULTS}/verdicts/*"],
        "s3:ListBucket": ["arn:aws:s3:::pictures", "arn:aws:s3:::uploads", RESULTS],
        "events:PutEvents": ["arn:aws:cloudwatch:eu-central-1:111122223333:EventBus/clip-jobs"],
        "s3:GetObject s3:GetObjectVersion": ["arn:aws:s3:::pictures/*", "arn:aws:s3:::uploads/*"],
        "s3:GetObjectTagging s3:GetObjectVersionTagging s3:PutObjectTagging s3:PutObjectVersionTagging": [
            "arn:aws:s3:::uploads/*"
        ],
        "logs:CreateLogStream logs:PutLogEvents": ["arn:aws:cloudwatch:eu-central-1:111122223333:LogGroup/clip-jobs:*"],
        "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes": [
            "arn:aws:sqs:eu-central-1:111122223333:Queue/clip-jobs"
        ],
    }


def test_the_state_machines_rights_are_these(run: Callable[[str], Recorded]) -> None:
    # AWS' own: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy
    log_delivery = (
        "logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery "
        "logs:ListLogDeliveries logs:PutResourcePolicy logs:DescribeResourcePolicies logs:DescribeLogGroups"
    )
    assert by_actions(rights(run("jobs"), "clip-jobs-states")) == {
        log_delivery: ["*"],  # it knows no narrower one
        "s3:GetObject": ["arn:aws:s3:::pictures/*", f"{RESULTS}/jobs/*/unjudged.jsonl"],
        "s3:ListBucket": ["arn:aws:s3:::pictures"],
        "s3:PutObject s3:GetObject s3:ListMultipartUploadParts s3:AbortMultipartUpload": [f"{RESULTS}/jobs/maps/*"],
        "lambda:InvokeFunction": ["arn:aws:lambda:eu-central-1:111122223333:function:clip-video-moderator-dev-jobs"],
        # AWS' own least ones: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
        "states:StartExecution": [f"{STATES}:stateMachine:{MACHINE}"],
        "states:DescribeExecution states:StopExecution": [f"{STATES}:execution:{MACHINE}:*"],
        # A batch's execution has the map's label in its ARN, before its name.
        "states:RedriveExecution": [
            f"{STATES}:execution:{MACHINE}/{label}:*"
            for label in ("EachOfCsv", "EachOfInventory", "EachOfJsonl", "EachOfPrefix")
        ],
    }


def test_each_role_is_taken_by_its_own_service_alone(run: Callable[[str], Recorded]) -> None:
    trusts = {one.name: json.loads(one.inputs["assumeRolePolicy"]) for one in run("jobs").all("aws:iam/role:Role")}
    for name, service in {"clip-jobs": "lambda.amazonaws.com", "clip-jobs-states": "states.amazonaws.com"}.items():
        trusted = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
        assert trusts[name]["Statement"] == [trusted]


def test_only_the_rule_may_put_uploads_into_the_queues(run: Callable[[str], Recorded]) -> None:
    """The dead letters' queue needs no right: SQS itself moves messages there."""
    policies = [
        json.loads(one.inputs["policy"]) for one in run("jobs and a stream").all("aws:sqs/queuePolicy:QueuePolicy")
    ]
    assert sorted((policy["Statement"] for policy in policies), key=json.dumps) == [
        [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": f"arn:aws:sqs:eu-central-1:111122223333:Queue/{queue}",
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": "arn:aws:cloudwatch:eu-central-1:111122223333:EventRule/clip-jobs"}
                },
            }
        ]
        for queue in ("clip-jobs", "clip-jobs-undelivered")
    ]


def test_every_map_has_the_label_that_redriving_is_allowed_for(run: Callable[[str], Recorded]) -> None:
    definition = json.loads(run("jobs").inputs("aws:sfn/stateMachine:StateMachine")["definition"])
    redriven = by_actions(rights(run("jobs"), "clip-jobs-states"))["states:RedriveExecution"]
    assert [arn.rpartition("/")[2].removesuffix(":*") for arn in redriven] == sorted(
        one["Label"] for one in maps(definition)
    )


def maps(definition: dict[str, Any]) -> list[dict[str, Any]]:
    return [state for state in definition["States"].values() if state["Type"] == "Map"]


def test_every_map_is_distributed_batched_bounded_and_tolerant(run: Callable[[str], Recorded]) -> None:
    definition = json.loads(run("jobs").inputs("aws:sfn/stateMachine:StateMachine")["definition"])
    found = maps(definition)
    assert found
    for one in found:
        assert one["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
        assert 0 < one["MaxConcurrency"] <= 100
        assert one["ItemBatcher"]["MaxItemsPerBatch"] == 100
        assert one["ItemBatcher"]["BatchInput"]
        assert one["ToleratedFailurePercentage"] >= 0
        assert "ResultWriter" in one
    readers = {one["ItemReader"]["Resource"].rpartition(":")[2] for one in found}
    assert readers == {"listObjectsV2", "getObject"}
    kinds = {one["ItemReader"].get("ReaderConfig", {}).get("InputType") for one in found}
    assert {"CSV", "JSONL", "MANIFEST"} <= kinds


def test_a_map_that_failed_can_be_redriven(run: Callable[[str], Recorded]) -> None:
    """So nothing catches its failure, not even to write a summary of what was done.

    Step Functions redrives a state that was not left, and a failure that is caught leaves its state: the redrive would
    then begin at what comes after, and a Fail state fails again.
    https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html#redrive-behavior-states
    """
    for name in WITH_JOBS:
        definition = json.loads(run(name).inputs("aws:sfn/stateMachine:StateMachine")["definition"])
        assert [state for state in definition["States"].values() if "Catch" in state] == []


def test_the_summary_is_told_which_kind_of_executions_is_paid_for(run: Callable[[str], Recorded]) -> None:
    """With videos a batch may take longer than an Express execution may, and Standard ones have other prices."""
    for name, kind in (("jobs", "EXPRESS"), ("jobs and a stream", "STANDARD")):
        definition = json.loads(run(name).inputs("aws:sfn/stateMachine:StateMachine")["definition"])
        kinds = {one["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] for one in maps(definition)}
        end = definition["States"]["Summary"]["Parameters"]["Payload"]["end"]
        assert (kinds, end["standard"]) == ({kind}, kind == "STANDARD")


def test_uploads_are_kept_until_they_are_judged(run: Callable[[str], Recorded]) -> None:
    stack = run("jobs and a stream")
    queue = stack.inputs(QUEUE, "clip-jobs")
    assert json.loads(queue["redrivePolicy"])["deadLetterTargetArn"].endswith("Queue/clip-jobs-dead")
    assert queue["visibilityTimeoutSeconds"] >= 6 * stack.inputs(FUNCTION, "clip-jobs")["timeout"]
    target = stack.inputs("aws:cloudwatch/eventTarget:EventTarget")
    assert target["deadLetterConfig"]["arn"].endswith("Queue/clip-jobs-undelivered")
    mapping = stack.inputs("aws:lambda/eventSourceMapping:EventSourceMapping")
    assert mapping["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["scalingConfig"]["maximumConcurrency"] >= 2
    assert "reservedConcurrentExecutions" not in stack.inputs(FUNCTION, "clip-jobs")


def test_dead_letters_outlive_the_queue_that_they_come_from(run: Callable[[str], Recorded]) -> None:
    """SQS counts a message's time from when it was first sent, not from when it was given up."""
    queues = {queue.name: queue.inputs["messageRetentionSeconds"] for queue in run("jobs and a stream").all(QUEUE)}
    waits, dead, undelivered = (queues[f"clip-jobs{what}"] for what in ("", "-dead", "-undelivered"))
    assert dead == undelivered == 14 * 24 * 3600, "as long as SQS keeps anything"
    # Whatever was in the queue for as long as it may be has ten days left for somebody to look.
    assert dead - waits == 10 * 24 * 3600


def test_a_buckets_notifications_are_touched_only_when_asked_for(run: Callable[[str], Recorded]) -> None:
    kind = "aws:s3/bucketNotification:BucketNotification"
    assert [one.inputs["bucket"] for one in run("jobs and a stream").all(kind)] == ["uploads"]
    assert run("jobs").all(kind) == []


def of_results(stack: Recorded, kind: str) -> dict[str, Any]:
    """What is asked for of the results bucket, and of no other."""
    (found,) = stack.all(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}")
    assert found.inputs["bucket"] == stack.exports["resultsBucket"]
    return found.inputs


@pytest.mark.parametrize("name", list(WITH_JOBS))
def test_the_results_are_private_versioned_and_reached_by_tls_only(name: str, run: Callable[[str], Recorded]) -> None:
    stack = run(name)
    block = of_results(stack, "BucketPublicAccessBlock")
    assert {key: value for key, value in block.items() if key != "bucket"} == dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
    )
    (only,) = json.loads(of_results(stack, "BucketPolicy")["policy"])["Statement"]
    assert (only["Effect"], only["Principal"], only["Action"]) == ("Deny", "*", "s3:*")
    assert only["Resource"] == [RESULTS, f"{RESULTS}/*"]
    assert only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert of_results(stack, "BucketVersioning")["versioningConfiguration"]["status"] == "Enabled"


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("jobs", {"sseAlgorithm": "AES256"}),
        ("platform with jobs", {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}),
    ],
)
def test_the_results_are_encrypted_with_the_stacks_key_or_s3s_own(
    name: str, by: dict[str, str], run: Callable[[str], Recorded]
) -> None:
    (rule,) = of_results(run(name), "BucketServerSideEncryptionConfiguration")["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == by
    assert rule["bucketKeyEnabled"] == ("kmsMasterKeyId" in by), "one call of KMS for many lines"


@pytest.mark.parametrize("days", [0, 90])
def test_results_are_kept_as_long_as_the_setting_says_and_what_was_overwritten_a_month(days: int) -> None:
    """0 is for ever."""
    lifecycle = of_results(run_program({**JOBS, "resultsDays": days}), "BucketLifecycleConfiguration")
    rules = {rule["id"]: rule for rule in lifecycle["rules"]}
    assert {(rule["status"], rule["filter"]["prefix"]) for rule in rules.values()} == {("Enabled", "")}
    overwritten = rules.pop("forget-what-was-overwritten")
    assert overwritten["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert overwritten["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert [rule["expiration"] for rule in rules.values()] == ([{"days": days}] if days else [])


def test_what_was_judged_stays_with_all_that_protects_it_when_the_stack_goes(run: Callable[[str], Recorded]) -> None:
    """S3 deletes no bucket that is not empty, and would by then have lost its policy."""
    stack = run("jobs and a stream")
    of_results = {one.key for one in stack.resources if one.name == "clip-jobs-results"}
    assert len(of_results) == 6
    assert {one.key for one in stack.resources if one.retained_on_delete and one.type.startswith("aws:")} == of_results


def test_trouble_of_the_stream_sets_off_an_alarm(run: Callable[[str], Recorded]) -> None:
    alarms = run("jobs and a stream").all("aws:cloudwatch/metricAlarm:MetricAlarm")
    watched = {
        (alarm.inputs.get("metricName"), alarm.inputs.get("dimensions", {}).get("QueueName")) for alarm in alarms
    }
    name = "clip-video-moderator-dev-jobs"
    assert ("ApproximateAgeOfOldestMessage", name) in watched
    assert {("ApproximateNumberOfMessagesVisible", f"{name}-{what}") for what in ("dead", "undelivered")} <= watched


@pytest.mark.parametrize("name", list(WITH_JOBS))
def test_an_error_of_the_longest_call_is_seen_although_it_is_counted_where_the_call_began(
    name: str, run: Callable[[str], Recorded]
) -> None:
    alarm = run(name).inputs("aws:cloudwatch/metricAlarm:MetricAlarm", "clip-worker-errors")
    looks_back = alarm["period"] * (alarm["evaluationPeriods"] - 1)  # the last period has only just begun
    minutes = 180  # until Lambda's metrics are there, and CloudWatch looks
    assert run(name).inputs(FUNCTION, "clip-jobs")["timeout"] + minutes <= looks_back
    assert alarm["datapointsToAlarm"] == 1


def test_a_try_that_the_time_did_not_suffice_for_goes_on_and_is_no_error(run: Callable[[str], Recorded]) -> None:
    """Lambda counts what a worker raises as an error, which sets off an alarm."""
    machine = run("jobs").inputs("aws:sfn/stateMachine:StateMachine", "clip-jobs")
    for state in json.loads(machine["definition"])["States"].values():
        if state["Type"] == "Map":
            states = state["ItemProcessor"]["States"]
            (again,) = states["IsItDone"]["Choices"]
            assert (again["Variable"], again["BooleanEquals"]) == ("$.BatchInput.before.counts.unfinished", True)
            assert again["Next"] == "Judge"
            assert states["Judge"]["ResultPath"] == "$.BatchInput.before", "the next try is told how far this one came"
            assert states.keys() == {"Judge", "IsItDone", "Done"}
            assert (states["Judge"]["Next"], states["IsItDone"]["Default"]) == ("IsItDone", "Done")
            assert states["Done"] == {"Type": "Succeed", "OutputPath": "$.BatchInput.before.counts"}
            assert sum(retry["MaxAttempts"] for retry in states["Judge"]["Retry"]) < 10


@pytest.mark.parametrize("name", list(WITH_JOBS))
def test_an_upload_that_comes_again_once_is_not_late(name: str, run: Callable[[str], Recorded]) -> None:
    """A message that failed once is a visibility time old before it is taken again, and that is no trouble yet."""
    for alarm in run(name).all("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if alarm.inputs.get("metricName") == "ApproximateAgeOfOldestMessage":
            hidden = run(name).inputs(QUEUE, "clip-jobs")["visibilityTimeoutSeconds"]
            assert hidden < alarm.inputs["threshold"] <= 2 * hidden


def test_the_stack_says_what_the_commands_at_a_desk_ask_for(run: Callable[[str], Recorded]) -> None:
    """`make job` and `make redrive` ask for two outputs, and for the rule's dead letters by the queue's name."""
    stack = run("jobs and a stream")
    assert stack.exports["jobsStateMachine"].endswith(f":stateMachine:{MACHINE}")
    assert "clip-jobs" in stack.exports["uploadsQueue"]
    names = {queue.inputs["name"].removeprefix(stack.inputs(QUEUE, "clip-jobs")["name"]) for queue in stack.all(QUEUE)}
    assert names == {"", "-dead", "-undelivered"}


# What the mock itself has in one part of AWS alone: keys and the like that settings name.
EVERYTHING_OF_JOBS = {**STREAM, **READ_BUCKETS, "auth": "token", "authTokens": TOKENS, "rewarmSchedule": "rate(7 days)"}


@pytest.mark.parametrize("partition", ["aws-cn", "aws-us-gov"])
def test_in_another_part_of_aws_every_arn_is_of_that_part(partition: str) -> None:
    """With nothing in the settings that names another, all that is asked for is of the part where the stack is."""
    stack = run_program(EVERYTHING_OF_JOBS, partition=partition)
    asked = "\n".join(json.dumps(resource.inputs) for resource in stack.resources)
    assert set(re.findall(r"arn:([\w-]+):", asked)) == {partition}
    found = by_actions(rights(stack, "clip-jobs"))
    assert found["s3:GetObject s3:GetObjectVersion"] == [
        f"arn:{partition}:s3:::pictures/*",
        f"arn:{partition}:s3:::uploads/*",
    ]
