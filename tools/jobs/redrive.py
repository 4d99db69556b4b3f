"""Puts uploads that were given up back into the stream's queue: `make redrive`, or `make redrive DRY_RUN=1` to look."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tools.jobs.access import Access, stack_output
from tools.jobs.dead_letters import find_queues, grouped, look, move_dead, move_undelivered
from tools.jobs.trouble import Trouble, in_words


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; return 0, or 2 where nothing could be done."""
    parser = argparse.ArgumentParser(prog="make redrive", description=__doc__)
    parser.add_argument("--queue", default="", help="the stream's queue, by name or URL, where no stack says it")
    parser.add_argument("--dry-run", action="store_true", help="say what is there, and leave it there")
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL", ""))
    given = parser.parse_args(arguments)
    try:
        with in_words():
            _redrive(given)
    except Trouble as error:
        print(f"redrive: {error}", file=sys.stderr)
        return 2
    return 0


def _redrive(given: argparse.Namespace) -> None:
    queue = given.queue or stack_output("uploadsQueue", instead="QUEUE=")
    # https://sqs.REGION.amazonaws.com/...: the address says where it is.
    region = queue.partition("://sqs.")[2].partition(".")[0]
    queues = find_queues(Access(given.endpoint).client("sqs", region), queue)
    for what, url in (("given up by the worker", queues.dead), ("undelivered by the rule", queues.undelivered)):
        waiting = queues.waiting(url) if url else 0
        print(f"{waiting:,} {what}")
        if waiting:
            for sentence in grouped(look(queues, url)):
                print(f"  {sentence}")
        if not waiting or given.dry_run:
            continue
        moved = move_dead(queues, _tell) if url == queues.dead else move_undelivered(queues, _tell)
        print(f"  put back: {moved:,}")


def _tell(moved: int) -> None:
    print(f"... {moved:,} put back", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
