"""`make job` and `make redrive` on a local AWS that has what the Pulumi program makes, with the real worker."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from support.emulator import ROOT, deploy, recorded, running
from support.films import Studio
from tools.jobs.desk import judge_folder
from tools.tests.desk import heeds_ctrl_c
from tools.tests.emulated import FEW, KINDS, PICTURES, SETTINGS, Stack, event, execution_in, summary_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("aws")) as emulator:
        found = Stack(emulator=emulator, names=deploy(emulator, recorded(SETTINGS)))
        for key, data in {**PICTURES, **FEW}.items():
            found.put(key, data)
        found.put("in/notes.txt", b"no picture")
        yield found


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_job_over_a_prefix_shows_its_progress_and_ends_with_the_summary(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.redirect_stderr(Terminal()) as screen:
        assert stack.job("--bucket", "pictures", "--prefix", "in/") == 0
    summary = summary_of(stack, execution_in(screen.getvalue()))
    assert stack.judged("in/") == Counter([*PICTURES, "in/notes.txt"])
    verdicts = ", ".join(f"{name} {summary['verdicts'][name]}" for name in ("allow", "review", "block"))
    assert sum(summary["verdicts"].values()) == 121

    # 1. Progress: what is done grows, with the rate, the time left, and the verdicts as often as they are listed.
    looks = screen.getvalue().split("\r")
    done = [int(number) for look in looks for number in re.findall(r"(\d+) of 121 objects", look)]
    assert done == sorted(done)
    assert done[-1] == 121
    assert any(0 < number < 121 for number in done)
    pattern = r"\d+ of 121 objects · \d+ a second · [\d.]+ s left( · (allow|review|block) \d+.*)?"
    assert any(re.fullmatch(pattern, look.removeprefix("\x1b[K")) for look in looks), looks
    assert looks[-1].strip().endswith(verdicts)

    # 2. The summary.
    said = capsys.readouterr().out
    assert "121 objects" in said
    assert "in 13 batches" in said
    assert f"verdicts     {verdicts}\n" in said
    assert "not judged   unknown-picture 1\n" in said
    assert f"cost         ${summary['dollars']:.4f} " in said
    assert f"s3://results/jobs/{summary['job']}/summary.json" in said


def test_a_job_that_is_left_alone_goes_on_and_says_how_to_follow_it(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in a real terminal's way: the signal, in the middle."""
    for number in range(60):
        stack.put(f"left/{number}.png", KINDS[number % 3])
    command = [sys.executable, "-m", "tools.jobs", "--endpoint", stack.emulator.url, "--policy", "demo"]
    with (
        stack.held(),
        subprocess.Popen(
            [*command, "--bucket", "pictures", "--prefix", "left/", "--every", "0.05"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "lambda_src"},
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heeds_ctrl_c,
        ) as left,
    ):
        assert left.stderr
        said = [left.stderr.readline(), left.stderr.readline()]  # it was started, and looked at
        left.send_signal(signal.SIGINT)
        said += left.stderr.readlines()
    assert left.returncode == 130
    execution = execution_in("".join(said))
    assert f"make job EXECUTION={execution} ENDPOINT={stack.emulator.url}" in "".join(said)
    assert stack.job("--execution", execution) == 0
    assert "60 objects" in capsys.readouterr().out
    assert stack.judged("left/").total() == 60


def test_a_job_is_slowed_down_stopped_and_goes_on(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(60):
        stack.put(f"stopped/{number}.png", KINDS[number % 3])
    states = stack.emulator.client("stepfunctions")
    with stack.held():
        assert stack.job("--bucket", "pictures", "--prefix", "stopped/", "--detach") == 0
        execution = execution_in(capsys.readouterr().out)
        while not (runs := states.list_map_runs(executionArn=execution)["mapRuns"]):
            time.sleep(0.02)
        assert stack.job("--execution", execution, "--concurrency", "1", "--detach") == 0
        assert states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["maxConcurrency"] == 1
        assert stack.job("--stop", execution) == 0
        assert stack.job("--execution", execution) == 1
    said = capsys.readouterr().out
    assert "The job is aborted." in said
    assert f"make job REDRIVE={execution}" in said
    assert stack.job("--redrive", execution) == 0
    assert "60 objects" in capsys.readouterr().out
    assert stack.judged("stopped/").total() == 60


def csv_list() -> bytes:
    return ("key\n" + "".join(f'"{key}"\n' for key in FEW)).encode()


def jsonl_list() -> bytes:
    return "".join(json.dumps({"bucket": "pictures", "key": key}) + "\n" for key in FEW).encode()


@pytest.mark.parametrize(
    ("name", "data", "more"),
    [("list.csv", csv_list(), ["--bucket", "pictures"]), ("list.jsonl", jsonl_list(), [])],
    ids=["csv, and the bucket beside it", "jsonl"],
)
def test_a_job_over_a_list_judges_what_it_names(
    stack: Stack, capsys: pytest.CaptureFixture[str], name: str, data: bytes, more: list[str]
) -> None:
    stack.put(f"lists/{name}", data)
    assert stack.job("--list", f"s3://pictures/lists/{name}", *more) == 0
    assert "6 objects" in capsys.readouterr().out
    assert stack.judged("few/") == Counter(FEW.keys())


def test_a_job_over_an_inventory_judges_what_it_names(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f'"pictures","{quote_plus(key, safe="/")}"\n' for key in FEW)
    stack.put("inventory/data/1.csv.gz", gzip.compress(rows.encode()))
    manifest = {
        "sourceBucket": "pictures",
        "destinationBucket": "arn:aws:s3:::pictures",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key",
        "files": [{"key": "inventory/data/1.csv.gz", "size": 1, "MD5checksum": ""}],
    }
    stack.put("inventory/manifest.json", json.dumps(manifest).encode())
    assert stack.job("--inventory", "s3://pictures/inventory/manifest.json") == 0
    assert "6 objects" in capsys.readouterr().out
    assert stack.judged("few/") == Counter(FEW.keys())


def test_a_job_whose_batches_fail_says_what_they_said(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--bucket", "pictures", "--prefix", "few/", "--policy", "of another tree"]
    assert stack.job(*arguments, "--any-policy") == 1
    said = capsys.readouterr().out
    assert "The job is failed. States.ExceedToleratedFailureThreshold" in said
    assert "1 of the batches: There is no policy 'of another tree': it must be one of demo, " in said
    assert "0 of 6 objects are in batches that were judged" in said


def test_an_item_that_names_no_object_is_counted_and_costs_no_other(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [*list(PICTURES)[:19], ""]
    stack.put("lists/one.csv", ("key\n" + "".join(f'"{key}"\n' for key in keys)).encode())
    assert stack.job("--list", "s3://pictures/lists/one.csv", "--bucket", "pictures") == 0
    said = capsys.readouterr().out
    assert "19 objects" in said
    assert "not judged   nameless-item 1\n" in said


def test_objects_whose_batch_failed_are_not_passed_over_in_silence(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the batches may fail here: one of two does, for none of its lines has a key."""
    keys = [*list(PICTURES)[:10], *[""] * 10]
    stack.put("lists/half.csv", ("key\n" + "".join(f'"{key}"\n' for key in keys)).encode())
    assert stack.job("--list", "s3://pictures/lists/half.csv", "--bucket", "pictures") == 1
    said = capsys.readouterr()
    assert "10 objects (0.0 MB) in 1 batch, " in said.out
    assert "not judged   batch-failed 10\n" in said.out
    assert "1 of the batches: An item of the list names no object" in said.out
    unjudged = summary_of(stack, execution_in(said.err))["unjudged"]
    assert (unjudged["objects"], unjudged["batches"], unjudged["list"]) == (10, 1, None)


def test_a_batch_of_long_keys_leaves_room_for_what_its_task_is_called_with(stack: Stack) -> None:
    """That a job with no such room fails shows that this one could: the local AWS holds data to 256 KiB, too."""
    for number in range(240):
        stack.put(f"long/{number:04}{'k' * 1015}", KINDS[0])
    states = stack.emulator.client("stepfunctions")
    made = json.loads(states.describe_state_machine(stateMachineArn=stack.names["states"])["definition"])

    def end_of(name: str, batcher: dict[str, int]) -> dict[str, Any]:
        each = made["States"]["EachOfPrefix"] | {"ToleratedFailurePercentage": 0}
        each["ItemBatcher"] |= {"MaxItemsPerBatch": 500, **batcher}
        each["ItemBatcher"]["BatchInput"] |= {"names": "as long as they may be" * 50}
        definition = json.dumps(made | {"States": made["States"] | {"EachOfPrefix": each}})
        arn = states.create_state_machine(name=name, definition=definition, roleArn="arn:aws:iam::1:role/any")
        asked = {"source": "prefix", "bucket": "pictures", "prefix": "long/", "policy": "demo"}
        job = states.start_execution(stateMachineArn=arn["stateMachineArn"], input=json.dumps(asked))["executionArn"]
        while (found := states.describe_execution(executionArn=job))["status"] == "RUNNING":
            time.sleep(0.1)
        return dict(found)

    found = end_of("long-keys", {})
    assert found["status"] == "SUCCEEDED"
    summary = json.loads(found["output"])
    assert (summary["objects"], summary["batches"]) == (240, 2)
    assert end_of("no-room", {"MaxInputBytesPerBatch": 262_144})["status"] == "FAILED"
    failed = [data for key, data in stack.records("jobs/maps/") if key.endswith("FAILED_0.json")]
    assert [record["Error"] for data in failed for record in json.loads(data) if b"k" * 1015 in data] == [
        "States.DataLimitExceeded"
    ]


def test_videos_are_judged_by_a_job_and_as_uploads(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A red circle from second 12 to 15, in two containers, and half a file."""
    studio = Studio(tmp_path)
    for name in ("h264.mp4", "vp9.webm"):
        stack.put(f"films/{name}", studio.film(name).read_bytes())
    stack.put("films/half.mp4", studio.film("h264.mp4").read_bytes()[:20_000])
    stack.put("up.mp4", studio.film("h264.mp4").read_bytes(), "uploads")
    assert stack.job("--bucket", "pictures", "--prefix", "films/") == 0
    assert "3 objects" in capsys.readouterr().out
    assert stack.judged("films/") == {"films/h264.mp4": 1, "films/vp9.webm": 1, "films/half.mp4": 1}
    ends = time.monotonic() + 60
    while not stack.judged("up.mp4", "uploads") and time.monotonic() < ends:
        time.sleep(0.2)
    lines = {line["source"]["key"]: line for line in stack.lines("films/")}
    (upload,) = stack.lines("up.mp4", "uploads")
    assert lines["films/half.mp4"]["verdict"] == "review"
    assert "error" in lines["films/half.mp4"]
    for line in (upload, lines["films/h264.mp4"], lines["films/vp9.webm"]):
        assert line["verdict"] == "block"
        assert all(12 <= second <= 15 for second in line["video"]["fired"]["red circles"])
    assert upload["video"] == lines["films/h264.mp4"]["video"]


def test_a_folder_of_this_desk_is_judged_by_the_same_code(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `make job-local` does when the local AWS runs."""
    folder, out = tmp_path / "my pictures", tmp_path / "out"
    (folder / "below").mkdir(parents=True)
    for number, data in enumerate(KINDS):
        (folder / "below" / f"{number} ü.png").write_bytes(data)
    assert judge_folder(stack.emulator, folder, "demo", out) == 0
    said = capsys.readouterr().out
    assert "3 objects" in said
    assert "verdicts     allow 1, review 1, block 1\n" in said
    found = [json.loads(line) for part in out.glob("verdicts/**/*.jsonl") for line in part.read_text().splitlines()]
    keys = {line["source"]["key"]: line["verdict"] for line in found if "my pictures" in line["source"]["key"]}
    assert keys == dict(
        zip((f"my pictures/below/{n} ü.png" for n in range(3)), ("block", "review", "allow"), strict=True)
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--bucket", "nobodys"], "There is no bucket nobodys."),
        (["--bucket", "pictures", "--prefix", "typo/"], "There is no object below s3://pictures/typo/: check PREFIX=."),
        (["--bucket", "pictures", "--policy", "dmeo"], "There is no policy 'dmeo': POLICY= must be one of demo, "),
        (["--list", "s3://pictures/none.csv"], "There is no object none.csv in pictures."),
        (["--list", "s3://pictures/no-key.csv"], "with `key` among them: there is name, size."),
        (["--list", "s3://pictures/no-bucket.jsonl"], "give BUCKET=, or add `bucket` to it."),
        (["--list", "s3://pictures/empty.csv"], "s3://pictures/empty.csv is empty: it lists nothing."),
        (["--inventory", "s3://pictures/orc/manifest.json"], "jobs read inventories of the format CSV."),
        (["--execution", "arn:aws:states:eu-central-1:000000000000:execution:other:1"], "There is no state machine"),
    ],
)
def test_what_cannot_work_is_not_started_and_says_why(
    stack: Stack, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    stack.put("no-key.csv", b"name,size\na.png,3\n")
    stack.put("no-bucket.jsonl", b'{"key": "a.png"}\n')
    stack.put("empty.csv", b"")
    stack.put("orc/manifest.json", json.dumps({"fileFormat": "ORC", "fileSchema": "x", "files": [1]}).encode())
    states = stack.emulator.client("stepfunctions")
    before = len(states.list_executions(stateMachineArn=stack.names["states"])["executions"])
    assert stack.job(*arguments) == 2
    assert sentence in capsys.readouterr().err
    assert len(states.list_executions(stateMachineArn=stack.names["states"])["executions"]) == before


def test_uploads_that_were_given_up_are_listed_with_the_reason_and_put_back(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs, functions = stack.emulator.client("sqs"), stack.emulator.client("lambda")
    (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    s3 = stack.emulator.client("s3")
    s3.put_bucket_notification_configuration(Bucket="uploads", NotificationConfiguration={})
    for key in ("given up ü.png", "undelivered +.png"):
        stack.put(key, KINDS[0], "uploads")
    # 1. Nobody could judge the first one, as often as the queue lets it be tried; the rule could not deliver the other.
    sqs.send_message(QueueUrl=stack.names["queue"], MessageBody=event("given up ü.png"))
    ends = time.monotonic() + 60
    while not stack.waiting("dead") and time.monotonic() < ends:
        sqs.receive_message(QueueUrl=stack.names["queue"], VisibilityTimeout=0)
    reason = {"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "Not authorized to send"}
    attributes = {name: {"DataType": "String", "StringValue": text} for name, text in reason.items()}
    sqs.send_message(
        QueueUrl=stack.names["undelivered"], MessageBody=event("undelivered +.png"), MessageAttributes=attributes
    )

    # 2. Looking changes nothing.
    for _ in range(2):
        assert stack.redrive("--dry-run") == 0
        said = capsys.readouterr().out
        assert "1 given up by the worker\n  s3://uploads/given up ü.png: tried " in said
        assert "  s3://uploads/undelivered +.png: NO_PERMISSIONS, Not authorized to send\n" in said
    assert (stack.waiting("dead"), stack.waiting("undelivered")) == (1, 1)

    # 3. Put back, both are judged.
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert stack.redrive() == 0
    assert capsys.readouterr().out.count("put back: 1") == 2
    while stack.judged("", "uploads").total() < 3 and time.monotonic() < ends:
        time.sleep(0.2)
    assert stack.judged("", "uploads") == {"up.mp4": 1, "given up ü.png": 1, "undelivered +.png": 1}
    assert (stack.waiting("dead"), stack.waiting("undelivered")) == (0, 0)
    assert stack.redrive() == 0
    assert "0 given up by the worker\n0 undelivered by the rule\n" in capsys.readouterr().out


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Run make as one types it; what it would install is here already."""
    here = ["-o", ".venv/.tools", "-o", ".venv/.dev", "-o", "build/ministack/.made"]
    return subprocess.run(["make", "-s", *here, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_makefile_hands_on_what_it_is_given(stack: Stack) -> None:
    """`make job` with a prefix that has a space in it, as the page says it; and the other two."""
    stack.put("a b/1.png", KINDS[0])
    at = f"ENDPOINT={stack.emulator.url}"
    done = make("job", "BUCKET=pictures", "PREFIX=a b/", "POLICY=demo", at)
    assert done.returncode == 0, done.stderr
    assert "1 object (" in done.stdout
    assert "There is no queue no such queue: " in make("redrive", "QUEUE=no such queue", at).stderr
    assert "There is no folder /no such/folder." in make("job-local", "DIR=/no such/folder", "POLICY=demo").stderr
    said = make("job-local", "DIR=docs", "POLICY=nothing").stderr
    assert said.startswith("job-local: There is no policy 'nothing': it must be one of demo, moderation.\n")
