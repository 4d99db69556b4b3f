"""Uploads, as SQS hands over S3's events: each is judged, and its verdict said wherever it was asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moderator.jobs.desk import Desk
from moderator.jobs.line import Line, error_kind
from moderator.jobs.sources import Source, of_event
from moderator.jobs.tags import Replaced, Tags
from moderator.jobs.worker_settings import WorkerSettings

DETAIL_TYPE = "Verdict"
EVENT_SOURCE = "clip-video-moderator"

# Errors of a line after which the message comes again: the cause is likely to be mended.
_COME_AGAIN = ("object-unreadable", "object-refused", "object-changed", "judge-failed")

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Announcer:
    """Says verdicts by events, tags and lines, as the settings want it."""

    settings: WorkerSettings
    s3: Any
    events: Any  # EventBridge's client; not used where there is no bus

    def say(self, line: Line, desk: Desk) -> None:
        """Say one verdict; saying it twice changes nothing but the event, which comes twice.

        Raises:
            Replaced: the tag would be of other bytes: the message comes again.
            Exception: whatever AWS refuses: likewise.
        """
        if self.settings.write_lines:
            desk.results.write_upload(line, desk.configured.names(self.settings.policy))
        refused: Exception | None = None
        if self.settings.tag:
            try:
                Tags(self.s3, desk.objects).say(line)
            except Replaced:  # an event would be of bytes that nobody sees any more, and might come after the new ones'
                raise
            except Exception as error:  # noqa: BLE001 - raised below
                refused = error
        if self.settings.bus:
            answer = self.events.put_events(
                Entries=[
                    {
                        "Source": EVENT_SOURCE,
                        "DetailType": DETAIL_TYPE,
                        "Detail": json.dumps(line, ensure_ascii=False),
                        "EventBusName": self.settings.bus,
                    }
                ]
            )
            if answer["FailedEntryCount"]:
                raise RuntimeError(f"EventBridge did not take the verdict: {answer['Entries'][0]}")
        if refused is not None:
            raise refused


def is_stream(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a batch of SQS messages."""
    records = event.get("Records")
    return bool(records) and isinstance(records, list) and records[0].get("eventSource") == "aws:sqs"


def judge_messages(event: Mapping[str, Any], desk: Desk, announcer: Announcer, *, until: float) -> dict[str, Any]:
    """Judge the messages' objects; return those that must come again, which SQS keeps and moves aside in the end.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    failed: list[str] = []
    wanted: dict[Source, list[str]] = {}  # the same object twice in a batch is judged once
    for record in event["Records"]:
        try:
            wanted.setdefault(of_event(json.loads(record["body"])), []).append(record["messageId"])
        except Exception:
            # Not one of S3's events, or not in a form that anybody knows: it ends in the dead-letter queue, to be seen.
            log.exception("A message cannot be read")
            failed.append(record["messageId"])
    lines = desk.lines(announcer.settings.policy, list(wanted), until=until)
    for source, messages in wanted.items():
        line = lines.get(source)
        if line is None:  # the time was over
            failed += messages
            continue
        try:
            # S3 or the role may be mended by the time the message comes again. A line about it is written nevertheless.
            announcer.say(line, desk)
            again = error_kind(line) in _COME_AGAIN
        except Replaced as replaced:
            log.warning("%s Its message comes again.", replaced)
            again = True
        except Exception:
            log.exception("A verdict cannot be said")
            again = True
        if again:
            failed += messages
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
