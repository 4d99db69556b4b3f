"""The state machine: found by its name or by the stack's output, asked what it was made with, and started."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tools.jobs.access import Access, stack_output
from tools.jobs.asked import Asked
from tools.jobs.trouble import Trouble, code_of

_ARN = re.compile(r"arn:aws[\w-]*:states:([\w-]+):\d{12}:(stateMachine|execution):([\w-]+)(?::([\w-]+))?")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One state machine, with the client that speaks to it."""

    arn: str
    region: str
    results_bucket: str
    states: Any

    def start(self, asked: Asked) -> str:
        """Start a job; return the ARN of its execution. The job's name, which its records have, is the execution's."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        name = f"{re.sub(r'[^A-Za-z0-9-]', '-', asked.policy)[:40]}-{moment}-{secrets.token_hex(3)}"
        given = json.dumps(asked.as_input(), ensure_ascii=False)
        return str(self.states.start_execution(stateMachineArn=self.arn, name=name, input=given)["executionArn"])

    def change_concurrency(self, execution: str, most: int) -> None:
        """Let a running job judge so many batches at once.

        Raises:
            Trouble: it has not begun to judge.
        """
        runs = self.states.list_map_runs(executionArn=execution)["mapRuns"]
        if not runs:
            raise Trouble("The job has not begun to judge: CONCURRENCY= changes one that has.")
        newest = max(runs, key=lambda run: run["startDate"])["mapRunArn"]
        self.states.update_map_run(mapRunArn=newest, maxConcurrency=most)


def find_machine(access: Access, arn: str) -> Machine:
    """Return the state machine of that ARN or, without one, the emulator's or the stack's.

    Raises:
        Trouble: there is none.
    """
    if not arn:
        arn = (
            _only_one(access) if access.endpoint else stack_output("jobsStateMachine", instead="STATE_MACHINE=arn:...")
        )
    return _described(access, arn, "stateMachine", "STATE_MACHINE")


def machine_of(access: Access, execution: str) -> Machine:
    """Return the state machine that an execution is of.

    Raises:
        Trouble: it is no execution's ARN, or there is none.
    """
    if not _matches(execution, "execution"):
        raise Trouble(
            f"{execution} is no execution's ARN: it must look like arn:aws:states:REGION:ACCOUNT:execution:..."
        )
    return _described(access, execution.replace(":execution:", ":stateMachine:").rpartition(":")[0], "stateMachine", "")


def job_of(execution: str) -> str:
    """Return the job's name: the last part of its execution's ARN."""
    return execution.rpartition(":")[2]


def _matches(arn: str, kind: str) -> re.Match[str] | None:
    found = _ARN.fullmatch(arn)
    return found if found and found[2] == kind else None


def _described(access: Access, arn: str, kind: str, given_as: str) -> Machine:
    found = _matches(arn, kind)
    if not found:
        raise Trouble(
            f"{given_as}={arn} is no state machine's ARN: it must look like "
            "arn:aws:states:REGION:ACCOUNT:stateMachine:NAME, as `pulumi stack output jobsStateMachine` says it."
        )
    states = access.client("stepfunctions", found[1])
    try:
        definition = json.loads(states.describe_state_machine(stateMachineArn=arn)["definition"])
    except ClientError as error:
        if code_of(error) in ("StateMachineDoesNotExist", "InvalidArn"):
            raise Trouble(
                f"There is no state machine {arn}: `pulumi stack output jobsStateMachine` names it."
            ) from error
        raise
    try:
        bucket = definition["States"]["EachOfPrefix"]["ResultWriter"]["Parameters"]["Bucket"]
    except KeyError as error:
        raise Trouble(f"{arn} is another state machine than that of this project's jobs.") from error
    return Machine(arn=arn, region=found[1], results_bucket=bucket, states=states)


def _only_one(access: Access) -> str:
    found = access.client("stepfunctions").list_state_machines()["stateMachines"]
    jobs = [one["stateMachineArn"] for one in found if one["name"].endswith("-jobs")]
    if len(jobs) != 1:
        raise Trouble(f"At {access.endpoint} there are {len(jobs)} state machines of jobs: give STATE_MACHINE=arn:...")
    return str(jobs[0])
