"""Starts a job on S3 and follows it to its summary: `make job BUCKET=... PREFIX=... POLICY=...`.

Also `INVENTORY=s3://...` or `LIST=s3://...` instead of a bucket; `DETACH=1` to leave it alone, and `EXECUTION=arn` to
follow it (with `CONCURRENCY=` so many batches at once), `STOP=arn` to stop it, `REDRIVE=arn` to let it go on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.jobs.access import Access
from tools.jobs.asked import Asked, read_asked
from tools.jobs.checks import check_objects, check_policy, known_policies
from tools.jobs.follow import follow
from tools.jobs.machine import Machine, find_machine, machine_of
from tools.jobs.trouble import Trouble, in_words

_POLICIES = Path("lambda_src/policies")
_NOT_ALL, _UNUSABLE, _LEFT = 1, 2, 130


def main(arguments: Sequence[str] | None = None, reach: Callable[[str], Access] = Access) -> int:
    """Do what is asked; return 0, 1 where not everything was judged, 2 where AWS did not do it.

    `reach` gives the clients that speak to an endpoint.
    """
    given = _parse(arguments)
    access = reach(given.endpoint)
    execution = given.execution or given.redrive or given.stop
    following = False
    try:
        with in_words():
            if execution:
                machine = machine_of(access, execution)
                _tell_to(machine, given)
            else:
                machine = find_machine(access, given.state_machine)
                asked = _checked(given, access, machine.region)
                execution = machine.start(asked)
                print(f"Judging {asked.in_words()} by {asked.policy}: {execution}", file=sys.stderr)
            if given.detach or given.stop:
                print(_how_to_go_on(execution, given.endpoint) if given.detach else f"Stopped: {execution}")
                return 0
            s3 = access.client("s3", machine.region)
            following = True
            whole = follow(machine, execution, s3, every=given.every, out=sys.stdout, screen=sys.stderr)
    except Trouble as error:
        print(f"job: {error}", file=sys.stderr)
        if following:  # as a night goes by, credentials expire and networks fail; that stops no job
            print(f"The job itself is as it was.\n{_how_to_go_on(execution, given.endpoint)}", file=sys.stderr)
        return _UNUSABLE
    except KeyboardInterrupt:
        if not execution:
            return _LEFT
        print(f"\nThe job goes on without you.\n{_how_to_go_on(execution, given.endpoint)}", file=sys.stderr)
        return _LEFT
    return 0 if whole else _NOT_ALL


def _checked(given: argparse.Namespace, access: Access, region: str) -> Asked:
    if given.concurrency:
        raise Trouble("CONCURRENCY= changes a job that runs: give EXECUTION= too. A new one has jobConcurrency.")
    asked = read_asked(
        policy=given.policy,
        bucket=given.bucket,
        prefix=given.prefix,
        inventory=given.inventory,
        listed=given.list,
    )
    if not given.any_policy:
        check_policy(asked.policy, known_policies(_POLICIES))
    if note := check_objects(asked, access.client("s3", region)):
        print(note, file=sys.stderr)
    return asked


def _tell_to(machine: Machine, given: argparse.Namespace) -> None:
    if given.redrive:
        machine.states.redrive_execution(executionArn=given.redrive)
    elif given.stop:
        machine.states.stop_execution(executionArn=given.stop)
    elif given.concurrency:
        machine.change_concurrency(given.execution, given.concurrency)


def _how_to_go_on(execution: str, endpoint: str) -> str:
    at = f" ENDPOINT={endpoint}" if endpoint else ""
    return f"Follow it: make job EXECUTION={execution}{at}\nStop it:   make job STOP={execution}{at}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make job", description=__doc__)
    text = {"bucket": "", "prefix": "", "inventory": "", "list": "", "policy": "", "state-machine": ""}
    text |= {"execution": "", "redrive": "", "stop": "", "endpoint": os.environ.get("AWS_ENDPOINT_URL", "")}
    for name, default in text.items():
        parser.add_argument(f"--{name}", default=default)
    parser.add_argument("--concurrency", type=int, default=0, help="batches at once, of the job that runs")
    parser.add_argument("--any-policy", action="store_true", help="do not look for the policy among those here")
    parser.add_argument("--detach", action="store_true", help="start it and leave it alone")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks; 2 unless given")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
