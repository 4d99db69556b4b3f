"""The service in a process of its own, so that it can be frozen, measured and listened to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.harness import LAMBDA_SRC, Service, free_port


@dataclass(frozen=True)
class Process:
    """A running process, its log, and what it uses."""

    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        """All that it has written, on either stream."""
        return self.log_file.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    @property
    def resident_bytes(self) -> int:
        return self._status("VmRSS")

    @property
    def peak_bytes(self) -> int:
        """The most that was ever resident since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        # https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html: 5 resets the peak to what is resident now.
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    @property
    def processor_seconds(self) -> float:
        """What all of its threads have used, by user and system."""
        # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: fields 14 and 15, after the name in brackets.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field}")


@dataclass(frozen=True)
class ServerProcess(Process):
    """A running `python -m moderator.web.server`."""

    service: Service


@contextmanager
def server_process(
    folder: Path, environment: Mapping[str, str], *, most_files: int | None = None
) -> Iterator[ServerProcess]:
    """Start the server with these settings, and perhaps few file descriptors; wait until it answers."""
    port = free_port()
    log_file = folder / f"server-{port}.log"
    command = [sys.executable, "-m", "moderator.web.server", "--port", str(port)]
    if most_files is not None:
        command = ["sh", "-c", f'ulimit -n {most_files}; exec "$@"', "sh", *command]
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(LAMBDA_SRC), "PYTHONUNBUFFERED": "1"} | dict(environment),
        ) as process,
    ):
        running = ServerProcess(process, log_file, Service(port))
        try:
            for _ in range(600):
                assert process.poll() is None, running.log
                try:
                    running.service.get("/label-sets")
                except OSError:
                    time.sleep(0.05)
                else:
                    break
            else:
                raise AssertionError(f"the server did not start: {running.log}")
            yield running
        finally:
            process.kill()
