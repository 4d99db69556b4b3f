"""What the function's own log says of the same minutes: Lambda's REPORT lines, by way of CloudWatch Logs.

Lambda writes one for each invocation, and the lines that the service wrote before it in the same stream tell whether it
was a picture. https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.measure.trouble import Trouble

# The service's line for an answered question about a picture (moderator/telemetry.py).
_PICTURE = re.compile(r'"message": *"classified"')
_FIELD = re.compile(r"^(.+): ([\d.]+) (?:ms|MB)$")
# What CloudWatch bills each event in addition to its message.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
_BYTES_AN_EVENT = 26
# The lines arrive some seconds after their invocation.
_MOST_SECONDS = 90.0
_PAUSE = 3.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """One invocation."""

    duration_ms: float
    billed_ms: float
    memory_mb: int
    most_memory_mb: int
    start_ms: float | None  # of a start, or of a snapshot's restoring
    of_picture: bool


@dataclass(frozen=True, kw_only=True)
class Log:
    """What was found: every invocation in the time, whoever called."""

    reports: tuple[Report, ...]
    bytes_billed: int
    complete: bool  # as many pictures as were asked for, or more

    @property
    def trouble(self) -> str:
        """What keeps it from telling all, as a sentence; empty for nothing."""
        if self.complete:
            return ""
        if not any(report.of_picture for report in self.reports):
            return (
                "The log has no line of a picture, so what one is billed is not known: with the stack's setting "
                "logLevel above INFO the service writes none."
            )
        return "The log had not all of these requests yet: its figures are of some."

    @property
    def pictures(self) -> list[Report]:
        """The invocations that answered a question about a picture without having to start first."""
        return [report for report in self.reports if report.of_picture and report.start_ms is None]


def read(function: str, region: str, since_ms: int, pictures: int, wait: float = _MOST_SECONDS) -> Log:
    """Read the log since a moment (Unix time in ms), and again until it tells of as many pictures as were asked for.

    Raises:
        Trouble: the log cannot be read.
    """
    name = function.rpartition(":function:")[2].partition(":")[0]
    group = f"/aws/lambda/{name}"
    until = time.monotonic() + wait
    try:
        pages = boto3.client("logs", region_name=region).get_paginator("filter_log_events")
        while True:
            events = [
                event for page in pages.paginate(logGroupName=group, startTime=since_ms) for event in page["events"]
            ]
            reports = tuple(parse(events))
            complete = sum(report.of_picture for report in reports) >= pictures
            # Where no invocation of that many tells of a picture, none will.
            silent = len(reports) >= pictures and not any(report.of_picture for report in reports)
            if complete or silent or time.monotonic() >= until:
                break
            time.sleep(_PAUSE)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ResourceNotFoundException":
            raise Trouble(
                f"There is no log group {group} in {region}: FUNCTION= is what `pulumi stack output functionName` says."
            ) from error
        raise Trouble(f"The log {group} cannot be read, which needs logs:FilterLogEvents: {error}.") from error
    except BotoCoreError as error:
        raise Trouble(f"The log {group} cannot be read: {error}.") from error
    if not reports:
        raise Trouble(f"{group} has no REPORT line of these minutes: is {name} the function behind this URL?")
    billed = sum(len(event["message"].encode()) + _BYTES_AN_EVENT for event in events)
    return Log(reports=reports, bytes_billed=billed, complete=complete)


def parse(events: Iterable[Mapping[str, Any]]) -> list[Report]:
    """Find the REPORT lines among a log's events, each stream's in its own order."""
    reports: list[Report] = []
    pictures: dict[str, bool] = defaultdict(bool)
    for event in events:
        stream, message = event["logStreamName"], event["message"]
        if message.startswith("REPORT "):
            reports.append(_report(message, of_picture=pictures.pop(stream, False)))
        elif message.startswith("START "):
            pictures[stream] = False
        else:
            pictures[stream] |= bool(_PICTURE.search(message))
    return reports


def _report(line: str, *, of_picture: bool) -> Report:
    matches = (_FIELD.match(part.strip()) for part in line.split("\t"))
    fields = {match[1]: float(match[2]) for match in matches if match}
    return Report(
        duration_ms=fields["Duration"],
        billed_ms=fields["Billed Duration"],
        memory_mb=int(fields["Memory Size"]),
        most_memory_mb=int(fields["Max Memory Used"]),
        start_ms=fields.get("Init Duration", fields.get("Restore Duration")),
        of_picture=of_picture,
    )
