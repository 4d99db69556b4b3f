"""`make run` answers the very curl lines that it prints, sets itself up, and ends when it is told to."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.harness import LAMBDA_SRC, Service, free_port

pytestmark = pytest.mark.slow

ROOT = LAMBDA_SRC.parent
# Variables that a make which runs the tests would pass on to ours.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `make run` and wait for its greeting."""
    with subprocess.Popen(
        ["make", "--no-print-directory", "run", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=ENVIRONMENT,
    ) as server:
        assert server.stdout is not None
        try:
            printed = ""
            while "Or as JSON" not in printed or "--json @-" not in printed:
                line = server.stdout.readline()
                assert line, f"make run ended: {printed}"
                printed += line
            yield server, printed
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def test_the_printed_curl_lines_are_answered() -> None:
    with running(f"PORT={free_port()}") as (_, printed):
        commands = re.findall(r"^  (\S.*(?:\n {3,}\S.*)*)", printed, re.MULTILINE)
        assert len(commands) == 3, printed
        answers = [
            json.loads(subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, check=True).stdout)
            for command in commands
        ]
    (verdict,) = [answer for answer in answers if "verdict" in answer]
    assert verdict["verdict"] == "block"
    for answer in answers:
        if answer is verdict:
            continue
        best = max(answer["result"], key=answer["result"].__getitem__)
        assert best == "a red circle", answer


def test_the_process_that_was_started_is_the_one_to_end() -> None:
    port = free_port()
    with running(f"PORT={port}") as (server, _):
        assert Service(port).get("/health").status == 200
        server.terminate()
        server.wait(20)
        with pytest.raises(OSError, match="refused"):
            Service(port).get("/health")


def test_a_terminal_of_ones_own_is_told_the_whole_reason() -> None:
    port = free_port()
    with running(f"PORT={port}") as (server, _):
        refusal = Service(port).classify(image_data="!", labels=["a"])
        assert server.stdout is not None
        line = server.stdout.readline()
        while not line.startswith("POST"):
            line = server.stdout.readline()
    assert line.endswith(f" ms  {refusal.json['detail']}\n")


def test_a_models_folder_may_have_spaces_and_quotes_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "my model's files"
    shutil.copytree(LAMBDA_SRC / "demo_model", folder)
    port = free_port()
    with running(f"PORT={port}", f"MODEL_DIR={folder}") as (_, printed):
        assert f"Serving {folder.name} on " in printed
        assert Service(port).get("/health").status == 200


def test_a_port_that_cannot_be_is_one_sentence() -> None:
    done = make("run", "PORT=99999")
    assert done.returncode != 0
    assert "PORT is '99999': it must be a whole number from 0 to 65535." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_of_the_environments_is_not_served() -> None:
    """Some systems export HOST with the machine's own name in it."""
    environment = ENVIRONMENT | {"HOST": "192.0.2.1"}
    done = subprocess.run(["make", "-n", "run"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "--host '127.0.0.1'" in done.stdout
    assert "--host '::1'" in make("-n", "run", "HOST=::1").stdout


@pytest.mark.parametrize("broken", ["without pip", "without a Python that starts"])
def test_a_virtual_environment_that_is_broken_is_repaired(broken: str, tmp_path: Path) -> None:
    """The list of requirements is empty: this is about repairing the environment only."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "lambda_src").mkdir()
    (tmp_path / "lambda_src/requirements.txt").touch()
    subprocess.run(["python3", "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    if broken == "without a Python that starts":
        python = tmp_path / ".venv/bin/python"
        python.unlink()
        python.symlink_to(tmp_path / "gone")
    done = make(".venv/.runtime", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    pip = subprocess.run([tmp_path / ".venv/bin/python", "-m", "pip", "--version"], capture_output=True, check=False)
    assert pip.returncode == 0
