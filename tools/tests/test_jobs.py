"""The commands about jobs say in a sentence what is wrong, and what they count is what there is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from moderator.jobs.parts import part_name
from moderator.jobs.sources import Source
from tools.jobs import costs
from tools.jobs.__main__ import main
from tools.jobs.access import Access
from tools.jobs.asked import Asked, read_asked
from tools.jobs.checks import check_objects
from tools.jobs.dead_letters import Queues, move_dead
from tools.jobs.desk import file_name
from tools.jobs.progress import Progress, Watch, count_verdicts
from tools.jobs.redrive import main as redrive
from tools.jobs.trouble import Trouble
from tools.jobs.words import duration, progress_line

MACHINE = "arn:aws:states:eu-west-1:111122223333:stateMachine:clip-jobs"
EXECUTION = MACHINE.replace("stateMachine", "execution") + ":job"


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nobody has signed in, and no Pulumi."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("PATH", str(tmp_path))


def pulumi(folder: Path, does: str) -> None:
    """A Pulumi that does no more than this."""
    program = folder / "pulumi"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)


def asked(**given: str) -> Asked:
    return read_asked(**{"policy": "demo", "bucket": "", "prefix": "", "inventory": "", "listed": "", **given})


def test_what_is_asked_is_what_the_state_machine_takes() -> None:
    assert asked(bucket="pictures", prefix="2026/").as_input() == {
        "source": "prefix",
        "policy": "demo",
        "bucket": "pictures",
        "prefix": "2026/",
    }
    assert asked(inventory="s3://lists/a/manifest.json").as_input() == {
        "source": "inventory",
        "policy": "demo",
        "listBucket": "lists",
        "listKey": "a/manifest.json",
    }
    assert asked(listed="s3://lists/a b.CSV", bucket="pictures").as_input() == {
        "source": "csv",
        "policy": "demo",
        "listBucket": "lists",
        "listKey": "a b.CSV",
        "bucket": "pictures",
    }
    assert asked(listed="s3://lists/a.ndjson").source == "jsonl"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "BUCKET= is needed"),
        ({"bucket": "pictures", "policy": ""}, "POLICY= is needed"),
        ({"bucket": "s3://pictures"}, "give it without s3://"),
        ({"inventory": "s3://b-b/manifest.json", "listed": "s3://b-b/l.csv"}, "both given"),
        ({"inventory": "s3://b-b/manifest.json", "bucket": "pictures"}, "an inventory names the bucket"),
        ({"listed": "s3://b-b/l.csv", "prefix": "x"}, "PREFIX= is given beside a list"),
        ({"listed": "l.csv"}, "it must look like s3://BUCKET/KEY"),
        ({"listed": "s3://b-b/l.txt"}, "it must be one of .csv, .jsonl, .ndjson"),
        ({"inventory": "s3://b-b/l.csv"}, "it must be the manifest.json"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(Trouble, match=sentence):
        asked(**given)


def test_without_credentials_it_says_so_and_an_arn_is_region_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bucket", "pictures", "--policy", "demo", "--state-machine", MACHINE]) == 2
    assert "There are no AWS credentials: sign in" in capsys.readouterr().err
    assert redrive(["--queue", "https://sqs.eu-west-1.amazonaws.com/111122223333/clip-jobs"]) == 2
    assert "There are no AWS credentials: sign in" in capsys.readouterr().err


@pytest.mark.parametrize("arn", ["clip-jobs", "arn:aws:sqs:eu-west-1:111122223333:clip-jobs"])
def test_what_is_no_state_machine_is_refused(arn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bucket", "pictures", "--policy", "demo", "--state-machine", arn]) == 2
    assert "it must look like arn:aws:states:REGION:ACCOUNT:stateMachine:NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("does", "sentence"),
    [
        (None, "Pulumi is not installed, so the stack cannot be asked: give STATE_MACHINE="),
        (
            "echo 'error: no stack selected' >&2; exit 255",
            "no stack here (error: no stack selected): give STATE_MACHINE=",
        ),
        ("""echo '{"url": "https://..."}'""", "The stack has no output jobsStateMachine: switch jobs on"),
    ],
)
def test_without_a_stack_it_says_what_to_give_instead(
    does: str | None, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if does:
        pulumi(tmp_path, does)
    assert main(["--bucket", "pictures", "--policy", "demo"]) == 2
    assert sentence in capsys.readouterr().err


def test_the_stack_says_which_state_machine_and_which_queue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That the credentials are missed next shows that both were found."""
    found = {"jobsStateMachine": MACHINE, "uploadsQueue": "https://sqs.eu-west-1.amazonaws.com/111122223333/clip-jobs"}
    pulumi(tmp_path, f"echo '{json.dumps(found)}'")
    assert main(["--bucket", "pictures", "--policy", "demo"]) == 2
    assert redrive([]) == 2
    assert capsys.readouterr().err.count("There are no AWS credentials") == 2


def client(service: str) -> tuple[Any, Stubber]:
    """A client that answers as it is told to, by AWS' own model of the service."""
    made = boto3.client(service, "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    return made, Stubber(made)


def test_a_bucket_that_only_the_jobs_role_may_read_is_no_reason_to_refuse() -> None:
    s3, stub = client("s3")
    stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
    with stub:
        assert "may not look into pictures, so nothing there was checked" in check_objects(asked(bucket="pictures"), s3)


def test_a_look_has_the_map_runs_counts_and_the_verdicts_of_the_batches_records() -> None:
    (s3, s3_stub), (states, states_stub) = client("s3"), client("stepfunctions")
    names = ["a.allow_90.block_10.json", "b.allow_100.eabc27.json", "c.none_0.json"]
    listed = {"Contents": [{"Key": f"jobs/job/batches/{name}"} for name in names], "KeyCount": 3}
    s3_stub.add_response("list_objects_v2", listed, {"Bucket": "results", "Prefix": "jobs/job/batches/"})
    add_look(states_stub, 200, first=True)
    with s3_stub, states_stub:
        progress = Watch(EXECUTION, states, s3, "results").look()
    assert progress.running
    assert (progress.done, progress.failed, progress.listed) == (200, 50, 1000)
    assert progress.verdicts == {"allow": 190, "block": 10}


def test_who_may_not_list_the_results_sees_the_counts_of_objects_nevertheless() -> None:
    """And is refused once, not at every look."""
    (s3, s3_stub), (states, states_stub) = client("s3"), client("stepfunctions")
    s3_stub.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
    add_look(states_stub, 100, first=True)
    add_look(states_stub, 250, first=False)
    watch = Watch(EXECUTION, states, s3, "results")
    with s3_stub, states_stub:
        watch.look()
        progress = watch.look()
    assert (progress.done, progress.failed, progress.listed, progress.verdicts) == (250, 50, 1000, {})
    assert progress.rate > 0
    assert progress.seconds_left == pytest.approx(700 / progress.rate)


def add_look(stub: Stubber, done: int, *, first: bool) -> None:
    """Answer one look at a job of 1000 objects, 50 of which ran out of time."""
    moment, run = datetime(2026, 11, 28, tzinfo=UTC), MACHINE.replace("stateMachine", "mapRun")
    common = {"executionArn": EXECUTION, "startDate": moment}
    stub.add_response("describe_execution", common | {"stateMachineArn": MACHINE, "status": "RUNNING"})
    if first:
        stub.add_response("list_map_runs", {"mapRuns": [common | {"mapRunArn": run, "stateMachineArn": MACHINE}]})
    zeros = dict.fromkeys(("pending", "running", "failed", "aborted", "resultsWritten"), 0)
    counts = zeros | {"total": 1000, "succeeded": done, "timedOut": 50}
    limits = {"maxConcurrency": 50, "toleratedFailurePercentage": 5.0, "toleratedFailureCount": 0}
    answer = common | limits | {"mapRunArn": run, "status": "RUNNING", "itemCounts": counts, "executionCounts": counts}
    stub.add_response("describe_map_run", answer)


def test_credentials_that_expire_on_the_way_end_the_watching_and_not_the_job(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (s3, _), (states, stub) = client("s3"), client("stepfunctions")
    moment = datetime(2026, 11, 28, tzinfo=UTC)
    definition = {"States": {"EachOfPrefix": {"ResultWriter": {"Parameters": {"Bucket": "results"}}}}}
    made = {
        "stateMachineArn": MACHINE,
        "name": "clip-jobs",
        "definition": json.dumps(definition),
        "creationDate": moment,
    }
    stub.add_response("describe_state_machine", made | {"roleArn": "arn:aws:iam::1:role/x", "type": "STANDARD"})
    stub.add_client_error("describe_execution", "ExpiredTokenException", "The security token has expired")

    class Stubbed(Access):
        def client(self, service: str, region: str = "") -> Any:
            assert region == "eu-west-1"
            return {"s3": s3, "stepfunctions": states}[service]

    with stub:
        assert main(["--execution", EXECUTION], Stubbed) == 2
    said = capsys.readouterr().err
    assert "The AWS credentials have expired: sign in again." in said
    assert f"Follow it: make job EXECUTION={EXECUTION}\n" in said


def test_a_move_that_sqs_gives_up_is_said() -> None:
    sqs, stub = client("sqs")
    url, arn = (
        "https://sqs.eu-west-1.amazonaws.com/1/clip-jobs-dead",
        "arn:aws:sqs:eu-west-1:111122223333:clip-jobs-dead",
    )
    stub.add_response("get_queue_attributes", {"Attributes": {"QueueArn": arn}})
    stub.add_response("start_message_move_task", {"TaskHandle": "t"}, {"SourceArn": arn})
    for status in ("RUNNING", "FAILED"):
        task = {"Status": status, "ApproximateNumberOfMessagesMoved": 7, "FailureReason": "AccessDenied"}
        stub.add_response("list_message_move_tasks", {"Results": [task]})
    told: list[int] = []
    with stub, pytest.raises(Trouble, match="SQS stopped moving after 7: AccessDenied"):
        move_dead(Queues(sqs=sqs, queue="", dead=url, undelivered=""), told.append, every=0)
    assert told == [7, 7]


def test_progress_says_what_is_done_how_fast_and_what_is_left() -> None:
    progress = Progress(
        status="RUNNING", listed=10_000, done=2_500, failed=100, rate=50.0, verdicts={"block": 3, "allow": 2_497}
    )
    assert progress_line(progress) == (
        "2,500 of 10,000 objects · 50 a second · 2 min 28 s left · allow 2,497, block 3 · "
        "100 without lines: their batches failed"
    )


def test_a_batch_that_came_twice_is_counted_once() -> None:
    names = ["a.allow_90.review_10.json", "b.none_0.json", "c.allow_1.block_2.json", "a.allow_91.review_9.json"]
    assert count_verdicts(iter(names)) == {"allow": 92, "review": 9, "block": 2}


def test_durations_have_the_unit_that_suits_them() -> None:
    assert [duration(seconds) for seconds in (0.25, 12, 61, 7_260)] == ["0.2 s", "12 s", "1 min 1 s", "2 h 1 min"]


def test_the_page_has_the_costs_that_the_command_writes() -> None:
    page = (Path(__file__).resolve().parents[2] / costs.PAGE).read_text("utf-8")
    assert costs.BEGIN + costs.tables() + costs.END in page


def test_results_have_names_that_a_file_system_takes() -> None:
    """A batch of 100 has a part whose name is longer, and a record that may be."""
    sources = [Source(bucket="b", key=f"{number}.jpg", size=1) for number in range(100)]
    key = f"verdicts/bucket=b/{part_name(sources)}"
    assert len(key.rpartition("/")[2]) > 255
    short = file_name(key)
    assert len(short.rpartition("/")[2].encode()) <= 255
    assert short.startswith(key[:60])
    assert short.endswith(".jsonl")
    assert file_name("jobs/j/summary.json") == "jobs/j/summary.json"
