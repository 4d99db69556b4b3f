"""`make run` answers the very curl lines that it prints."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from support.harness import free_port

ROOT = Path(__file__).resolve().parents[2]


def test_the_printed_curl_lines_are_answered() -> None:
    port = free_port()
    with subprocess.Popen(
        ["make", "--no-print-directory", "run", f"PORT={port}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")},
    ) as server:
        assert server.stdout is not None
        try:
            printed = ""
            while "Or as JSON" not in printed or "--json @-" not in printed:
                line = server.stdout.readline()
                assert line, f"make run ended: {printed}"
                printed += line
            commands = re.findall(r"^  (\S.*(?:\n {3,}\S.*)*)", printed, re.MULTILINE)
            assert len(commands) == 2, printed
            answers = [
                json.loads(subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=True).stdout)
                for command in commands
            ]
        finally:
            os.killpg(server.pid, signal.SIGTERM)
    for answer in answers:
        best = max(answer["result"], key=answer["result"].__getitem__)
        assert best == "a red circle", answer
