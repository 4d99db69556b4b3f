"""A local AWS for tests: ministack in its own environment, with what the recorded Pulumi program makes put into it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / "build" / "ministack" / "bin" / "python"
REGION = "eu-central-1"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
# The settings of a stack with jobs and uploads, small enough for this machine.
JOBS: Mapping[str, Any] = {
    "model": "demo",
    "cache": "none",
    "defaultPolicy": "demo",
    "jobs": True,
    "jobBuckets": ["pictures"],
    "streamBuckets": ["uploads"],
    "jobConcurrency": 2,
    "streamConcurrency": 2,
}


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A running ministack."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(max_pool_connections=32, read_timeout=300),
        )

    def workers(self) -> list[int]:
        """The processes of functions, by number; each has a child that judges."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(number) for threads in children for number in threads.read_text().split()]


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Start ministack; it fails where `make ministack` was not run, for nothing else shows that the parts fit."""
    assert PYTHON.exists(), "ministack is not installed: run `make ministack`"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "ministack.log"
    environment = {
        "PATH": os.environ["PATH"],
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "TMPDIR": str(folder),
        "HOME": str(folder),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [PYTHON, "-m", "tools.emulator"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    emulator = Emulator(url=f"http://127.0.0.1:{port}", process=process, log=log)
    try:
        _await(port, process, log)
        yield emulator
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def worker_zip(*, before: str = "") -> bytes:
    """The worker's own code, where it lies, as a function of ministack's; `before` is run first."""
    lines = [
        "import sys",
        f"sys.path[:0] = {[str(ROOT / 'lambda_src'), *(path for path in sys.path if 'site-packages' in path)]!r}",
        before,
        "from moderator.jobs.worker import handler",
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("entry.py", "\n".join(lines))
    return packed.getvalue()


def recorded(settings: Mapping[str, object]) -> list[dict[str, Any]]:
    """What the whole Pulumi program asks for, from a process of its own: it has its own event loop."""
    program = (
        "import json, sys\n"
        "from infra.tests.program import run_program\n"
        "made = run_program(json.loads(sys.argv[1])).resources\n"
        "json.dump([{'type': one.type, 'name': one.name, 'inputs': one.inputs} for one in made], sys.stdout)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'lambda_src'}"}
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, json.dumps(settings)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    made: list[dict[str, Any]] = json.loads(said)
    return made


def deploy(emulator: Emulator, made: Sequence[Mapping[str, Any]], *, before: str = "") -> dict[str, str]:
    """Make what the program's record asks for of jobs and of the stream; return the names of what was made."""
    inputs = {(one["type"].rpartition(":")[2], one["name"]): one["inputs"] for one in made}
    s3, sqs, events = (emulator.client(name) for name in ("s3", "sqs", "events"))
    for bucket in ("results", "pictures", "uploads"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="results", VersioningConfiguration={"Status": "Enabled"})
    bus = inputs["EventBus", "clip-jobs"]["name"]
    events.create_event_bus(Name=bus)

    function = inputs["Function", "clip-jobs"]
    variables = {name: str(value) for name, value in function["environment"]["variables"].items()} | {
        "JOBS_RESULTS_BUCKET": "results",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "6",
    }
    assert function["imageConfig"]["commands"] == ["moderator.jobs.worker.handler"]
    role = "arn:aws:iam::000000000000:role/any"
    function_arn = emulator.client("lambda").create_function(
        FunctionName=function["name"],
        Runtime="python3.11",
        Role=role,
        Handler="entry.handler",
        Code={"ZipFile": worker_zip(before=before)},
        Timeout=int(function["timeout"]),
        MemorySize=int(function["memorySize"]),
        Environment={"Variables": variables},
    )["FunctionArn"]

    machine = inputs["StateMachine", "clip-jobs"]
    recorded = json.loads(machine["definition"])
    its_function = recorded["States"]["Summary"]["Parameters"]["FunctionName"]
    its_bucket = recorded["States"]["EachOfPrefix"]["ResultWriter"]["Parameters"]["Bucket"]
    definition = machine["definition"].replace(json.dumps(its_function), json.dumps(function_arn))
    definition = definition.replace(f'"Bucket": {json.dumps(its_bucket)}', '"Bucket": "results"')
    states = emulator.client("stepfunctions").create_state_machine(
        name=machine["name"], definition=definition, roleArn=role
    )["stateMachineArn"]

    arns: dict[str, str] = {}
    urls: dict[str, str] = {}
    for name in ("clip-jobs-dead", "clip-jobs-undelivered", "clip-jobs"):
        asked = inputs["Queue", name]
        attributes = {
            # A day's waiting in a test is a second's.
            "VisibilityTimeout": "2",
        }
        if "redrivePolicy" in asked:
            policy = json.loads(asked["redrivePolicy"]) | {"deadLetterTargetArn": arns["clip-jobs-dead"]}
            attributes["RedrivePolicy"] = json.dumps(policy)
        urls[name] = sqs.create_queue(QueueName=asked["name"], Attributes=attributes)["QueueUrl"]
        arns[name] = sqs.get_queue_attributes(QueueUrl=urls[name], AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
    rule = inputs["EventRule", "clip-jobs"]
    events.put_rule(Name=rule["name"], EventPattern=rule["eventPattern"])
    events.put_targets(
        Rule=rule["name"],
        Targets=[{"Id": "queue", "Arn": arns["clip-jobs"], "DeadLetterConfig": {"Arn": arns["clip-jobs-undelivered"]}}],
    )
    mapping = inputs["EventSourceMapping", "clip-jobs"]
    emulator.client("lambda").create_event_source_mapping(
        EventSourceArn=arns["clip-jobs"],
        FunctionName=function["name"],
        BatchSize=int(mapping["batchSize"]),
        FunctionResponseTypes=mapping["functionResponseTypes"],
        ScalingConfig={"MaximumConcurrency": int(mapping["scalingConfig"]["maximumConcurrency"])},
    )
    # Where everybody can see what is said: the verdicts.
    heard = sqs.create_queue(QueueName="heard")["QueueUrl"]
    heard_arn = sqs.get_queue_attributes(QueueUrl=heard, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="heard", EventBusName=bus, EventPattern=json.dumps({"detail-type": ["Verdict"]}))
    events.put_targets(Rule="heard", EventBusName=bus, Targets=[{"Id": "heard", "Arn": heard_arn}])
    s3.put_bucket_notification_configuration(
        Bucket="uploads", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return {
        "states": states,
        "queue": urls["clip-jobs"],
        "dead": urls["clip-jobs-dead"],
        "undelivered": urls["clip-jobs-undelivered"],
        "heard": heard,
    }
