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
from moderator.jobs.worker_settings import read_worker_settings
from moderator.settings import read_settings


def make_judge() -> Judge:
    """Build the judge that the environment describes.

    Raises:
        ConfigurationError: it cannot be built.
    """
    worker = read_worker_settings(os.environ)
    objects = Objects(Clients().s3, max_bytes=worker.max_object_bytes)
    return Judge(read_settings(os.environ), lambda source: objects.open(source, max_bytes=worker.max_video_bytes))


def serve(pipe: Connection, make: Callable[[], Judge]) -> None:
    """Answer questions, each a kind, a policy's name, and what it is about."""
    try:
        judge = make()
    except ConfigurationError as error:
        pipe.send(("configuration", str(error)))
        return
    pipe.send(("ready", None))
    while True:
        try:
            what, policy, about = pipe.recv()
        except EOFError:
            return
        try:
            answer = judge.pictures(policy, about) if what == "pictures" else judge.video(policy, about)
        except Exception:  # noqa: BLE001 - a bug: it costs this object, and the worker logs it
            pipe.send(("bug", traceback.format_exc()))
        else:
            pipe.send(("lines", answer))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), make_judge)
