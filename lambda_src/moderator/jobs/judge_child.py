"""The child of `judge_process.py`: loads the model, and answers until the worker is gone."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

from moderator.errors import ConfigurationError
from moderator.jobs.clients import Clients
from moderator.jobs.judge import Judge
from moderator.jobs.objects import Objects
from moderator.jobs.requests import Requests
from moderator.jobs.worker_settings import read_worker_settings
from moderator.settings import read_settings


def make_judge(clients: Clients) -> Judge:
    """Build the judge that the environment describes, which reads videos by these clients.

    Raises:
        ConfigurationError: it cannot be built.
    """
    worker = read_worker_settings(os.environ)
    objects = Objects(clients.s3, max_bytes=worker.max_object_bytes)
    return Judge(read_settings(os.environ), lambda source: objects.open(source, max_bytes=worker.max_video_bytes))


def serve(pipe: Connection, make: Callable[[], Judge], requests: Requests) -> None:
    """Answer questions, each a kind, a policy's name, and what it is about; the parent is told of requests to S3."""
    try:
        judge = make()
    except ConfigurationError as error:
        pipe.send(("configuration", str(error), requests.take()))
        return
    pipe.send(("ready", None, requests.take()))
    while True:
        try:
            what, policy, about = pipe.recv()
        except EOFError:
            return
        try:
            answer = judge.pictures(policy, about) if what == "pictures" else judge.video(policy, about)
        except Exception:  # noqa: BLE001 - a bug: it costs this object, and the worker logs it
            pipe.send(("bug", traceback.format_exc(), requests.take()))
        else:
            pipe.send(("lines", answer, requests.take()))


if __name__ == "__main__":
    of_child = Clients()
    serve(Connection(int(sys.argv[1])), lambda: make_judge(of_child), of_child.requests)
