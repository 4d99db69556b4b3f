"""A container engine's command line, as far as building an image and looking into it goes; nothing is ever pushed.

Any engine with docker's commands and BuildKit, or podman.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.config import CONTEXT

PLATFORM = "linux/arm64"


class EngineTrouble(Exception):
    """The engine is not there, or did not do what it was asked; says which call."""


class TooSlow(EngineTrouble):
    """The engine did not end in time."""


@dataclass(frozen=True)
class Engine:
    """A container engine's command line."""

    program: str

    def run(self, *arguments: str, quiet: bool = True, text: str = "", seconds: float | None = None) -> str:
        """Run a command and return what it prints; it may take `seconds`.

        Raises:
            EngineTrouble: it cannot be run, or fails.
            TooSlow: it takes longer.
        """
        # A record of provenance would make an index of the image, which Lambda does not take.
        environment = os.environ | {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        try:
            done = subprocess.run(  # noqa: S603 - the engine that was asked for
                [self.program, *arguments],
                env=environment,
                input=text,
                stdout=subprocess.PIPE if quiet else None,
                stderr=subprocess.PIPE if quiet else None,
                text=True,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise TooSlow(f"{self.program} {arguments[0]} took longer than {seconds:.0f} s.") from error
        except OSError as error:
            raise EngineTrouble(f"There is no container engine {self.program}: name one by DOCKER=. {error}") from error
        if done.returncode:
            said = (done.stderr or "").strip().splitlines()
            raise EngineTrouble(f"{self.program} {arguments[0]} failed. {said[-1] if said else ''}")
        return (done.stdout or "") + (done.stderr or "")

    def build(self, tag: str, arguments: dict[str, str], options: Sequence[str]) -> None:
        """Build our context, printing what the engine prints."""
        given = [word for name, value in arguments.items() if value for word in ("--build-arg", f"{name}={value}")]
        self.run("build", "--platform", PLATFORM, "--tag", tag, *given, *options, str(CONTEXT), quiet=False)

    def unpack(self, tag: str, folder: Path) -> None:
        """Write the image's own part, /var/task, and its Python's place into `folder`."""
        container = self.run("create", "--platform", PLATFORM, tag).split()[-1]
        try:
            self.run("export", "--output", str(folder / "image.tar"), container)
        finally:
            self.run("rm", container)
        wanted = ["--wildcards", "var/task", "*bin/python3.13"]
        subprocess.run(  # noqa: S603 - no word of it is a caller's
            ["tar", "-x", "-C", str(folder), "-f", str(folder / "image.tar"), *wanted],  # noqa: S607 - the system's
            capture_output=True,  # a link into what was not unpacked is no harm
            check=False,
        )
        (folder / "image.tar").unlink()
